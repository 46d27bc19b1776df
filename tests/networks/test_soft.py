import copy

import numpy as np
import pytest
import torch
from residual import ResNet, seasoned
from torch import nn

from truemap.networks import cnn3d, correlation, linear, mlp
from truemap.networks._decoder import Decoder
from truemap.networks._look import look
from truemap.networks._soft import softened
from truemap.runtime.files import DataError

torch.set_num_threads(1)
SHAPE = (6, 5, 4)


def maps(shape=SHAPE, n=3):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


def decoder(network, shape=SHAPE, looked=True):
    network.eval().requires_grad_(False)
    found = look(network, maps(shape, 2), 3, "own") if looked else None
    return Decoder(network, 1.3, ["a", "b", "c"], "own", frozenset(found.traits) if found else None, ())


class Named(nn.Module):
    """One in-place ReLU under two names of one parent."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(120, 8), nn.Linear(8, 3)
        self.first = self.second = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.second(self.two(self.first(self.one(x.flatten(1)))))


def networks():
    torch.manual_seed(0)
    return {
        "mlp": (mlp.build(SHAPE, 3, mlp.Options(hidden=4)), SHAPE),
        "cnn3d": (cnn3d.build(SHAPE, 3, cnn3d.Options(filters=[2, 3])), SHAPE),
        "named twice": (Named(), SHAPE),
        "residual": (seasoned(ResNet(3, 1, 3, pool=False)), (1, 8, 8, 8)),
        "with a pool of largest values": (seasoned(ResNet(3, 1, 3)), (1, 8, 8, 8)),
    }


@pytest.mark.parametrize("name", networks())
def test_every_relu_is_softplus_and_weights_stay(name):
    network, shape = networks()[name]
    plain, x = decoder(network, shape), maps(shape)
    before = copy.deepcopy(network.state_dict())
    found = softened(plain, 7.0)
    assert not any(isinstance(layer, nn.ReLU) for layer in found.network.modules())
    assert any(isinstance(layer, nn.ReLU) for layer in network.modules())
    assert all(layer.beta == 7.0 for layer in found.network.modules() if isinstance(layer, nn.Softplus))
    assert found.network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in found.network.state_dict().items())
    assert (found.temperature, found.classes, found.others) == (1.3, plain.classes, ("softplus",))
    assert found.traits <= {"convolution"}
    assert not found.network.training
    with torch.no_grad():
        away = [(softened(plain, beta).network(x) - network(x)).abs().max().item() for beta in (1.0, 10.0, 1e4)]
    assert away[0] > away[1] > away[2]
    assert away[2] < 1e-3


def test_equals_the_network_written_out():
    network, x = networks()["mlp"][0], maps()
    one, two = (layer for layer in network if isinstance(layer, nn.Linear))
    u = (x.flatten(1) @ one.weight.T + one.bias).detach().numpy()
    expected = np.logaddexp(0, 3.0 * u) / 3.0 @ two.weight.detach().numpy().T + two.bias.detach().numpy()
    np.testing.assert_allclose(softened(decoder(network), 3.0).network(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("looked", [True, False])
def test_without_relus_nothing_changes(looked):
    plain = decoder(linear.build(SHAPE, 3, linear.Options()), looked=looked)
    found = softened(plain, 5.0)
    assert torch.equal(found.network(maps()), plain.network(maps()))
    assert found.network is not plain.network
    assert (found.traits, found.others) == (plain.traits, ())


@pytest.mark.parametrize(
    "network",
    [
        seasoned(ResNet(3, 1, 3, how="function")),
        seasoned(ResNet(3, 1, 3, how="silu")),
        correlation.build((1, 8, 8, 8), 3, correlation.Options()),
    ],
)
def test_what_bends_otherwise_is_refused(network):
    if isinstance(network, correlation.Correlation):
        network.templates.data.normal_()
    with pytest.raises(DataError, match=r"softplus in place of ReLU: .* no activation but nn\.ReLU layers"):
        softened(decoder(network, (1, 8, 8, 8)), 5.0)


def test_a_network_that_nobody_looked_at_must_be_a_known_sequence():
    assert softened(decoder(networks()["mlp"][0], looked=False), 5.0).traits is None
    with pytest.raises(ValueError, match="softplus in place of ReLU has no rule for Named"):
        softened(decoder(Named(), looked=False), 5.0)
