import pytest
import torch
from captum.attr import DeepLift, GuidedBackprop
from small_decoders import decoder, explain, maps, relative_error
from torch import nn

from truemap.networks._decoder import Decoder
from truemap.networks._structure import sequence

NEED_KNOWN_LAYERS = ["deeplift", "deeplift_shap", "guided_backprop", "deconvnet", "lrp_epsilon"]


class Functional(nn.Module):
    """One ReLU is a layer, the other a function, which no hook and no rule reaches."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(24, 9), nn.ReLU(), nn.Linear(9, 8))
        self.last = nn.Linear(8, 4)
        self.requires_grad_(False)

    def forward(self, x):
        return self.last(torch.relu(self.layers(x)))


class Overridden(nn.Sequential):
    """A sequence that is not computed as one."""

    def forward(self, x):
        return torch.relu(super().forward(x))


@pytest.mark.parametrize("method", NEED_KNOWN_LAYERS)
@pytest.mark.parametrize("network", [Functional(), Overridden(*decoder("mlp").network)])
def test_networks_with_a_functional_relu_are_refused(method, network):
    model = Decoder(network, 1.0, [f"class-{c}" for c in range(4)], "mlp")
    with pytest.raises(ValueError, match=f"{method} has no rule for {type(network).__name__}"):
        explain(method, model, maps("mlp"))


@pytest.mark.filterwarnings("ignore:Setting", "ignore:Input Tensor 0 did not")
def test_captum_explains_them_all_the_same_as_if_a_functional_relu_were_linear():
    """Why they are refused: DeepLIFT then misses summation to delta, guided backpropagation lets negatives pass."""
    network, x = Functional(), maps("mlp")
    layered = nn.Sequential(*network.layers, nn.ReLU(), network.last)
    z = layered(x)[:, 1] - layered(torch.zeros_like(x))[:, 1]
    errors = []
    for model in (network, layered):
        found = DeepLift(model).attribute(x, torch.zeros_like(x), target=1).flatten(1).sum(dim=1)
        errors.append(relative_error(found, z))
    assert errors[0] > 0.05
    assert errors[1] < 1e-5
    guided = [GuidedBackprop(model).attribute(x.clone().requires_grad_(), target=1) for model in (network, layered)]
    assert relative_error(*guided) > 0.1


def test_layers_are_in_the_order_of_computation():
    a, b, c = nn.Flatten(), nn.ReLU(), nn.Linear(2, 2)
    assert sequence(nn.Sequential(a, nn.Sequential(b, nn.Sequential(c)), b), "a method") == [a, b, c, b]
