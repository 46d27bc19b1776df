import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from methods import as_method, made_up
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from torch import nn

from truemap.data.volumes import Volumes
from truemap.geometry import norms
from truemap.networks._batches import Batches
from truemap.runtime.files import DataError
from truemap.training import free, pgd, standard
from truemap.training._loop import fit

torch.set_num_threads(1)
SHAPE, CLASSES, RATE = (3, 2, 2), 3, 0.3


def mlp():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, CLASSES)).double()


def regression(dtype=torch.float64):
    torch.manual_seed(4)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)).to(dtype)


def minibatches(count=2, size=5):
    random = torch.Generator().manual_seed(7)
    for _ in range(count):
        yield (
            torch.randn(size, *SHAPE, generator=random).double(),
            torch.randint(0, CLASSES, (size,), generator=random),
        )


def batches(n=40, seed=0, spread=1.0):
    """Maps around a mean of their class, as training wants them."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    maps = random.standard_normal((n, *SHAPE)) + spread * np.eye(12)[labels].reshape(n, *SHAPE)
    table = pd.DataFrame({"label": [f"class-{k}" for k in labels]})
    volumes = Volumes([maps.astype(np.float32)], table)
    return Batches(volumes, [f"class-{k}" for k in range(CLASSES)], torch.device("cpu"))


def probability(network, x, label):
    return torch.softmax(network(x[None])[0], dim=0)[label]


def step_against_probability(network, x, noise, label, length, bound):
    """Lines 8-14 of Algorithm 1 for one example: the gradient of p itself, in float64."""
    d = noise.clone().requires_grad_(True)
    (g,) = torch.autograd.grad(probability(network, x + d, label), d)
    if g.norm() > 0:
        noise = noise - length * g / g.norm()
        if noise.norm() > bound:
            noise = bound * noise / noise.norm()
    return noise


def algorithm_1(network, x, y, options, bound, random):
    """Algorithm 1 of the paper for one minibatch; mean loss. Line 9 at the weights of line 6 or, as printed, of 7."""
    noise, total = [torch.zeros_like(example) for example in x], 0.0
    for _ in range(options.steps):
        weights_of_noise = copy.deepcopy(network) if options.gradient == "shared" else network
        objective = sum(probability(network, e + d, k).log() for e, d, k in zip(x, noise, y, strict=True)) / len(x)
        weights = sum((p**2).sum() for name, p in network.named_parameters() if "weight" in name)
        objective = objective - options.l2 / 2 * weights
        total -= objective.item() / options.steps
        gradients = torch.autograd.grad(objective, list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter += RATE * gradient
        if options.step == "uniform":
            lengths = bound * torch.rand(len(x), generator=random)
        else:
            lengths = bound * options.step * torch.ones(len(x))
        examples = zip(x, noise, y, lengths, strict=True)
        noise = [step_against_probability(weights_of_noise, e, d, k, length, bound) for e, d, k, length in examples]
    return total


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"epsilon": 0.2, "steps": 4}, 0.2 * math.sqrt(12)),
        ({"epsilon": 0.5, "epsilon_unit": "absolute", "steps": 3, "step": 0.7, "l2": 0.1}, 0.5),
    ],
)
@pytest.mark.parametrize("gradient", ["shared", "after"])
def test_free_update_is_algorithm_1(options, bound, gradient):
    options, network = free.Options(**options, gradient=gradient), mlp()
    expected, random, same = copy.deepcopy(network), torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    for x, y in minibatches():
        value = free.update(network, optimizer, x, y, options, random)
        assert value == pytest.approx(algorithm_1(expected, x, y, options, bound, same), rel=1e-9)
    for found, wanted in zip(network.parameters(), expected.parameters(), strict=True):
        np.testing.assert_allclose(found.detach(), wanted.detach(), rtol=1e-6, atol=1e-8)


def test_the_weights_at_which_noise_is_sought_make_a_difference_in_the_second_update_only():
    """One update starts from no noise, and the noise after the last meets no weights."""

    def weights(steps, gradient):
        network, (x, y) = mlp(), next(minibatches())
        options = free.Options(epsilon=0.2, steps=steps, gradient=gradient)
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
        free.update(network, optimizer, x, y, options, torch.Generator().manual_seed(0))
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    assert torch.equal(weights(1, "shared"), weights(1, "after"))
    assert not torch.allclose(weights(2, "shared"), weights(2, "after"))
    assert free.Options().gradient == "shared"


def test_free_noise_starts_at_zero_for_each_minibatch_and_stays_in_the_ball():
    network, seen = mlp(), []
    network.register_forward_pre_hook(lambda _network, inputs: seen.append(inputs[0].detach().clone()))
    options = free.Options(epsilon=0.1, steps=3)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    data = list(minibatches(3))
    for x, y in data:
        free.update(network, optimizer, x, y, options, torch.Generator().manual_seed(0))
    assert len(seen) == 3 * options.steps
    for number, (x, _) in enumerate(data):
        noise = torch.stack([inputs - x for inputs in seen[3 * number : 3 * number + 3]])
        assert not noise[0].any()
        lengths = noise.flatten(2).norm(dim=2)
        assert (lengths[1:] > 0).all()
        assert lengths.max() <= 0.1 * math.sqrt(12) * (1 + 1e-12)


@pytest.mark.parametrize("step", ["uniform", 1.0, 0.4])
def test_pgd_attack_descends_the_probability_example_by_example(step):
    network, (x, y) = mlp(), next(minibatches())
    options = pgd.Options(epsilon=0.8, steps=3, step=step)
    random = torch.Generator().manual_seed(1)
    draws = [0.8 * (torch.rand(len(x), generator=random) if step == "uniform" else torch.full((len(x),), step))
             for _ in range(options.steps)]  # fmt: skip
    found = pgd.attack(network, x, y, options, torch.Generator().manual_seed(1))
    for number in range(len(x)):
        noise = torch.zeros(SHAPE).double()
        for lengths in draws:
            noise = step_against_probability(network, x[number], noise, y[number], lengths[number], 0.8)
        np.testing.assert_allclose(found[number].detach(), noise, rtol=1e-6, atol=1e-8)
    assert norms(found).max() <= 0.8 * (1 + 1e-12)


def test_pgd_attack_lowers_every_probability_of_multinomial_regression():
    """log p is concave in x there, so each point of the ball that a gradient step reaches lies lower."""
    network, (x, y) = regression(), next(minibatches(size=50))
    noise = pgd.attack(network, x, y, pgd.Options(epsilon=0.5, steps=1), torch.Generator())
    rows = torch.arange(len(y))
    before, after = (torch.softmax(network(maps).detach(), dim=1)[rows, y] for maps in (x, x + noise))
    assert (after < before).all()


def test_pgd_attack_on_two_classes_goes_straight_to_the_other_one():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    x, y = torch.randn(4, *SHAPE).double(), torch.tensor([0, 1, 1, 0])
    weight = network[1].weight.detach()
    away = (weight[1 - y] - weight[y]).view(x.shape)
    noise = pgd.attack(network, x, y, pgd.Options(epsilon=2.0, steps=3), torch.Generator())
    np.testing.assert_allclose(noise, 2.0 * away / norms(away), rtol=1e-9)


@pytest.mark.parametrize("gap", [5.0, 30.0, 80.0])
def test_pgd_attack_keeps_its_direction_where_the_probability_rounds_to_one(gap):
    """-log p falls along sum_j p_j (w_j - w_y); float32 must not lose the part of w_y."""
    weight = torch.eye(3, 12)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    with torch.no_grad():
        network[1].weight.copy_(weight)
        network[1].bias.copy_(torch.tensor([gap, 0.0, -1.0]))
    p, w = softmax(np.array([gap, 0.0, -1.0])), weight.double().numpy()
    uphill = p[1] * (w[1] - w[0]) + p[2] * (w[2] - w[0])
    options = pgd.Options(epsilon=1.0, steps=1)
    noise = pgd.attack(network, torch.zeros(1, *SHAPE), torch.tensor([0]), options, torch.Generator())
    np.testing.assert_allclose(noise.flatten(), uphill / np.linalg.norm(uphill), atol=1e-5)


def test_pgd_update_trains_on_the_attacked_maps():
    network, (x, y) = mlp(), next(minibatches())
    options, expected = pgd.Options(epsilon=0.8, l2=0.05), copy.deepcopy(network)
    noise = pgd.attack(expected, x, y, options, torch.Generator())
    by_hand = torch.optim.SGD(expected.parameters(), lr=RATE)
    standard.update(expected, by_hand, x + noise, y, standard.Options(l2=0.05), torch.Generator())
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    pgd.update(network, optimizer, x, y, options, torch.Generator())
    for found, wanted in zip(network.parameters(), expected.parameters(), strict=True):
        np.testing.assert_allclose(found.detach(), wanted.detach(), rtol=1e-9)


def test_pgd_clean_is_a_standard_update_and_then_an_attacked_one():
    network, (x, y) = mlp(), next(minibatches())
    expected = copy.deepcopy(network)
    by_hand = torch.optim.SGD(expected.parameters(), lr=RATE)
    standard.update(expected, by_hand, x, y, standard.Options(), torch.Generator())
    last = pgd.update(expected, by_hand, x, y, pgd.Options(), torch.Generator())
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    assert pgd.update(network, optimizer, x, y, pgd.Options(clean=True), torch.Generator()) == last
    for found, wanted in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(found, wanted)


def test_standard_update_is_one_step_of_gradient_descent():
    network, (x, y) = regression(), next(minibatches())
    weight, bias = (parameter.detach().numpy().copy() for parameter in network.parameters())
    flat = x.numpy().reshape(len(x), -1)
    p = softmax(flat @ weight.T + bias, axis=1)
    error = (p - np.eye(CLASSES)[y]) / len(x)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    value = standard.update(network, optimizer, x, y, standard.Options(l2=0.2), torch.Generator())
    assert value == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean() + 0.1 * (weight**2).sum())
    np.testing.assert_allclose(network[1].weight.detach(), weight - RATE * (error.T @ flat + 0.2 * weight), rtol=1e-9)
    np.testing.assert_allclose(network[1].bias.detach(), bias - RATE * error.sum(axis=0), rtol=1e-9)


def test_l2_leads_to_scikit_learns_logistic_regression():
    data, l2 = batches(60), 0.1
    network = regression(torch.float32)
    options = standard.Options(epochs=400, batch_size=None, learning_rate=0.02, l2=l2)
    fit(network, as_method(standard, options), data, data, 0)
    x = np.concatenate(data.volumes.parts).reshape(60, -1).astype(np.float64)
    model = LogisticRegression(C=1 / (60 * l2), tol=1e-8, max_iter=1000).fit(x, data.labels)
    np.testing.assert_allclose(network[1].weight.detach(), model.coef_, atol=5e-3)
    bias = network[1].bias.detach().numpy()
    np.testing.assert_allclose(bias - bias.mean(), model.intercept_ - model.intercept_.mean(), atol=5e-3)


def test_fit_uses_adam():
    """Its first step moves each weight by rate * g / (|g| + 1e-8)."""
    network, data = regression(torch.float32), batches()
    before, reference = network[1].weight.detach().clone(), copy.deepcopy(network)
    x, y = data.get(torch.arange(len(data)))
    nn.functional.cross_entropy(reference(x), y).backward()
    g = reference[1].weight.grad
    fit(network, as_method(standard, epochs=1, batch_size=None, learning_rate=0.01), data, data, 0)
    np.testing.assert_allclose(network[1].weight.detach() - before, -0.01 * g / (g.abs() + 1e-8), atol=1e-6)


def test_fit_shows_every_map_once_an_epoch_and_weighs_its_losses_by_maps():
    data, seen = batches(11), []

    def update(network, optimizer, x, y, options, random):
        seen.append(x.clone())
        return x.mean().item()

    method = made_up("training", standard.Options(epochs=2, batch_size=4), update=update)
    history = fit(regression(torch.float32), method, data, data, 0)
    stored = data.volumes.parts[0]
    assert [len(x) for x in seen] == [4, 4, 3] * 2
    for epoch in (seen[:3], seen[3:]):
        np.testing.assert_array_equal(np.sort(torch.cat(epoch).flatten(1)[:, 0]), np.sort(stored.reshape(11, -1)[:, 0]))
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))
    np.testing.assert_allclose(history["loss"], stored.mean(), rtol=1e-5)


def test_history_holds_the_validation_numbers_of_the_weights():
    network, held_out = regression(torch.float32), batches(31, seed=1)
    history = fit(network, as_method(standard, epochs=3, learning_rate=0.05), batches(), held_out, 0)
    weight, bias = (parameter.detach().numpy().astype(np.float64) for parameter in network.parameters())
    logits = held_out.volumes.parts[0].reshape(31, -1) @ weight.T + bias
    labels = held_out.labels.numpy()
    last = history.iloc[-1]
    assert list(history["epoch"]) == [1, 2, 3]
    assert last["validation_nll"] == pytest.approx(-log_softmax(logits, axis=1)[np.arange(31), labels].mean(), rel=1e-5)
    assert last["validation_accuracy"] == pytest.approx((logits.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("method", [standard, free, pgd])
def test_same_seed_gives_the_same_bits_and_another_seed_others(method):
    def train(seed):
        network = regression(torch.float32)
        fit(network, as_method(method, epochs=2, batch_size=8), batches(), batches(9, seed=1), seed)
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    assert torch.equal(train(0), train(0))
    assert not torch.equal(train(0), train(1))


def test_a_map_that_is_not_finite_stops_training_in_its_epoch():
    data = batches()
    data.volumes.parts[0][3, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="not finite in epoch 1"):
        fit(regression(torch.float32), as_method(standard), data, batches(9), 0)


def test_a_diverging_learning_rate_stops_training():
    with pytest.raises(DataError, match=r"not finite in epoch 1.*learning_rate"):
        options = standard.Options(learning_rate=1e25, l2=1.0)
        fit(regression(torch.float32), as_method(standard, options), batches(), batches(9), 0)


def test_the_epoch_named_is_the_one_that_failed():
    losses = iter([1.0, 1.0, math.inf])
    method = made_up("training", standard.Options(batch_size=None), update=lambda *arguments: next(losses))
    with pytest.raises(DataError, match="in epoch 3"):
        fit(regression(torch.float32), method, batches(), batches(9), 0)


@pytest.mark.parametrize("method", [standard, pgd, free])
def test_a_shorter_training_is_the_first_part_of_a_longer_one(method):
    found = {
        epochs: fit(mlp().float(), as_method(method, epochs=epochs), batches(), batches(9, 1), 5) for epochs in (2, 4)
    }
    pd.testing.assert_frame_equal(found[2], found[4][:2])
