import copy
from dataclasses import replace

import pytest
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import EpsilonRule
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    decoder,
    explain,
    maps,
    passes,
    relative_error,
    residual,
)
from torch import nn

from truemap.networks._decoder import Decoder

NAMES = ["mlp", "cnn3d", "cnn3d-stride-1", "cnn3d-thin", "linear"]


def in_float64(model):
    return replace(model, network=copy.deepcopy(model.network).double())


def captum_lrp(network, x, target, epsilon):
    """captum forgets rules after each call: they are set anew.

    It demands one of reshaping layers too, and with the same epsilon would let them absorb relevance.
    """
    for layer in network:
        if not isinstance(layer, nn.ReLU):
            layer.rule = EpsilonRule(1e-30 if isinstance(layer, nn.Flatten | nn.Unflatten) else epsilon)
    return LRP(network).attribute(x.clone().requires_grad_(), target=target)


def written_out(network, x, target, epsilon, bias, signed):
    """The rule with each layer as a dense matrix, in float64, one map."""
    a, steps = x, []
    for layer in network:
        after = layer(a[None])[0]
        if not isinstance(layer, nn.ReLU | nn.Flatten | nn.Unflatten):
            matrix = torch.autograd.functional.jacobian(lambda z, layer=layer: layer(z[None])[0], torch.zeros_like(a))
            offset = layer(torch.zeros_like(a)[None])[0].flatten()
            steps.append((matrix.reshape(after.numel(), a.numel()), a.flatten(), offset))
        a = after
    relevance = torch.zeros_like(a)
    relevance[target] = a[target]
    for matrix, a, offset in reversed(steps):
        z = matrix @ a + (offset if bias else 0)
        z = z + epsilon * (torch.where(z >= 0, 1.0, -1.0) if signed else 1.0)
        relevance = torch.einsum("k,ki,i->i", relevance / z, matrix, a)
    return relevance.reshape(x.shape)


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "cnn3d-thin", "linear"])
@pytest.mark.parametrize("epsilon", [1e-4, 0.1])
def test_equals_captum(name, epsilon):
    model, x = in_float64(decoder(name)), maps(name).double()
    found = explain("lrp_epsilon", model, x, epsilon=epsilon)
    assert_equals_by_class(found, lambda c: captum_lrp(copy.deepcopy(model.network), x, c, epsilon), x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("signed", [True, False])
def test_equals_the_rule_written_out(name, bias, signed):
    model, x = in_float64(decoder(name)), maps(name, 2).double()
    found = explain("lrp_epsilon", model, x, epsilon=0.05, bias=bias, signed_epsilon=signed)

    def expected(c):
        return torch.stack([written_out(model.network, one, c, 0.05, bias, signed) for one in x])

    assert_equals_by_class(found, expected, x)


def test_each_option_matters():
    model, x = in_float64(decoder("mlp")), maps("mlp").double()
    usual = explain("lrp_epsilon", model, x, epsilon=0.05)
    for options in ({"bias": False}, {"signed_epsilon": False}, {"epsilon": 0.5}):
        assert relative_error(explain("lrp_epsilon", model, x, **{"epsilon": 0.05, **options}), usual) > 1e-3


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_single_precision_suffices(name):
    model, x = decoder(name), maps(name)
    expected = explain("lrp_epsilon", in_float64(model), x.double())
    assert relative_error(explain("lrp_epsilon", model, x), expected) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_relevance_is_conserved_without_bias(name):
    model, x = in_float64(decoder(name)), maps(name).double()
    found = explain("lrp_epsilon", model, x, epsilon=1e-12, bias=False)
    torch.testing.assert_close(found.flatten(2).sum(dim=2), model.network(x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_residual_is_what_epsilon_absorbs_without_bias(name):
    model, x = in_float64(decoder(name)), maps(name).double()
    missed = {}
    for epsilon in (1e-12, 0.1):
        found = explain("lrp_epsilon", model, x, epsilon=epsilon, bias=False)
        missed[epsilon] = residual("lrp_epsilon", model, x, found, epsilon=epsilon, bias=False)
        torch.testing.assert_close(missed[epsilon], found.flatten(2).sum(dim=2) - model.network(x))
    assert missed[1e-12].abs().max() < 1e-6 * model.network(x).abs().max()
    assert missed[0.1].abs().min() > 1e3 * missed[1e-12].abs().max()


def test_residual_is_what_the_biases_absorb_with_them():
    """All of it in a linear network; in others the part of each logit that is no gradient times input."""
    model, x = in_float64(decoder("linear")), maps("linear").double()
    missed = residual("lrp_epsilon", model, x, explain("lrp_epsilon", model, x, epsilon=1e-12))
    torch.testing.assert_close(missed, -model.network[1].bias.expand(4, 4))
    model, x = in_float64(decoder("cnn3d")), maps("cnn3d").double()
    missed = residual("lrp_epsilon", model, x, explain("lrp_epsilon", model, x, epsilon=1e-13))
    products = explain("gradient_x_input", model, x, output="logit").flatten(2).sum(dim=2)
    torch.testing.assert_close(missed, products - model.network(x), rtol=1e-5, atol=1e-8)
    assert missed.abs().min() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_is_gradient_times_input_with_bias_and_vanishing_epsilon(name):
    """Ancona et al. 2018, proposition 1."""
    model, x = in_float64(decoder(name)), maps(name).double()
    found = explain("lrp_epsilon", model, x, epsilon=1e-13)
    assert relative_error(found, explain("gradient_x_input", model, x, output="logit")) < 1e-6


@pytest.mark.parametrize("bias", [True, False])
def test_voxels_outside_the_brain_get_none(bias):
    """Sums there are exactly 0 where a bias is 0 or left out."""
    model, x = decoder("cnn3d"), maps("cnn3d")
    model.network[1].bias[0] = 0
    x[:, :5] = 0
    found = explain("lrp_epsilon", model, x, bias=bias)
    assert torch.isfinite(found).all()
    assert (found[:, :, :5] == 0).all()
    assert found.abs().max() > 0


def test_sequences_within_sequences_and_relus_that_overwrite_their_input():
    model, x = decoder("cnn3d"), maps("cnn3d")
    layers = [nn.ReLU(inplace=True) if isinstance(layer, nn.ReLU) else layer for layer in model.network]
    nested = nn.Sequential(nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:]))
    found = explain("lrp_epsilon", Decoder(nested, 1.0, model.classes, "cnn3d"), x)
    torch.testing.assert_close(found, explain("lrp_epsilon", model, x))


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.MaxPool3d(2), nn.Softmax(dim=1)])
def test_refuses_layers_without_a_rule(layer):
    model = decoder("mlp")
    network = nn.Sequential(*model.network, layer)
    with pytest.raises(ValueError, match=f"lrp_epsilon has no rule for {type(layer).__name__}"):
        explain("lrp_epsilon", Decoder(network, 1.0, model.classes, "mlp"), maps("mlp"))


def test_passes():
    model, count = decoder("mlp"), []
    model.network[1].register_forward_hook(lambda *_: count.append("forward"))
    model.network[1].register_full_backward_hook(lambda *_: count.append("backward"))
    explain("lrp_epsilon", model, maps("mlp"))
    assert count == ["forward"] + 4 * ["backward"]
    assert passes("lrp_epsilon", decoder("mlp"), maps("mlp"))[1] == 4


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_does_not_depend_on_its_batch_mates(name):
    assert_independent_of_batch_mates("lrp_epsilon", name, epsilon=0.01)


def test_leaves_no_trace():
    assert_leaves_no_trace("lrp_epsilon", "cnn3d")
