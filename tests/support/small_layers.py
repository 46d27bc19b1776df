"""Small decoders in float64, their training maps, and what is asked of influences by hand."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network

torch.set_num_threads(1)
CLASSES, SHAPE = 3, (4, 3, 2)
NETWORKS = {
    "mlp": {"name": "mlp", "hidden": 5},
    "linear": {"name": "linear"},
    "cnn3d": {"name": "cnn3d", "filters": [3]},
}


def decoder(name="mlp", classes=CLASSES, dtype=torch.float64, shape=SHAPE):
    torch.manual_seed(2)
    network = build_network(NETWORKS[name], shape, classes).eval().requires_grad_(False).to(dtype)
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv3d):
            layer.bias.normal_(0, 0.3)
    return Decoder(network, 1.7, [f"class-{c}" for c in range(classes)], name)


def batches(n, seed=0, classes=CLASSES, shape=SHAPE, first=0):
    """Maps whose class is in three of their voxels, under noise; sample ids are not positions."""
    random = np.random.default_rng(seed)
    maps = random.standard_normal((n, *shape)).astype(np.float32)
    labels = np.arange(n) % classes
    maps.reshape(n, -1)[np.arange(n), labels] += 1.5
    table = pd.DataFrame(
        {
            "sample": first + 3 * np.arange(n),
            "subject": [f"sub-{k // 5}" for k in range(n)],
            "label": [f"class-{c}" for c in labels],
            "condition": [f"class-{c}" for c in labels],
            "negated": False,
        }
    )
    return Batches(Volumes([maps], table), [f"class-{c}" for c in range(classes)], torch.device("cpu"))


def everything(data, dtype=torch.float64):
    x, labels = data.get(torch.arange(len(data)))
    return x.to(dtype), labels


def features(model, x):
    """What meets the last of the layers in sequence, with a 1."""
    with torch.no_grad():
        found = model.network[:-1](x)
    return torch.cat([found, torch.ones(len(x), 1).to(found)], dim=1)
