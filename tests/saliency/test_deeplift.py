import pytest
import torch
from captum.attr import DeepLift
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    context,
    decoder,
    explain,
    maps,
    passes,
    relative_error,
    residual,
)
from torch import nn

from truemap.networks._decoder import Decoder
from truemap.saliency.deeplift import contributions

pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks", "ignore:Input Tensor 0 did not")
NAMES = ["mlp", "cnn3d", "cnn3d-stride-1", "cnn3d-thin", "linear"]


def origin(x, baseline):
    return context(tuple(x.shape[1:])).mean.expand_as(x) if baseline == "mean" else torch.zeros_like(x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_equals_captum(name, baseline):
    model, x = decoder(name), maps(name)
    found = explain("deeplift", model, x, baseline=baseline)
    method = DeepLift(model.network)
    assert_equals_by_class(found, lambda c: method.attribute(x, origin(x, baseline), target=c), x)


def test_equals_the_rule_written_out_for_one_hidden_layer():
    model, x = decoder("mlp"), maps("mlp").double()
    first, last = model.network[1].double(), model.network[3].double()
    a, b = first(x.flatten(1)), first(torch.zeros(1, 24).double())
    slope = (a.clamp(min=0) - b.clamp(min=0)) / (a - b)
    assert ((slope > 0) & (slope < 1)).any()
    for c in range(4):
        expected = x.flatten(1) * ((slope * last.weight[c]) @ first.weight)
        torch.testing.assert_close(explain("deeplift", model, x)[:, c].flatten(1), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_sums_to_the_difference_of_the_logits(name, baseline):
    model, x = decoder(name), maps(name)
    found = explain("deeplift", model, x, baseline=baseline)
    delta = (model.network(x) - model.network(origin(x, baseline)[:1])).double()
    missed = residual("deeplift", model, x, found, baseline=baseline)
    assert missed.shape == (4, 4)
    assert missed.abs().max() < 2e-6 * found.abs().flatten(2).sum(dim=2).max()
    torch.testing.assert_close(found.flatten(2).sum(dim=2) - delta, missed, atol=1e-6, rtol=0)


def test_residual_is_measured_from_the_baseline_of_the_options():
    model, x = decoder("mlp"), maps("mlp")
    found = explain("deeplift", model, x, baseline="mean")
    assert residual("deeplift", model, x, found, baseline="zero").abs().max() > 0.1


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-12, 1e-6, 1e4])
def test_sums_up_however_near_the_baseline_is(scale):
    """Without biases units are as near to zero, and on both sides of it."""
    network = decoder("mlp").network
    network[1].bias.zero_()
    network[3].bias.zero_()
    x, start = scale * maps("mlp"), -scale / 3 * maps("mlp").flip(0)
    found = contributions(network, x, start)
    assert torch.isfinite(found).all()
    expected = (network(x) - network(start)).double()
    assert (found.flatten(2).sum(dim=2) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_sequences_within_sequences_and_relus_that_overwrite_their_input_or_come_twice():
    model, x = decoder("cnn3d"), maps("cnn3d")
    relu = nn.ReLU(inplace=True)
    layers = [relu if isinstance(layer, nn.ReLU) else layer for layer in model.network]
    nested = nn.Sequential(nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:]))
    found = explain("deeplift", Decoder(nested, 1.0, model.classes, "cnn3d"), x)
    torch.testing.assert_close(found, explain("deeplift", model, x))


def test_captum_through_a_softmax_depends_on_batch_mates_and_misses_the_sum():
    """Why logits only are explained (captum 0.9.0, issue 1367)."""
    model, x = decoder("mlp"), maps("mlp")
    network = nn.Sequential(*model.network, nn.Softmax(dim=1))
    start = torch.zeros_like(x)
    together = DeepLift(network).attribute(x, start, target=0)
    alone = DeepLift(network).attribute(x[:1], start[:1], target=0)
    assert relative_error(together[:1], alone) > 0.01
    delta = (network(x) - network(start))[:, 0]
    assert relative_error(together.flatten(1).sum(dim=1), delta) > 0.01


def test_passes():
    """Maps and baseline go through the network together, once."""
    model, count = decoder("mlp"), []
    model.network[1].register_forward_hook(lambda _layer, inputs, _output: count.append(len(inputs[0])))
    explain("deeplift", model, maps("mlp"))
    assert count == [5]
    assert passes("deeplift", decoder("mlp"), maps("mlp"))[1] == 4


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_a_map_does_not_depend_on_its_batch_mates(name, baseline):
    assert_independent_of_batch_mates("deeplift", name, baseline=baseline)


def test_leaves_no_trace():
    assert_leaves_no_trace("deeplift", "cnn3d", baseline="mean")
