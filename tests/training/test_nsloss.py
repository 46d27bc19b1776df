import copy
import math

import numpy as np
import pytest
import torch
from methods import as_method
from small import (
    CLASSES,
    SHAPE,
    after_update,
    assert_draws_from_the_generator,
    assert_nearly_standard,
    assert_trains,
    batches,
    cross_entropy,
    descended,
    generator,
    minibatch,
    network,
    weights,
)
from torch import nn

from truemap.geometry import unit_vectors
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError
from truemap.training import nsloss
from truemap.training._checkpoint import Checkpoint
from truemap.training._loop import fit
from truemap.training.nsloss import activations, lengths, sensitivity


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


def literal_nsloss(net, x, draws, random):
    """NsLoss of one minibatch, the mean over draws, with the layers of a plain sequence."""
    radii = 0.05 * torch.stack([e.norm() for e in x])
    noise = drawn(x, radii, draws, random)
    return by_loop(net, x, noise, radii, positions(net)).item()


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_protocol_is_log2_of_classes_over_the_nsloss_of_a_standard_model(kind):
    net, data = network(kind, torch.float32), batches(22, 0)
    before = weights(net).clone()
    options = nsloss.Options(
        epochs=3, strength=3.16, strength_unit="protocol", batch_size=5, draws=2, learning_rate=0.02
    )
    found = nsloss.prepare(net, options, data, 4)
    assert torch.equal(weights(net), before)

    random, copied = generator(derive_seed(4, "nsloss")), copy.deepcopy(net)
    optimizer = torch.optim.Adam(copied.parameters(), lr=0.02)
    for _ in range(3):
        for rows in torch.randperm(22, generator=random).split(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(copied(data.get(rows)[0]), data.get(rows)[1]).backward()
            optimizer.step()
    values = [
        literal_nsloss(copied, data.get(rows)[0], 2, random) for rows in torch.randperm(22, generator=random).split(5)
    ]
    assert found.strength == pytest.approx(3.16 * math.log2(CLASSES) / np.mean(values), rel=1e-3)
    assert found.model_dump(exclude={"strength", "strength_unit"}) == options.model_dump(
        exclude={"strength", "strength_unit"}
    )
    assert found.strength_unit == "absolute"


def test_protocol_measures_at_most_10_minibatches(monkeypatch):
    counted = []
    monkeypatch.setattr(nsloss, "sensitivity", lambda *_: counted.append(1) or torch.tensor(0.5))
    options = nsloss.Options(epochs=1, strength_unit="protocol", batch_size=2, draws=3)
    found = nsloss.prepare(network("mlp", torch.float32), options, batches(48, 0), 0)
    assert len(counted) == 10 * 3
    assert found.strength == pytest.approx(2 * math.log2(3))


def test_absolute_strength_is_left_alone():
    options = nsloss.Options(strength=7.0)
    assert nsloss.prepare(network("mlp"), options, None, 0) is options


def test_training_by_protocol_is_training_with_that_strength():
    data, held_out = batches(24, 0), batches(9, 1)
    options = nsloss.Options(epochs=2, batch_size=8, strength=0.5, strength_unit="protocol")
    ours, theirs = network("mlp", torch.float32), network("mlp", torch.float32)
    absolute = nsloss.Options(epochs=2, batch_size=8, strength=nsloss.prepare(ours, options, data, 6).strength)
    first = fit(ours, as_method(nsloss, options), data, held_out, 6)
    second = fit(theirs, as_method(nsloss, absolute), data, held_out, 6)
    assert torch.equal(weights(ours), weights(theirs))
    assert first.equals(second)


def test_a_run_by_protocol_that_was_broken_off_ends_with_the_same_bits(tmp_path):
    """The strength is found with the network as it was before training, not as it was after the last epoch."""
    options = nsloss.Options(epochs=3, batch_size=8, strength_unit="protocol", learning_rate=0.05)
    checkpoint = Checkpoint(tmp_path / "state.safetensors", "key")
    runs = []
    for kept in (None, checkpoint, checkpoint):  # the last one takes up the second epoch's state
        net = network("mlp", torch.float32)
        fit(net, as_method(nsloss, options), batches(24, 0), batches(9, 1), 6, kept)
        runs.append(weights(net))
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(runs[0], runs[2])


def test_the_strength_found_is_logged(caplog):
    options = nsloss.Options(strength=2.0, strength_unit="protocol", batch_size=8)
    with caplog.at_level("INFO", logger="truemap"):
        found = nsloss.prepare(network("mlp", torch.float32), options, batches(24, 0), 0)
    assert f"lambda_0 {found.strength / 2:.6g}, strength {found.strength:.6g}" in caplog.text


def test_a_model_that_ignores_noise_gives_no_strength():
    data = batches(9, 0)
    data.volumes.parts[0][:] = 0
    with pytest.raises(DataError, match="strength_unit: absolute"):
        nsloss.prepare(network("mlp", torch.float32), nsloss.Options(strength_unit="protocol"), data, 0)
