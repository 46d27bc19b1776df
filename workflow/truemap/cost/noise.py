"""What methods are tried on before there are networks: maps of noise, and for attacks a network that never errs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.data.volumes import Volumes
from truemap.numerics import derive_seed

#: Voxels of all maps of noise, at most: 1 GB.
LARGEST = 1 << 28
#: By how much `Unmoved` prefers the first class, and how much of the map it sees.
PREFERENCE, SEEN = 50.0, 1e-4


def noise(shape: Sequence[int], classes: Sequence[str], wanted: int, needed: int, seed: int) -> Volumes:
    """Return maps of standard normal noise, one of each class in turn.

    Parameters
    ----------
    shape : sequence of int
        Of a map.
    wanted, needed : int
        Maps: as many as are wanted, or fewer where these have more than `LARGEST` voxels, but never fewer than needed.
    """
    count = min(wanted, max(LARGEST // math.prod(shape), needed))
    maps = np.random.default_rng(derive_seed(seed, "cost")).standard_normal((count, *shape), dtype=np.float32)
    labels = [classes[number % len(classes)] for number in range(count)]
    table = pd.DataFrame({"sample": range(count), "subject": "noise", "label": labels, "condition": labels})
    return Volumes([maps], table.assign(negated=False))


class Unmoved(nn.Module):
    """A linear network that always answers the first class, and counts the maps that it meets.

    An attack on it does all that it can: what it takes at most. Attacks know nothing of a network but its answers.

    Attributes
    ----------
    maps : int
    """

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(shape), classes)
        nn.init.normal_(self.layer.weight, std=SEEN / math.sqrt(math.prod(shape)))
        nn.init.zeros_(self.layer.bias)
        self.maps = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of maps (n, *shape)."""
        self.maps += len(x)
        first = torch.zeros(self.layer.out_features, device=x.device)
        first[0] = PREFERENCE
        return self.layer(x.flatten(1)) + first
