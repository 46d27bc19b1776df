import copy
import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from small import (
    CLASSES,
    SHAPE,
    after_update,
    assert_draws_from_the_generator,
    assert_nearly_standard,
    assert_trains,
    cross_entropy,
    descended,
    generator,
    minibatch,
    network,
)
from torch import nn

from truemap.geometry import direction, norms, unit_vectors
from truemap.training import trades
from truemap.training.trades import attack, divergence


def kl(net, e, d):
    """The formula, for one map: sum_j p_j (log p_j - log q_j)."""
    p, q = torch.softmax(net(e[None])[0], 0), torch.softmax(net((e + d)[None])[0], 0)
    return sum(p[j] * (p[j].log() - q[j].log()) for j in range(CLASSES))


def cosines(a, b):
    """Of rows however short; torch's adds 1e-8 to their lengths."""
    return (direction(a) * direction(b)).sum(dim=1)


def gradient_of(net, e, d):
    d = d.detach().requires_grad_(True)
    return torch.autograd.grad(kl(net, e, d), d)[0]


def curvature(net, e):
    """Fisher's matrix of one map, J' (diag p - p p') J: times a short d it is the divergence's gradient there."""
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], e).flatten(1)
    p = torch.softmax(net(e[None])[0], 0).detach()
    return jacobian.T @ (torch.diag(p) - torch.outer(p, p)) @ jacobian


def attack_by_hand(net, x, options, bound, random):
    start = 0.001 * bound * unit_vectors(x, random)
    draws = [
        bound * torch.rand(len(x), generator=random)
        if options.step == "uniform"
        else torch.full((len(x),), bound * options.step)
        for _ in range(options.steps)
    ]
    found = []
    for number, (e, d) in enumerate(zip(x, start, strict=True)):
        for step, lengths in enumerate(draws):
            g = gradient_of(net, e, d) if step else curvature(net, e) @ d.flatten()
            d, g = d.detach(), g.view(e.shape)
            if g.norm() > 0:  # for one map, all ReLU units of the small MLP are off
                d = d + lengths[number] * g / g.norm()
            d = d if d.norm() <= bound else bound * d / d.norm()
        found.append(d)
    return torch.stack(found)


@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0, 500.0])
def test_divergence_is_the_relative_entropy(scale):
    random = np.random.default_rng(0)
    z, w = scale * random.standard_normal((2, 9, CLASSES))
    expected = rel_entr(softmax(z, axis=1), softmax(w, axis=1)).sum(1)
    found = divergence(torch.from_numpy(z), torch.from_numpy(w))
    finite = np.isfinite(expected)  # scipy's q underflows to 0 where ours is still a logarithm
    np.testing.assert_allclose(found[finite], expected[finite], rtol=1e-9, atol=1e-15)
    assert torch.isfinite(found).all()
    assert finite.any()


def test_divergence_of_equal_logits_is_zero_and_so_is_its_gradient():
    z = torch.randn(4, CLASSES).double()
    w = z.clone().requires_grad_(True)
    value = divergence(z, w)
    (gradient,) = torch.autograd.grad(value.sum(), w)
    np.testing.assert_allclose(value.detach(), 0, atol=1e-15)
    np.testing.assert_allclose(gradient, 0, atol=1e-15)


def test_gradients_of_divergence_are_those_of_the_formula():
    z, w = torch.randn(2, 6, CLASSES, generator=generator()).double()
    assert torch.autograd.gradcheck(divergence, (z.requires_grad_(True), w.requires_grad_(True)))


@pytest.mark.parametrize("gap", [5.0, 30.0, 60.0])
def test_the_gradient_keeps_its_direction_where_the_probability_rounds_to_one(gap):
    """dKL/dw = q - p; in float32 the true class's entry must be minus the sum of the others."""
    z, w = np.array([gap, 0.0, -1.0]), np.array([gap - 0.5, 0.3, -1.2])
    expected = softmax(w) - softmax(z)
    expected[0] = -expected[1:].sum()
    noisy = torch.tensor(w[None], dtype=torch.float32, requires_grad=True)
    clean = torch.tensor(z[None], dtype=torch.float32)
    (gradient,) = torch.autograd.grad(divergence(clean, noisy).sum(), noisy)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"epsilon": 0.2}, 0.2 * math.sqrt(80)),
        ({"epsilon": 0.5, "epsilon_unit": "absolute", "steps": 4, "step": "uniform"}, 0.5),
    ],
)
def test_attack_climbs_the_divergence_example_by_example(kind, options, bound):
    net, (x, _), options = network(kind), minibatch(), trades.Options(**options)
    found = attack(net, x, options, generator())
    np.testing.assert_allclose(found, attack_by_hand(net, x, options, bound, generator()), rtol=1e-5, atol=1e-7)
    assert norms(found).max() <= bound * (1 + 1e-9)


@pytest.mark.parametrize("shift", [0.0, 60.0, 200.0, 500.0])
@pytest.mark.parametrize("epsilon", [0.1, 1e-4])
@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_every_step_in_float32_is_that_of_float64(kind, epsilon, shift):
    """Noise much shorter than float32 resolves, and likeliest classes that are so by up to exp(500)."""
    net, (x, _) = network(kind), minibatch(20)
    with torch.no_grad():
        net[-1].bias[1] += shift
    single = copy.deepcopy(net).float()
    for steps in (1, 3) if epsilon > 1e-3 else (1,):
        options = trades.Options(epsilon=epsilon, steps=steps)
        found, expected = (attack(n, x.to(w.dtype), options, generator()).double().flatten(1)
                           for n, w in ((single, single[-1].bias), (net, net[-1].bias)))  # fmt: skip
        assert cosines(found, expected).min() > 0.99
        np.testing.assert_allclose(found.norm(dim=1), expected.norm(dim=1), rtol=1e-4)


@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
def test_the_first_step_is_that_of_the_divergence_at_the_start(kind):
    """In float64, where the divergence at a distance of 0.001 bound is no rounding noise."""
    net, (x, _) = network(kind), minibatch(20)
    options = trades.Options(epsilon=0.1, steps=1, step=1.0)
    found = attack(net, x, options, generator())
    start = (0.001 * 0.1 * math.sqrt(80) * unit_vectors(x, generator())).requires_grad_(True)
    (expected,) = torch.autograd.grad(sum(kl(net, e, d) for e, d in zip(x, start, strict=True)), start)
    alive = expected.flatten(1).norm(dim=1) > 0
    assert alive.sum() >= 18
    assert cosines(found.flatten(1), expected.flatten(1))[alive].min() > 0.99


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_attack_changes_the_output_more_than_random_noise_of_its_length(kind):
    net, (x, _) = network(kind), minibatch(20)
    noise = attack(net, x, trades.Options(epsilon=0.1), generator())
    same_length = norms(noise) * unit_vectors(x, generator(9))
    attacked, random = (divergence(net(x), net(x + d)).detach() for d in (noise, same_length))
    alive = norms(noise).flatten() > 0.01 * norms(noise).max()  # some ReLU unit is on, so there is a gradient
    assert alive.sum() >= 18
    assert (attacked > random)[alive].all()
    assert not attacked[~alive].any()


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_update_descends_cross_entropy_plus_the_divergence(kind):
    """The gradient goes through both probabilities, not through the noise."""
    net, (x, y) = network(kind), minibatch()
    options = trades.Options(strength=2.5, epsilon=0.2)
    found, loss = after_update(trades, net, options, x, y)
    noise = attack(net, x, options, generator())
    objective = cross_entropy(net, x, y) + 2.5 * sum(kl(net, e, d) for e, d in zip(x, noise, strict=True)) / len(x)
    assert loss == pytest.approx(objective.item(), rel=1e-9)
    np.testing.assert_allclose(found, descended(net, objective), rtol=1e-8, atol=1e-11)


def test_a_network_that_ignores_its_input_gets_a_standard_update():
    net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), CLASSES)).double()
    nn.init.zeros_(net[1].weight)
    x, y = minibatch()
    assert torch.isfinite(after_update(trades, net, trades.Options(), x, y)[0]).all()


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_tiny_strength_gives_the_standard_update(kind):
    assert_nearly_standard(trades, kind, trades.Options(strength=1e-10, l2=0.05))


@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
def test_it_trains_and_repeats(kind):
    options = trades.Options(epochs=4, batch_size=8, learning_rate=0.01)
    assert_trains(trades, kind, options)
    assert_draws_from_the_generator(trades, kind, options)
