import pytest
import torch
from residual import ResNet, seasoned
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from truemap.networks import cnn3d, correlation, linear, mlp, planted
from truemap.networks._adapter import Adapter
from truemap.networks._last import last_layer
from truemap.runtime.files import DataError

torch.set_num_threads(1)
SHAPE = (6, 5, 4)


def maps(n=3, shape=SHAPE):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return 2 * self.layer(x)


class Shifted(Scaled):
    """Adds to the logits in place: the tensor is the layer's, its numbers are not."""

    def forward(self, x):
        out = self.layer(x)
        out += 1
        return out


class Bent(nn.Linear):
    def forward(self, x):
        return super().forward(x).relu()


def networks():
    torch.manual_seed(0)
    of_two = [nn.Sequential(Adapter([0], [1, 0, 2], (5, 6, 4)), nn.Flatten(), nn.Linear(120, 4), nn.Linear(4, 3))]
    return {
        "linear": linear.build(SHAPE, 3, linear.Options()),
        "mlp": mlp.build(SHAPE, 3, mlp.Options(hidden=4)),
        "cnn3d": cnn3d.build(SHAPE, 3, cnn3d.Options(filters=[2, 3])),
        "planted": planted.build(SHAPE, 3, planted.Options(kind="regions")),
        "nested": nn.Sequential(
            nn.Flatten(), nn.Sequential(nn.Linear(120, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 3)))
        ),
        "behind an adapter": of_two[0],
        "without a bias": nn.Sequential(nn.Flatten(), nn.Linear(120, 4), nn.Tanh(), nn.Linear(4, 3, bias=False)),
        "parametrized": nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(120, 3))),
    }


@pytest.mark.parametrize("name", networks())
def test_logits_are_the_last_weights_times_the_features(name):
    network, x = networks()[name].eval(), maps()
    last = last_layer(network, x[:1], "influence")
    found = last.features(x)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found @ last.weights.T, network(x).double(), rtol=1e-5, atol=1e-5)
    assert (found[:, -1] == 1).all() == (name != "without a bias")
    assert not last.layer._forward_hooks
    assert not last.layer._forward_pre_hooks


def test_of_a_network_that_is_no_sequence():
    network = seasoned(ResNet(3, 1, 3))
    x = maps(2, (1, 8, 8, 8))
    last = last_layer(network, x, "influence")
    assert last.layer is network.fc
    torch.testing.assert_close(last.features(x) @ last.weights.T, network(x).double(), rtol=1e-5, atol=1e-5)


def test_features_have_a_gradient():
    network, x = networks()["mlp"].double(), maps().double().requires_grad_(True)
    found = last_layer(network, x, "influence").features(x)
    (gradient,) = torch.autograd.grad(found[:, 0].sum(), x)
    (expected,) = torch.autograd.grad(network[:-1](x)[:, 0].sum(), x)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(
    ("network", "x", "reason"),
    [
        (correlation.build(SHAPE, 3, correlation.Options()), maps(), r"\(Correlation\) has no nn.Linear"),
        (Twice(), torch.ones(1, 4), "runs its last layer more than once"),
        (Scaled(), torch.ones(1, 4), "does something to the logits after its last nn.Linear"),
        (nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1)), torch.ones(1, 4), "does something to the logits"),
        (Shifted(), torch.ones(1, 4), "not one matrix and a bias"),
        (nn.Sequential(Bent(4, 3)), -torch.ones(1, 4), "not one matrix and a bias"),
        (nn.Sequential(nn.Linear(4, 3)), torch.ones(1, 2, 4), "on one vector a map"),
    ],
)
def test_what_does_not_end_with_a_linear_layer_is_refused_with_the_reason(network, x, reason):
    torch.manual_seed(0)
    with pytest.raises(DataError, match=f"influence: asks for a network that ends with one nn.Linear.*{reason}"):
        last_layer(network, x, "influence")
    assert not any(layer._forward_hooks for layer in network.modules())
