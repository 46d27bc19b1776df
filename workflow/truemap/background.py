"""What the training maps look like: class means and range, for methods and references that need a background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.maps import MapWriter, read_blocks
from truemap.truth import CONDITION_SETS, condition_sets
from truemap.volumes import Volumes

#: Maps summed at a time.
BLOCK = 64


@dataclass(frozen=True)
class Background:
    """Summary of the training maps.

    Attributes
    ----------
    means : dict
        Condition set -> class -> mean map, shape (voxels,), float64.
    mean : ndarray, shape (voxels,)
        Mean of all training maps.
    low, high : float
        Smallest and largest value of a training map.
    """

    means: dict[str, dict[str, np.ndarray]]
    mean: np.ndarray
    low: float
    high: float


def write_background(path: str | Path, volumes: Volumes) -> None:
    """Write the mean of the training maps of each class and condition set, and the range of all.

    A class mean is over maps: each subject counts as often as it has maps of the class. The maps are read
    once, in blocks.
    """
    table = volumes.table
    sets = condition_sets(table["negated"])
    labels = sorted(table["label"].unique())
    voxels = int(np.prod(volumes.shape))
    sums, counts = np.zeros((len(sets), len(labels), voxels)), np.zeros((len(sets), len(labels)), int)
    low, high = np.inf, -np.inf
    for start in range(0, len(table), BLOCK):
        rows = table.iloc[start : start + BLOCK]
        maps = volumes.take(range(start, start + len(rows))).reshape(len(rows), -1).astype(np.float64)
        low, high = min(low, maps.min()), max(high, maps.max())
        for s, conditions in enumerate(sets):
            kept = np.ones(len(rows), bool) if CONDITION_SETS[conditions] else ~rows["negated"].to_numpy()
            for c, label in enumerate(labels):
                chosen = kept & (rows["label"] == label).to_numpy()
                sums[s, c] += maps[chosen].sum(axis=0)
                counts[s, c] += chosen.sum()
    entries = [(name, label, int(counts[s, c])) for s, name in enumerate(sets) for c, label in enumerate(labels)]
    rows = pd.DataFrame(entries, columns=["conditions", "label", "n"]).assign(low=low, high=high)
    present = rows["n"].to_numpy() > 0
    means = sums.reshape(len(rows), voxels)[present] / rows.loc[present, ["n"]].to_numpy()
    with MapWriter(Path(path), voxels, "float32") as writer:
        writer.write(rows[present], means)


def read_background(path: str | Path) -> Background:
    """Read what `write_background` wrote."""
    ((rows, maps),) = read_blocks(path)
    maps = maps.astype(np.float64)
    means = {name: dict(zip(part["label"], maps[part.index], strict=True)) for name, part in rows.groupby("conditions")}
    every = (rows["conditions"] == "all").to_numpy()
    mean = np.average(maps[every], axis=0, weights=rows.loc[every, "n"])
    return Background(means, mean, float(rows["low"].iloc[0]), float(rows["high"].iloc[0]))
