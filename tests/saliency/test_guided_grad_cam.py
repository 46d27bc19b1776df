import pytest
import torch
from captum.attr import GuidedGradCam
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    decoder,
    explain,
    maps,
)
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")


@pytest.mark.parametrize("name", ["cnn3d", "cnn3d-stride-1", "cnn3d-thin"])
@pytest.mark.parametrize("layer", [1, 2])
def test_equals_captum(name, layer):
    model, x = decoder(name), maps(name)
    with_channel = nn.Sequential(nn.Flatten(1, 2), model.network)
    method = GuidedGradCam(with_channel, model.network[3 * layer - 1])

    def expected(c):
        return method.attribute(x[:, None].clone().requires_grad_(), target=c, interpolate_mode="trilinear")[:, 0]

    found = explain("guided_grad_cam", model, x, output="logit", layer=layer)
    assert_equals_by_class(found, expected, x)


@pytest.mark.parametrize("options", [{}, {"output": "logit"}, {"layer": 1}])
def test_is_the_product_of_its_two_parts(options):
    model, x = decoder("cnn3d"), maps("cnn3d")
    parts = explain("grad_cam", model, x, **options) * explain("guided_backprop", model, x)
    torch.testing.assert_close(explain("guided_grad_cam", model, x, **options), parts)


@pytest.mark.parametrize("name", ["mlp", "linear"])
def test_refuses_a_network_without_convolutions(name):
    with pytest.raises(ValueError, match=r"needs a network with convolutions"):
        explain("guided_grad_cam", decoder(name), maps(name))


def test_a_map_does_not_depend_on_its_batch_mates():
    assert_independent_of_batch_mates("guided_grad_cam", "cnn3d")


def test_leaves_no_trace():
    assert_leaves_no_trace("guided_grad_cam", "cnn3d")
