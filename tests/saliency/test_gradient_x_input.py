import copy

import pytest
import torch
from captum.attr import InputXGradient
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    decoder,
    explain,
    maps,
    output,
)
from torch import nn


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "linear"])
@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_equals_captum(name, kind):
    model, x = decoder(name), maps(name)
    method = InputXGradient(output(model, kind))
    found = explain("gradient_x_input", model, x, output=kind)
    assert_equals_by_class(found, lambda c: method.attribute(x.clone().requires_grad_(), target=c), x)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_sums_to_the_logit_of_a_network_without_biases(name):
    """Such a network is positively homogeneous: sum_i x_i dz/dx_i = z (Euler)."""
    model, x = copy.deepcopy(decoder(name)), maps(name)
    for layer in model.network.modules():
        if isinstance(layer, nn.Linear | nn.Conv3d):
            layer.bias.zero_()
    found = explain("gradient_x_input", model, x, output="logit").flatten(2).sum(dim=2)
    torch.testing.assert_close(found, model.network(x).double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_does_not_depend_on_its_batch_mates(name):
    assert_independent_of_batch_mates("gradient_x_input", name)
    assert_independent_of_batch_mates("gradient_x_input", name, output="logit")


def test_leaves_no_trace():
    assert_leaves_no_trace("gradient_x_input", "cnn3d")
