import pytest
import torch
from captum.attr import GuidedBackprop
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    decoder,
    explain,
    maps,
    passes,
    relative_error,
)
from torch import nn

from truemap.networks._decoder import Decoder

pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "cnn3d-stride-1", "cnn3d-thin"])
def test_equals_captum(name):
    model, x = decoder(name), maps(name)
    found = explain("guided_backprop", model, x)
    method = GuidedBackprop(model.network)
    assert_equals_by_class(found, lambda c: method.attribute(x.clone().requires_grad_(), target=c), x)
    assert relative_error(found, explain("absolute_gradient", model, x, output="logit")) > 0.1


def test_equals_the_rule_written_out_for_one_hidden_layer():
    model, x = decoder("mlp"), maps("mlp").double()
    first, last = model.network[1].double(), model.network[3].double()
    active = (first(x.flatten(1)) > 0).double()
    for c in range(4):
        expected = (active * last.weight[c].clamp(min=0)) @ first.weight
        torch.testing.assert_close(explain("guided_backprop", model, x)[:, c].flatten(1), expected)


def test_relus_that_overwrite_their_input_and_nested_ones_are_changed_too():
    model, x = decoder("cnn3d"), maps("cnn3d")
    expected = explain("guided_backprop", model, x)
    layers = [nn.ReLU(inplace=True) if isinstance(layer, nn.ReLU) else layer for layer in model.network]
    nested = nn.Sequential(nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:]))
    found = explain("guided_backprop", Decoder(nested, 1.0, model.classes, "cnn3d"), x)
    torch.testing.assert_close(found, expected)


def test_refuses_a_network_without_relu():
    with pytest.raises(ValueError, match=r"guided_backprop needs a network with nn\.ReLU"):
        explain("guided_backprop", decoder("linear"), maps("linear"))


def test_passes():
    assert passes("guided_backprop", decoder("mlp"), maps("mlp")) == (1, 4)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_does_not_depend_on_its_batch_mates(name):
    assert_independent_of_batch_mates("guided_backprop", name)


def test_leaves_no_trace():
    assert_leaves_no_trace("guided_backprop", "cnn3d")


def test_leaves_no_hooks_after_an_error():
    model = decoder("cnn3d")
    with pytest.raises(RuntimeError):
        explain("guided_backprop", model, torch.zeros(2, 3, 3, 3))
    assert not any(layer._forward_hooks for layer in model.network.modules())
