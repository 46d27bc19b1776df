"""A random network, maps of a few subjects, and an attack on what explains them."""

import numpy as np
import pandas as pd
import torch

from truemap.config.registry import method, resolve_method
from truemap.data.grid import Grid
from truemap.data.regions import Regions
from truemap.data.volumes import Volumes
from truemap.evaluation.attacked_maps import Fragile
from truemap.evaluation.attacked_truth import Truths
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.shapley import shapley_blocks
from truemap.evaluation.truth import Truth
from truemap.map_attacks._contract import MapAttack
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

SHAPE, CLASSES = (4, 4, 3), ["a", "b", "c"]
VOXELS = int(np.prod(SHAPE))
MASK = np.ones(SHAPE, dtype=bool)
MASK[0, 0] = False
SETTINGS = {
    "epsilon": [0.05, 0.3],
    "norm": "linf",
    "top": 0.1,
    "seed": 0,
    "memory": 100,
    "standardize": "volume",
    "moved": False,
    "permutations": 5,
}


def fragile(attack="top_k", saliency="gradient", settings=None, subjects=2, network=None, **options):
    """A random network and maps of a few subjects; the truth is theirs."""
    torch.manual_seed(0)
    built = build_network({"name": "mlp", "hidden": 6}, SHAPE, 3).eval().requires_grad_(False)
    decoder = Decoder(built, 1.0, CLASSES, "mlp")
    n = 4 * len(CLASSES)
    values = np.random.default_rng(5).standard_normal((n, *SHAPE)).astype(np.float32)
    label = [CLASSES[k % 3] for k in range(n)]
    subject = [f"s{k % subjects}" if subjects else "" for k in range(n)]
    table = pd.DataFrame({"sample": np.arange(n) + 70, "subject": subject, "label": label, "condition": label})
    volumes = Volumes([values], table.assign(negated=False))
    truths = {}
    for name, part in volumes.table.groupby("subject"):
        means = np.stack([values[g.index].reshape(len(g), -1).mean(0) for _, g in part.groupby("label")])
        truths[name, "all"] = Truth(pd.DataFrame({"label": CLASSES, "n": 2, "scale": 1.0}), means, "classes")
    batches = Batches(volumes, CLASSES, torch.device("cpu"))
    context = Context(0, batches, torch.zeros(SHAPE), -4.0, 4.0)
    way = method("saliency", resolve_method("saliency", {"name": saliency}), Saliency)
    chosen = method("map_attacks", resolve_method("map_attacks", {"name": attack, **options}), MapAttack)
    given, grid = ScoreInputs(truths, None, volumes), Grid(MASK, np.diag([3.0, 3, 4, 1]))
    settings = {**SETTINGS, **(settings or {})}
    return Fragile(decoder, batches, way, context, chosen, Truths(given, network, settings), grid, settings)


def with_network(attack="random_sign", moved=True, epsilon=(0.05, 0.3)):
    """Regions are slabs; what the network does with the samples as they are is asked here, apart."""
    of = fragile(attack)
    labels = np.where(MASK, np.broadcast_to(np.arange(4)[:, None, None] + 1, SHAPE), 0).reshape(-1)
    regions = Regions(labels, ["a", "b", "c", "d"])
    blocks = shapley_blocks(of.decoder, of.batches, regions, torch.zeros(SHAPE), 100, 5, 0)
    values = pd.concat(blocks).query("output == 'probability'")
    values = values.pivot(index=["sample", "target"], columns="region", values="value")
    network = NetworkTruth(values, regions, "gradient", np.zeros(VOXELS))
    settings = {"moved": moved, "epsilon": list(epsilon), "network": {"output": "probability"}}
    return fragile(attack, settings=settings, network=network)
