import numpy as np
import pandas as pd
import torch
from attacking import CLASSES, data, trained
from torch import nn

from truemap.data.volumes import Volumes
from truemap.map_attacks._surrogate import DOUBLINGS, surrogate
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.networks._soft import softened_network


def batches(n=60):
    x, labels = data(n, 3)
    table = pd.DataFrame({"sample": range(n), "label": [f"class {label}" for label in labels.tolist()]})
    return Batches(Volumes([x.numpy()], table), [f"class {c}" for c in range(CLASSES)], torch.device("cpu"))


def test_each_relu_becomes_softplus_and_the_decoder_keeps_its_own():
    model, x = trained(), data(60, 3)[0]
    found = softened_network(model.network, 4.0)
    by_hand = nn.Sequential(*(nn.Softplus(4.0) if isinstance(layer, nn.ReLU) else layer for layer in model.network))
    torch.testing.assert_close(found(x), by_hand(x))
    assert not any(isinstance(layer, nn.ReLU) for layer in found.modules())
    assert any(isinstance(layer, nn.ReLU) for layer in model.network.modules())


def test_a_relu_that_stands_in_two_places_is_replaced_in_both():
    relu = nn.ReLU()
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), relu, nn.Sequential(nn.Linear(4, 4), relu))
    assert not any(isinstance(layer, nn.ReLU) for layer in softened_network(network, 1.0).modules())


def test_it_nears_the_network_as_beta_rises():
    model, x = trained(), data(60, 3)[0]
    away = [
        (softened_network(model.network, beta)(x) - model.network(x)).abs().max() for beta in (1.0, 10.0, 100.0, 1000.0)
    ]
    assert (np.diff(away) < 0).all() and away[-1] < 1e-2


def test_beta_is_doubled_until_all_predictions_agree():
    model, rows = trained(), np.arange(60)
    told = surrogate(model, batches(), rows, 0.01)
    x = data(60, 3)[0]
    own = model.network(x).argmax(1)
    soft = {2**k: softened_network(model.network, 0.01 * 2**k)(x).argmax(1) for k in range(DOUBLINGS + 1)}
    agree = {factor: float((found == own).float().mean()) for factor, found in soft.items()}
    first = next(k for k, share in agree.items() if share == 1)
    assert agree[1] < 1 and first > 1
    assert (told.beta, told.agreement) == (0.01 * first, 1)
    torch.testing.assert_close(told.network(x), softened_network(model.network, told.beta)(x))


def test_where_predictions_do_not_agree_in_the_end_the_share_is_told():
    """A ReLU network whose logits are equal, but for one that softplus of any beta lifts above."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(9 * 8 * 7, CLASSES), nn.ReLU())
    nn.init.zeros_(network[1].weight)
    with torch.no_grad():
        network[1].bias.copy_(torch.tensor([-2.0, -1.0, -3.0]))
    found = surrogate(
        Decoder(network.requires_grad_(False), 1.0, ["a", "b", "c"], "odd"), batches(), np.arange(9), 1e-3
    )
    assert found.agreement == 0 and found.beta == 1e-3 * 2**DOUBLINGS


def test_a_network_without_relus_is_its_own():
    model = trained("linear")
    found = surrogate(model, batches(), np.arange(9), 10.0)
    assert found.network is model.network and np.isnan(found.beta) and found.agreement == 1
