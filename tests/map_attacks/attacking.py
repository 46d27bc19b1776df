"""A decoder with small maps that has learnt something, and its samples to attack."""

import importlib
from functools import cache

import numpy as np
import torch
from torch import nn

from truemap.data.grid import Grid
from truemap.map_attacks._attacked import Attacked
from truemap.networks._decoder import Decoder, build_network
from truemap.networks._soft import softened_network
from truemap.saliency._context import Context

torch.set_num_threads(1)
SHAPE, CLASSES = (9, 8, 7), 3
AFFINE = np.array([[-4.0, 0, 0, 30], [0, 5.0, 0, -20], [0, 0, 6.0, 10], [0, 0, 0, 1]])
MASK = np.ones(SHAPE, dtype=bool)
MASK[0] = MASK[:, -1] = False


@cache
def data(n, seed):
    """Maps of three classes, each with a blob of its own in noise of sd 1, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    x = torch.randn(n, *SHAPE, generator=generator)
    for number, corner in enumerate(((1, 1, 1), (4, 3, 3), (6, 5, 2))):
        here = tuple(slice(start, start + 2) for start in corner)
        x[(labels == number, *here)] += 1.5
    x[:, ~torch.from_numpy(MASK)] = 0
    return x, labels


@cache
def trained(name="cnn3d"):
    """A decoder after ordinary training, float32, of accuracy far above chance."""
    settings = {"cnn3d": {"name": "cnn3d", "filters": [4, 6]}, "mlp": {"name": "mlp", "hidden": 8},
                "linear": {"name": "linear"}}[name]  # fmt: skip
    torch.manual_seed(1)
    network = build_network(settings, SHAPE, CLASSES).train()
    x, labels = data(240, 2)
    adam = torch.optim.Adam(network.parameters(), lr=0.01)
    for start in range(0, 10 * len(x), 40):
        rows = torch.arange(start, start + 40) % len(x)
        adam.zero_grad()
        nn.functional.cross_entropy(network(x[rows]), labels[rows]).backward()
        adam.step()
    network.eval().requires_grad_(False)
    test, right = data(60, 3)
    assert (network(test).argmax(1) == right).float().mean() > 0.7
    return Decoder(network, 1.0, [f"class {c}" for c in range(CLASSES)], name)


def attacked(count=6, model=None, way="gradient", norm="linf", rows=None, beta=10.0, seed=0, **options):
    """Samples as attacks get them; of some rows."""
    model = model or trained()
    x, _ = data(60, 3)
    rows = list(range(count)) if rows is None else rows
    x = x[rows]
    predicted = model.network(x).argmax(1)
    module = importlib.import_module(f"truemap.saliency.{way}")
    context = Context(seed, None, torch.zeros(SHAPE), -4.0, 4.0)
    maps = module.differentiable(model, x, predicted, rows, module.Options(**options), context)
    network = model.network if getattr(module, "curved", False) else softened_network(model.network, beta)
    return Attacked(model, network, maps, x, predicted, rows, Grid(MASK, AFFINE), None, norm, seed)


def attack(name, of, bound=0.3, **options):
    module = importlib.import_module(f"truemap.map_attacks.{name}")
    return module.perturb(of, bound, module.Options(**options))


def sizes(noise, norm):
    flat = noise.double().flatten(1)
    return flat.norm(dim=1) if norm == "l2" else flat.abs().amax(dim=1)
