import math

import numpy as np
import pytest
import torch
from small import after_update, cross_entropy, descended, generator, minibatch, network
from torch.nn import functional

from truemap.training import pgd, standard

BOUND = {"l2": 0.1 * math.sqrt(80), "linf": 0.1}


def probability(net, e, label):
    return torch.softmax(net(e[None])[0], dim=0)[label]


def log_loss(net, e, label):
    return -functional.cross_entropy(net(e[None]), label[None])


def attack_by_hand(net, x, y, norm, lengths, value):
    """Noise of each map after steps down the gradient of `value`, one map and one step at a time."""
    bound, found = BOUND[norm], []
    for number, (e, label) in enumerate(zip(x, y, strict=True)):
        d = torch.zeros_like(e)
        for drawn in lengths:
            d = d.detach().requires_grad_(True)
            (g,) = torch.autograd.grad(value(net, e + d, label), d)
            d, g = d.detach().numpy(), g.numpy()
            if norm == "linf":
                d = np.clip(d - drawn[number].item() * np.sign(g), -bound, bound)
            elif np.linalg.norm(g) > 0:
                d = d - drawn[number].item() * g / np.linalg.norm(g)
                d = d * min(1, bound / np.linalg.norm(d))
            d = torch.from_numpy(d)
        found.append(d)
    return torch.stack(found)


@pytest.mark.parametrize("value", [probability, log_loss])
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("step", ["uniform", 0.4])
@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_attacks_on_the_probability_and_on_the_cross_entropy_are_one(kind, step, norm, value):
    net, (x, y) = network(kind), minibatch()
    options = pgd.Options(epsilon=0.1, epsilon_unit="voxel", norm=norm, step=step)
    random = generator()
    lengths = [
        BOUND[norm] * (torch.rand(len(x), generator=random) if step == "uniform" else torch.full((len(x),), 0.4))
        for _ in range(options.steps)
    ]
    found = pgd.attack(net, x, y, options, generator())
    np.testing.assert_allclose(found, attack_by_hand(net, x, y, norm, lengths, value), rtol=1e-5, atol=1e-7)
    assert found.any()


@pytest.mark.parametrize("unit", ["voxel", "absolute"])
def test_the_linf_bound_holds_for_each_voxel_in_either_unit(unit):
    net, (x, y) = network("cnn3d"), minibatch()
    found = pgd.attack(net, x, y, pgd.Options(epsilon=0.2, epsilon_unit=unit, norm="linf"), generator())
    assert found.abs().max().item() == pytest.approx(0.2, rel=1e-7)


def test_one_linf_step_is_the_worst_noise_for_two_classes_of_a_linear_network():
    """The largest of w . d over |d| <= bound is bound * ||w||_1, at d = bound * sign(w)."""
    net, (x, _) = network("linear"), minibatch()
    weight = net[1].weight.detach()
    with torch.no_grad():
        net[1].bias[2] = -1e6
    y = torch.zeros(len(x), dtype=torch.long)
    options = pgd.Options(epsilon=0.2, steps=1, norm="linf")
    noise = pgd.attack(net, x, y, options, generator())
    gap = (net(x) - net(x + noise)).detach() @ torch.tensor([1.0, -1.0, 0.0]).double()
    np.testing.assert_allclose(gap, 0.2 * (weight[0] - weight[1]).abs().sum(), rtol=1e-6)


@pytest.mark.parametrize("gap", [5.0, 30.0, 60.0])
def test_linf_attack_keeps_its_signs_where_the_probability_rounds_to_one(gap):
    """In float32 the gradient of p itself would be zero; in float64 it is the sum below."""
    net, (x, _) = network("linear", torch.float32), minibatch(1, dtype=torch.float32)
    with torch.no_grad():
        net[1].bias.copy_(torch.tensor([gap, 0.0, -1.0]))
    w = net[1].weight.detach().double().numpy()
    p = np.exp([0.0, -gap, -gap - 1])
    uphill = p[1] * (w[1] - w[0]) + p[2] * (w[2] - w[0])
    options = pgd.Options(epsilon=0.05, steps=1, norm="linf")
    found = pgd.attack(net, torch.zeros_like(x), torch.tensor([0]), options, generator())
    np.testing.assert_allclose(found.flatten(), 0.05 * np.sign(uphill), rtol=1e-6)


def test_linf_update_trains_on_the_attacked_maps():
    net, (x, y) = network("mlp"), minibatch()
    options = pgd.Options(epsilon=0.2, norm="linf", l2=0.0)
    found, loss = after_update(pgd, net, options, x, y)
    objective = cross_entropy(net, x + pgd.attack(net, x, y, options, generator()), y)
    assert loss == pytest.approx(objective.item(), rel=1e-10)
    np.testing.assert_allclose(found, descended(net, objective), rtol=1e-8, atol=1e-11)


def test_l2_is_the_default():
    net, (x, y) = network("mlp"), minibatch()
    plain, named = (pgd.attack(net, x, y, pgd.Options(**o), generator()) for o in ({}, {"norm": "l2"}))
    assert torch.equal(plain, named)
    assert plain.flatten(1).norm(dim=1).max().item() == pytest.approx(1.0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_training_on_attacked_maps_makes_the_attack_weaker(norm):
    x, y = minibatch(24)
    options, losses = pgd.Options(epsilon=0.3, epsilon_unit="voxel", norm=norm), []
    for method, given in ((standard, standard.Options()), (pgd, options)):
        net = network("mlp")
        optimizer, random = torch.optim.Adam(net.parameters(), lr=0.02), generator()
        for _ in range(100):
            method.update(net, optimizer, x, y, given, random)
        losses.append(cross_entropy(net, x + pgd.attack(net, x, y, options, generator()), y).item())
    assert losses[1] < losses[0] / 2
