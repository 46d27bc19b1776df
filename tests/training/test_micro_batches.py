"""Trainings whose minibatches pass the network in parts, beside those that pass as a whole."""

import importlib

import numpy as np
import pytest
import torch
from methods import as_method
from pydantic import ValidationError
from small import CLASSES, SHAPE, after_update, batches, minibatch, network, weights
from torch import nn

from truemap.config.registry import names, resolve_method
from truemap.networks._shapes import pretended
from truemap.networks.cnn3d import Options, build
from truemap.runtime.files import DataError
from truemap.training import free, standard
from truemap.training._loop import fit
from truemap.training._passes import MicroBatches, computed_in

#: Trainings that do without: nothing passes the network, or a penalty is of all activations of a minibatch.
WHOLE = {"templates", "nsloss"}
#: More ways of a training, where it has such.
MORE = {"free": [{"gradient": "after"}], "spectral": [{"penalty": "sum"}], "jacobian": [{"projections": "all"}]}
CASES = [(m, o) for m in names("training") if m not in WHOLE for o in [{}, *MORE.get(m, [])]]


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
@pytest.mark.parametrize(("method", "options"), CASES, ids=str)
def test_an_update_in_parts_is_that_of_the_whole_minibatch(method, options, kind):
    """In float64: whatever gradients a training takes, of weights, of maps, of gradients."""
    module, (x, y), net = importlib.import_module(f"truemap.training.{method}"), minibatch(8), network(kind)
    expected, loss = after_update(module, net, module.Options(**options), x, y)
    for size in (1, 3, 8):
        passing = computed_in("float32", net, size)
        found, value = after_update(module, passing, module.Options(**options), x, y)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
        assert value == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_training_in_parts_ends_close_with_the_same_bits_twice(precision):
    def run(micro_batch):
        net, settings = network("cnn3d", torch.float32), {"epochs": 4, "batch_size": 8, "learning_rate": 0.01}
        method = as_method(free, **settings, precision=precision, micro_batch=micro_batch)
        history = fit(net, method, batches(24, 0), batches(9, 1), 0)
        return weights(net), history["loss"].to_numpy(), net

    (whole, loss, net), (parts, other, _), (again, _, _) = run(None), run(3), run(3)
    assert torch.equal(parts, again)
    rounding = 1e-4 if precision == "float32" else 0.05
    assert (parts - whole).norm() < rounding * whole.norm()
    assert other == pytest.approx(loss, rel=rounding)
    assert all(not name.startswith("network.") for name in net.state_dict())


def test_no_more_maps_meet_the_network_at_a_time_in_training_or_validation():
    net, met = network("cnn3d", torch.float32), []
    net.register_forward_pre_hook(lambda layer, inputs: met.append((layer.training, len(inputs[0]))))
    fit(net, as_method(standard, epochs=1, batch_size=8, micro_batch=2), batches(24, 0), batches(9, 1), 0)
    assert max(n for training, n in met if training) == max(n for training, n in met if not training) == 2
    # Each part once more, for the gradient.
    assert sum(n for training, n in met if training) == 2 * 24


def step(stride, micro_batch, batch=8):
    """Bytes of the activations of one update, and its operations, on tensors without numbers."""
    shape = (16, 18, 16)
    with pretended("cpu", seconds=3600) as shapes:
        x, net = torch.zeros(batch, *shape), build(shape, CLASSES, Options(filters=[8, 8, 16], pool_stride=stride))
        optimizer, random = torch.optim.SGD(net.parameters(), lr=0.1), torch.Generator("cpu").manual_seed(0)
        passing, y = computed_in("float32", net, micro_batch), torch.arange(batch) % 3
        before = shapes.peak = shapes.now
        standard.update(passing, optimizer, x, y, standard.Options(), random)
        return shapes.peak - before, shapes.operations


@pytest.mark.parametrize("stride", [1, 2])
def test_a_part_takes_the_memory_of_its_own_maps_and_a_third_more_operations(stride):
    (whole, operations), (parts, more), (alone, _) = step(stride, None), step(stride, 1), step(stride, None, batch=1)
    assert alone <= parts < 0.3 * whole
    assert parts < 1.5 * alone
    assert 1.2 < more / operations < 1.5


def test_a_minibatch_that_is_small_enough_passes_as_it_is():
    class Once(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x.flatten(1)[:, :CLASSES]

    net, x = Once(), torch.zeros(4, *SHAPE, requires_grad=True)
    MicroBatches(net, 4)(x).sum().backward()
    assert net.calls == 1
    assert computed_in("float32", net) is net


def test_a_network_that_normalises_over_a_minibatch_is_refused():
    layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(80), nn.Linear(80, CLASSES))
    assert computed_in("float32", layers) is layers
    with pytest.raises(DataError, match="BatchNorm1d"):
        computed_in("bf16", layers, 2)


@pytest.mark.parametrize("method", sorted(WHOLE))
def test_trainings_that_need_whole_minibatches_refuse_it(method):
    with pytest.raises(ValidationError):
        importlib.import_module(f"truemap.training.{method}").Options(micro_batch=2)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "all", [1, 2]])
def test_another_size_is_refused(wrong):
    with pytest.raises(ValueError, match="micro_batch"):
        resolve_method("training", {"name": "standard", "micro_batch": wrong})
