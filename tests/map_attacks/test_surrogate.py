import numpy as np
import pandas as pd
import torch
from attacking import CLASSES, data, trained
from torch import nn

from truemap.data.volumes import Volumes
from truemap.map_attacks._surrogate import DOUBLINGS, surrogate
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.networks._soft import softened


def batches(n=60):
    x, labels = data(n, 3)
    table = pd.DataFrame({"sample": range(n), "label": [f"class {label}" for label in labels.tolist()]})
    return Batches(Volumes([x.numpy()], table), [f"class {c}" for c in range(CLASSES)], torch.device("cpu"))


def test_beta_is_doubled_until_all_predictions_agree():
    model, rows = trained(), np.arange(60)
    told = surrogate(model, batches(), rows, 0.01, 100)
    x = data(60, 3)[0]
    own = model.network(x).argmax(1)
    soft = {2**k: softened(model, 0.01 * 2**k).network(x).argmax(1) for k in range(DOUBLINGS + 1)}
    agree = {factor: float((found == own).float().mean()) for factor, found in soft.items()}
    first = next(k for k, share in agree.items() if share == 1)
    assert agree[1] < 1 and first > 1
    assert (told.beta, told.agreement) == (0.01 * first, 1)
    torch.testing.assert_close(told.network(x), softened(model, told.beta).network(x))


def test_where_predictions_do_not_agree_in_the_end_the_share_is_told():
    """A ReLU network whose logits are equal, but for one that softplus of any beta lifts above."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(9 * 8 * 7, CLASSES), nn.ReLU())
    nn.init.zeros_(network[1].weight)
    with torch.no_grad():
        network[1].bias.copy_(torch.tensor([-2.0, -1.0, -3.0]))
    found = surrogate(
        Decoder(network.requires_grad_(False), 1.0, ["a", "b", "c"], "odd"), batches(), np.arange(9), 1e-3, 100
    )
    assert found.agreement == 0 and found.beta == 1e-3 * 2**DOUBLINGS


def test_a_network_without_relus_is_its_own():
    model = trained("linear")
    found = surrogate(model, batches(), np.arange(9), 10.0, 100)
    assert found.network is model.network and np.isnan(found.beta) and found.agreement == 1
