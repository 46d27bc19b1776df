import math

import numpy as np
import pytest
import torch
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

from truemap.files import DataError
from truemap.training import nsloss
from truemap.training.nsloss import activations, lengths, sensitivity
from truemap.training.sphere import unit_vectors


def layer_outputs(net, e, counted):
    """What each counted layer of a plain sequence gives for one map; `counted` are positions in the sequence."""
    out, found = e[None], []
    for position, layer in enumerate(net):
        out = layer(out)
        if position in counted:
            found.append(out[0].flatten())
    return found


def by_loop(net, x, noise, radii, counted, cancel=True):
    """Equations 4-7 of the paper, one layer, map and draw at a time; `noise` is (draws, n, *shape)."""
    total = 0.0
    for i in range(len(counted)):
        clean = [layer_outputs(net, e, counted)[i] for e in x]
        md = 0.0
        for draw in noise:
            for m, e in enumerate(x):
                change = (clean[m] - layer_outputs(net, e + draw[m], counted)[i]).abs()
                md = md + change / radii[m] / (len(noise) * len(x))
        ma = sum(a.abs() for a in clean) / len(x)
        units = len(ma)
        total = total + ((md / units).sum() if cancel else (md / (units * ma) * ma).sum())
    return total


def positions(net, logits=True):
    found = [number for number, layer in enumerate(net) if isinstance(layer, nn.ReLU)]
    return [*found, len(net) - 1] if logits else found


def drawn(x, radii, draws, random):
    return torch.stack([radii.view(-1, 1, 1, 1) * unit_vectors(x, random) for _ in range(draws)])


CASES = [
    ("mlp", {}, 0.05, None, True),
    ("cnn3d", {"draws": 2}, 0.05, None, True),
    ("cnn3d", {"draws": 2, "logits": False, "epsilon": 0.3}, 0.3, None, False),
    ("cnn3d", {"draws": 1, "layers": [1], "logits": False}, 0.05, [1], False),
    ("cnn3d", {"draws": 1, "layers": [0]}, 0.05, [0], True),
    ("linear", {}, 0.05, None, True),
]


@pytest.mark.parametrize(("kind", "given", "epsilon", "layers", "logits"), CASES)
def test_update_descends_cross_entropy_plus_nsloss(kind, given, epsilon, layers, logits):
    """Although each draw is differentiated by itself, the step is that of the whole sum."""
    net, (x, y) = network(kind), minibatch(4)
    options = nsloss.Options(strength=3.0, **given)
    found, loss = after_update(nsloss, net, options, x, y)
    radii = epsilon * torch.stack([e.norm() for e in x])
    noise = drawn(x, radii, options.draws, generator())
    counted = positions(net, logits=False)
    counted = [counted[k] for k in layers] if layers else counted
    counted = [*counted, len(net) - 1] if logits else counted
    objective = cross_entropy(net, x, y) + 3.0 * by_loop(net, x, noise, radii, counted)
    assert loss == pytest.approx(objective.item(), rel=1e-9)
    np.testing.assert_allclose(found, descended(net, objective), rtol=1e-8, atol=1e-11)


def test_it_is_equations_6_and_7_where_no_unit_is_dead():
    """With biases that keep each ReLU open, dividing by and multiplying with the mean activation cancel."""
    net, (x, _) = network("mlp"), minibatch()
    with torch.no_grad():
        net[1].bias.fill_(20.0)
    radii = lengths(x, 0.1, "norm")
    noise = drawn(x, radii, 1, generator())
    (_, clean), (_, noisy) = (activations(net, maps, [], True) for maps in (x, x + noise[0]))
    expected = by_loop(net, x, noise, radii.flatten(), positions(net), cancel=False)
    assert sensitivity(clean, noisy, radii).item() == pytest.approx(expected.item(), rel=1e-10)


def test_dead_units_add_nothing_and_spoil_nothing():
    """The paper's equations as they stand are 0/0 there."""
    net, (x, y) = network("mlp"), minibatch()
    with torch.no_grad():
        net[1].bias[:4] = -1e3
    radii = lengths(x, 0.05, "norm")
    noise = drawn(x, radii, 5, generator())
    assert torch.isnan(by_loop(net, x, noise, radii.flatten(), positions(net), cancel=False))
    found, loss = after_update(nsloss, net, nsloss.Options(), x, y)
    assert torch.isfinite(found).all()
    objective = cross_entropy(net, x, y) + by_loop(net, x, noise, radii.flatten(), positions(net))
    assert loss == pytest.approx(objective.item(), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_map_of_zeros_adds_nothing_and_spoils_nothing(dtype):
    net, (x, y) = network("mlp", dtype), minibatch(dtype=dtype)
    x[2] = 0
    found, loss = after_update(nsloss, net, nsloss.Options(), x, y)
    assert torch.isfinite(found).all()
    assert math.isfinite(loss)


@pytest.mark.parametrize(("unit", "expected"), [("norm", None), ("voxel", 0.3 * math.sqrt(80)), ("absolute", 0.3)])
def test_noise_has_the_length_asked_for(unit, expected):
    net, (x, y) = network("mlp"), minibatch()
    seen = []
    hook = net.register_forward_pre_hook(lambda _network, inputs: seen.append(inputs[0].detach().clone()))
    options = nsloss.Options(epsilon=0.3, epsilon_unit=unit, draws=3)
    nsloss.update(net, torch.optim.SGD(net.parameters(), lr=0.1), x, y, options, generator())
    hook.remove()
    assert len(seen) == 4
    assert torch.equal(seen[0], x)
    wanted = expected or 0.3 * x.flatten(1).norm(dim=1)
    for moved in seen[1:]:
        np.testing.assert_allclose((moved - x).flatten(1).norm(dim=1), torch.ones(len(x)) * wanted, rtol=1e-6)


def test_a_linear_networks_value_is_known():
    """E|w . v| for v uniform on the sphere is ||w|| Gamma(D/2) / (sqrt(pi) Gamma((D+1)/2))."""
    net, dimension = network("linear"), math.prod(SHAPE)
    x = torch.randn(4000, *SHAPE, generator=generator(1)).double()
    radii = lengths(x, 0.1, "norm")
    noise = drawn(x, radii, 1, generator(2))[0]
    found = sensitivity([net(x)], [net(x + noise)], radii).item()
    weight = next(p for name, p in net.named_parameters() if name.endswith("weight")).detach()
    factor = math.exp(math.lgamma(dimension / 2) - math.lgamma((dimension + 1) / 2)) / math.sqrt(math.pi)
    assert found == pytest.approx(factor * weight.norm(dim=1).mean().item(), rel=0.04)


@pytest.mark.parametrize(
    ("kind", "given", "count"),
    [("mlp", {"layers": [1]}, 1), ("linear", {"logits": False}, 0), ("cnn3d", {"layers": [0, 5]}, 2)],
)
def test_layers_that_do_not_exist_are_refused(kind, given, count):
    net, (x, y) = network(kind), minibatch()
    with pytest.raises(DataError, match=f"{count} ReLU layers"):
        after_update(nsloss, net, nsloss.Options(**given), x, y)


def test_no_hook_is_left_behind():
    net, (x, y) = network("cnn3d"), minibatch()
    nsloss.update(net, torch.optim.SGD(net.parameters(), lr=0.1), x, y, nsloss.Options(), generator())
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_tiny_strength_gives_the_standard_update(kind):
    assert_nearly_standard(nsloss, kind, nsloss.Options(strength=1e-10, l2=0.05))


@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
def test_it_trains_and_repeats(kind):
    options = nsloss.Options(epochs=4, batch_size=8, learning_rate=0.01)
    assert_trains(nsloss, kind, options)
    assert_draws_from_the_generator(nsloss, kind, options)


def test_strength_makes_activations_less_sensitive():
    x, y = minibatch(12)
    values = []
    for strength in (1e-9, 10.0):
        net = network("mlp")
        optimizer, random = torch.optim.Adam(net.parameters(), lr=0.02), generator()
        for _ in range(40):
            nsloss.update(net, optimizer, x, y, nsloss.Options(strength=strength, draws=2), random)
        radii = lengths(x, 0.05, "norm")
        noise = drawn(x, radii, 1, generator(8))[0]
        (_, clean), (_, noisy) = (activations(net, maps, [], True) for maps in (x, x + noise))
        values.append(sensitivity(clean, noisy, radii).item())
        assert net(x).shape == (12, CLASSES)
    assert values[1] < values[0] / 2
