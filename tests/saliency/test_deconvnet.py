import pytest
import torch
from captum.attr import Deconvolution
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

pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "cnn3d-stride-1", "cnn3d-thin"])
def test_equals_captum(name):
    model, x = decoder(name), maps(name)
    found = explain("deconvnet", model, x)
    method = Deconvolution(model.network)
    assert_equals_by_class(found, lambda c: method.attribute(x.clone().requires_grad_(), target=c), x)
    assert relative_error(found, explain("guided_backprop", model, x)) > 0.1


def test_equals_the_rule_written_out_for_one_hidden_layer_the_same_for_every_map():
    model, x = decoder("mlp"), maps("mlp").double()
    first, last = model.network[1].double(), model.network[3].double()
    found = explain("deconvnet", model, x).flatten(2)
    expected = last.weight.clamp(min=0) @ first.weight
    torch.testing.assert_close(found, expected.expand(4, *expected.shape))


def test_refuses_a_network_without_relu():
    with pytest.raises(ValueError, match=r"deconvnet needs a network with nn\.ReLU"):
        explain("deconvnet", decoder("linear"), maps("linear"))


def test_passes():
    assert passes("deconvnet", decoder("mlp"), maps("mlp")) == (1, 4)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_does_not_depend_on_its_batch_mates(name):
    assert_independent_of_batch_mates("deconvnet", name)


def test_leaves_no_trace():
    assert_leaves_no_trace("deconvnet", "cnn3d")
