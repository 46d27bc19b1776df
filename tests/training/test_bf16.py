"""Trainings whose passes are computed in bf16, beside those in float32."""

import importlib

import pytest
import torch
from methods import as_method, made_up
from pydantic import ValidationError
from small import CLASSES, SHAPE, after_update, batches, minibatch, network, weights
from torch import nn

from truemap.config.registry import names, resolve_method
from truemap.networks import cnn3d
from truemap.networks._shapes import pretended
from truemap.runtime.files import DataError
from truemap.training import free, standard
from truemap.training._checkpoint import Checkpoint
from truemap.training._loop import fit
from truemap.training._passes import computed_in

#: In closed form: there is nothing to compute in another precision.
CLOSED_FORM = {"templates"}
#: More ways of a training, where it has such.
MORE = {"free": [{"gradient": "after"}], "spectral": [{"penalty": "sum"}], "jacobian": [{"projections": "all"}]}
CASES = [(m, o) for m in names("training") if m not in CLOSED_FORM for o in [{}, *MORE.get(m, [])]]


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
@pytest.mark.parametrize(("method", "options"), CASES, ids=str)
def test_an_update_in_bf16_is_nearly_that_in_float32(method, options, kind):
    """bf16 keeps 8 bits: what it changes of a step is a few parts in a hundred, and nothing of it is lost."""
    module = importlib.import_module(f"truemap.training.{method}")
    (x, y), steps, losses = minibatch(16, dtype=torch.float32), [], []
    for precision in ("float32", "bf16"):
        net = computed_in(precision, network(kind, torch.float32))
        found, loss = after_update(module, net, module.Options(**options), x, y, rate=1.0)
        assert found.dtype == torch.float32
        steps.append(found - weights(net))
        losses.append(loss)
    assert 0 < (steps[1] - steps[0]).norm() < 0.1 * steps[0].norm()
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def run(method, precision, checkpoint=None, **options):
    net = network("cnn3d", torch.float32)
    found = as_method(method, epochs=6, batch_size=8, learning_rate=0.01, precision=precision, **options)
    return net, fit(net, found, batches(24, 0), batches(9, 1), 0, checkpoint)


@pytest.mark.parametrize("method", [standard, free], ids=["standard", "free"])
def test_a_network_trained_in_bf16_is_close_and_has_the_same_bits_twice(method):
    (net, history), (other, expected), (again, _) = (run(method, p) for p in ("bf16", "float32", "bf16"))
    assert torch.equal(weights(net), weights(again))
    assert not torch.equal(weights(net), weights(other))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert history["loss"].to_numpy() == pytest.approx(expected["loss"].to_numpy(), rel=0.1)
    last = [h["validation_accuracy"].iloc[-1] for h in (history, expected)]
    assert abs(last[0] - last[1]) <= 2 / 9  # of nine maps two


def test_weights_and_validation_stay_float32():
    net, met = network("cnn3d", torch.float32), []
    for layer in net:
        layer.register_forward_hook(lambda layer, _, out: met.append((layer.training, out.dtype)))
    fit(net, as_method(standard, epochs=1, batch_size=8, precision="bf16"), batches(24, 0), batches(9, 1), 0)
    assert (True, torch.bfloat16) in met
    assert {kind for training, kind in met if not training} == {torch.float32}
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert all(not name.startswith("network.") for name in net.state_dict())


def test_a_training_meets_float32_maps_and_logits_and_float32_meets_the_network_itself():
    net = network("cnn3d", torch.float32)
    assert computed_in("float32", net) is net
    seen = []

    def update(passing, optimizer, x, y, options, random):
        x = x.clone().requires_grad_(True)
        logits = passing(x)
        (slope,) = torch.autograd.grad(logits.sum(), x)
        seen.extend([logits.dtype, slope.dtype])
        return 0.0

    options = standard.Options(epochs=1, precision="bf16")
    fit(
        net,
        made_up("training", options, update=update, prepare=lambda *given: given[1]),
        batches(9, 0),
        batches(9, 1),
        0,
    )
    assert set(seen) == {torch.float32}


def test_a_broken_run_taken_up_again_ends_with_the_bits_of_an_unbroken_one(tmp_path):
    checkpoint, calls = Checkpoint(tmp_path / "state.safetensors", "key"), iter(range(100))
    whole, _ = run(free, "bf16")

    def update(*arguments):
        if next(calls) == 7:
            raise KeyboardInterrupt
        return free.update(*arguments)

    options = free.Options(epochs=6, batch_size=8, learning_rate=0.01, precision="bf16")
    broken = made_up("training", options, update=update, prepare=lambda *given: given[1])
    with pytest.raises(KeyboardInterrupt):
        fit(network("cnn3d", torch.float32), broken, batches(24, 0), batches(9, 1), 0, checkpoint)
    resumed, _ = run(free, "bf16", checkpoint)
    assert torch.equal(weights(resumed), weights(whole))


def test_an_error_within_a_pass_leaves_no_autocast_behind():
    class Faulty(nn.Module):
        def forward(self, x):
            raise DataError("no")

    with pytest.raises(DataError):
        computed_in("bf16", Faulty())(torch.zeros(1, 2))
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("wrong", ["float16", "bfloat16", 32, None, ["float32", "bf16"]])
def test_another_precision_is_refused(wrong):
    with pytest.raises(ValueError, match="precision"):
        resolve_method("training", {"name": "free", "precision": wrong})


def test_nsloss_refuses_noise_that_bf16_cannot_tell_from_its_rounding():
    nsloss, data = importlib.import_module("truemap.training.nsloss"), batches(9, 0)
    short = {"epsilon": 0.001, "epochs": 1}
    assert nsloss.prepare(None, nsloss.Options(**short), data, 0)
    assert nsloss.prepare(None, nsloss.Options(precision="bf16"), data, 0)
    with pytest.raises(DataError, match="precision: float32"):
        nsloss.prepare(None, nsloss.Options(**short, precision="bf16"), data, 0)


def test_what_is_in_closed_form_has_none():
    with pytest.raises(ValidationError):
        importlib.import_module("truemap.training.templates").Options(precision="bf16")


def counted(method, precision, place):
    """Bytes of one update, on tensors without numbers."""
    module = importlib.import_module(f"truemap.training.{method}")
    with pretended(place, seconds=3600) as shapes:
        x, net = torch.zeros(4, *SHAPE), cnn3d.build(SHAPE, CLASSES, cnn3d.Options(filters=[3, 4]))
        optimizer, random = torch.optim.SGD(net.parameters(), lr=0.1), torch.Generator("cpu").manual_seed(0)
        before = shapes.peak = shapes.now
        passing, y = computed_in(precision, net), torch.arange(4) % 3
        module.update(passing, optimizer, x, y, module.Options(), random)
    return shapes.peak - before


@pytest.mark.parametrize("method", ["standard", "free", "trades", "jacobian", "nsloss"])
def test_memory_is_counted_of_bf16_too(method):
    assert counted(method, "bf16", "cpu") > 0


def test_on_meta_tensors_which_know_no_autocast_what_float32_takes_is_counted():
    assert counted("standard", "bf16", "cuda") == counted("standard", "float32", "cuda") > 0
