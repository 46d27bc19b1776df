"""What the training maps look like: class means and range, for methods and references that need a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from truemap.config.names import CHOSEN
from truemap.data.conditions import check_chosen, condition_sets, in_set
from truemap.data.maps import MapWriter, read_blocks
from truemap.data.volumes import Volumes

#: Maps summed at a time.
BLOCK = 64


@dataclass(frozen=True)
class Background:
    """Summary of the training maps.

    Attributes
    ----------
    means : dict
        Condition set -> class -> mean map, shape (voxels,), float64.
    averages : dict
        Condition set -> the mean that a class is compared with, shape (voxels,).
    mean : ndarray, shape (voxels,)
        Mean of all training maps.
    low, high : float
        Smallest and largest value of a training map.
    shape : tuple of int
        Of a map, where it is known: for references it is.
    """

    means: dict[str, dict[str, np.ndarray]]
    averages: dict[str, np.ndarray]
    mean: np.ndarray
    low: float
    high: float
    shape: tuple[int, ...] = ()

    def baseline(self, name: str) -> np.ndarray:
        """Return what voxels are put back to (`truemap.config.names.BASELINES`), shape (voxels,), float32 as maps."""
        mean = self.mean.astype(np.float32)
        return mean if name == "mean" else np.zeros_like(mean)


def write_background(path: str | Path, volumes: Volumes, chosen: Sequence[str] = ()) -> None:
    """Write the mean of the training maps of each class and condition set, and the range of all.

    A class mean is over maps: each subject counts as often as it has maps of the class. The maps are read
    once, in blocks.

    Parameters
    ----------
    chosen : sequence of str
        Write the set of these conditions, and no other. It has a file of its own, because saliency methods read the
        other sets' and need not run again for a list of conditions.

    Raises
    ------
    DataError
        If the chosen conditions cannot be used (`truemap.data.conditions.check_chosen`).
    """
    table = volumes.table
    check_chosen(table, chosen)
    sets = [CHOSEN] if chosen else condition_sets(table["negated"])
    labels = sorted(table["label"].unique())
    voxels = int(np.prod(volumes.shape))
    sums, counts = np.zeros((len(sets), len(labels), voxels)), np.zeros((len(sets), len(labels)), int)
    low, high = np.inf, -np.inf
    for start in range(0, len(table), BLOCK):
        rows = table.iloc[start : start + BLOCK]
        # In the stored type: as float64 a block of 2 mm is half a gigabyte.
        maps = volumes.take(range(start, start + len(rows))).reshape(len(rows), -1)
        low, high = min(low, float(maps.min())), max(high, float(maps.max()))
        for s, conditions in enumerate(sets):
            kept = in_set(rows, conditions, chosen)
            for c, label in enumerate(labels):
                mine = kept & (rows["label"] == label).to_numpy()
                sums[s, c] += maps[mine].sum(axis=0, dtype=np.float64)
                counts[s, c] += mine.sum()
    entries = [(name, label, int(counts[s, c])) for s, name in enumerate(sets) for c, label in enumerate(labels)]
    rows = pd.DataFrame(entries, columns=["conditions", "label", "n"]).assign(low=low, high=high)
    present = rows["n"].to_numpy() > 0
    means = sums.reshape(len(rows), voxels)[present] / rows.loc[present, ["n"]].to_numpy()
    with MapWriter(Path(path), voxels, "float32") as writer:
        writer.write(rows[present], means)


def read_background(
    path: str | Path, *chosen: str | Path, average: Literal["classes", "maps"] = "classes"
) -> Background:
    """Read what `write_background` wrote, and the file of chosen conditions where there is one.

    Training maps of which none is negated are the same with all conditions and without negated ones; test maps may
    need both.

    Parameters
    ----------
    average : {"classes", "maps"}
        Whether `averages` are of class means or of all maps.
    """
    blocks = [(rows, maps.astype(np.float64)) for file in (path, *chosen) for rows, maps in read_blocks(file)]
    means, averages = {}, {}
    for rows, maps in blocks:
        for name, part in rows.groupby("conditions"):
            means[name] = dict(zip(part["label"], maps[part.index], strict=True))
            weights = part["n"] if average == "maps" else None
            averages[name] = np.average(maps[part.index], axis=0, weights=weights)
    means.setdefault("no_negated", means["all"])
    averages.setdefault("no_negated", averages["all"])
    rows, maps = blocks[0]
    every = (rows["conditions"] == "all").to_numpy()
    mean = np.average(maps[every], axis=0, weights=rows.loc[every, "n"])
    return Background(means, averages, mean, float(rows["low"].iloc[0]), float(rows["high"].iloc[0]))
