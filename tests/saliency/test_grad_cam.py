import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from pydantic import ValidationError
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    decoder,
    explain,
    maps,
    output,
    relative_error,
)
from torch import nn

from truemap.networks._decoder import Decoder, build_network
from truemap.saliency.grad_cam import Options

NAMES = ["cnn3d", "cnn3d-stride-1", "cnn3d-thin"]


def both_signs(model):
    """Biases of the last layer do not matter; its weights decide the signs of Grad-CAM's weights."""
    torch.manual_seed(5)
    model.network[-1].weight.normal_()
    return model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("relu", [True, False])
def test_equals_captum(name, kind, layer, relu):
    model, x = both_signs(decoder(name)), maps(name)
    method = LayerGradCam(output(model, kind), model.network[3 * layer - 1])

    def expected(c):
        low = method.attribute(x, target=c, relu_attributions=relu)
        return LayerAttribution.interpolate(low, tuple(x.shape[1:]), "trilinear")[:, 0]

    found = explain("grad_cam", model, x, output=kind, layer=layer, relu=relu)
    assert_equals_by_class(found, expected, x)
    assert (found.min() >= 0) == relu


def test_interpolation_written_out():
    """Voxel i of n lies at (i + 1/2) m / n - 1/2 of m, held at the edges."""
    model, x = both_signs(decoder("cnn3d")), maps("cnn3d", 1)
    with torch.no_grad():
        features = model.network[:6](x).double()[0]
    features = features.requires_grad_(True)
    logits = model.network[6:](features[None].float())[0]
    found = explain("grad_cam", model, x, output="logit", layer=2, relu=False)[0]
    for c in range(4):
        (gradient,) = torch.autograd.grad(logits[c], features, retain_graph=True)
        cam = (gradient.mean(dim=(1, 2, 3))[:, None, None, None] * features).sum(dim=0).detach().numpy()
        for axis, size in enumerate(x.shape[1:]):
            m = cam.shape[axis]
            at = np.clip((np.arange(size) + 0.5) * m / size - 0.5, 0, m - 1)
            cam = np.apply_along_axis(lambda line, at=at, m=m: np.interp(at, np.arange(m), line), axis, cam)
        np.testing.assert_allclose(found[c], cam, atol=1e-5 * np.abs(cam).max())


def deep(shape, filters):
    torch.manual_seed(3)
    network = build_network({"name": "cnn3d", "filters": filters}, shape, 3).requires_grad_(False)
    return Decoder(network, 1.0, list("abc"), "cnn3d"), torch.randn(2, *shape)


@pytest.mark.parametrize(
    ("shape", "layer"),
    [((9, 8, 6), 2), ((9, 9, 1), 3), ((4, 4, 4), 2), ((3, 8, 8), 1)],
    ids=["last block", "an axis one voxel thick does not count", "1x1x1 comes after", "one axis of 1"],
)
def test_default_layer_is_the_last_with_more_than_one_voxel_an_axis(shape, layer):
    """Maps after the ReLUs: 986, 443 | 991, 441, 221 | 444, 222 | 388 (blocks end there)."""
    model, x = deep(shape, [3, 4, 3, 2])
    torch.testing.assert_close(
        explain("grad_cam", model, x, relu=False), explain("grad_cam", model, x, layer=layer, relu=False)
    )


def test_default_layer_passes_over_maps_of_one_voxel_and_relus_of_units():
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Unflatten(1, (1, 4)),
        nn.Conv3d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool3d(4),
        nn.Conv3d(3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    ).requires_grad_(False)
    model, x = Decoder(network, 1.0, list("abc"), "cnn3d"), torch.randn(2, 4, 4, 4)
    found = explain("grad_cam", model, x, relu=False)
    torch.testing.assert_close(found, explain("grad_cam", model, x, relu=False, layer=1))
    assert relative_error(explain("grad_cam", model, x, relu=False, layer=2), found) > 0.1
    with pytest.raises(ValueError, match="ReLU 3 of this network gives no feature maps"):
        explain("grad_cam", model, x, layer=3)


def test_stays_right_where_a_probability_rounds_to_one():
    """The gradient of p = 1 - 1e-40 is that of the logits' differences, scaled."""
    model, x = both_signs(decoder("cnn3d")), maps("cnn3d")
    network = copy.deepcopy(model.network)
    network[-1].bias[:] = torch.tensor([90.0, 0, -3, 2])
    found = explain("grad_cam", replace(model, network=network, temperature=1.0), x, relu=False)
    wide = replace(model, network=copy.deepcopy(network).double(), temperature=1.0)
    expected = explain("grad_cam", wide, x.double(), relu=False)
    for c in range(4):
        assert found[:, c].abs().max() > 0
        assert relative_error(found[:, c], expected[:, c]) < 1e-4
    assert found.sum(dim=1).abs().max() <= 1e-9 * found.abs().max()


@pytest.mark.parametrize("name", ["mlp", "linear"])
def test_refuses_a_network_without_convolutions(name):
    with pytest.raises(ValueError, match=r"grad_cam needs a network with convolutions"):
        explain("grad_cam", decoder(name), maps(name))


def test_refuses_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="layer is 3, but this network has 2 ReLU layers"):
        explain("grad_cam", decoder("cnn3d"), maps("cnn3d"), layer=3)
    with pytest.raises(ValidationError):
        Options(layer=0)


def test_refuses_where_no_map_has_more_than_one_voxel():
    model, _ = deep((2, 2, 2), [2])
    model.network[0] = nn.Sequential(nn.Unflatten(1, (1, 2)), nn.AvgPool3d(2))
    model.network[3] = nn.Identity()
    with pytest.raises(ValueError, match="grad_cam: no ReLU of this network"):
        explain("grad_cam", model, torch.randn(2, 2, 2, 2))
    assert not any(layer._forward_hooks for layer in model.network.modules())


def test_passes():
    for options, expected in (({}, 3), ({"output": "logit"}, 4)):
        model, count = decoder("cnn3d"), []
        model.network.register_forward_hook(lambda *_, count=count: count.append("forward"))
        model.network[-1].register_full_backward_hook(lambda *_, count=count: count.append("backward"))
        model.network[1].register_full_backward_hook(lambda *_, count=count: count.append("too far"))
        explain("grad_cam", model, maps("cnn3d"), **options)
        assert count == ["forward"] + expected * ["backward"]


@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_a_map_does_not_depend_on_its_batch_mates(kind):
    assert_independent_of_batch_mates("grad_cam", "cnn3d", output=kind, relu=False)


def test_leaves_no_trace():
    assert_leaves_no_trace("grad_cam", "cnn3d")
