"""Ground truth: class-informative activation and pairwise class differences (McClure et al. 2020, section 2.2.2).

Everything is computed twice: over all maps, and without negated ones (HCP's NEG_* conditions are exact sign
flips of others, so that with them the means of two tasks are zero and their truth is no truth).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.maps import MapWriter, read_blocks
from truemap.volumes import Volumes

#: Sets of conditions that truth and scores are made for: name -> whether negated maps belong to it.
CONDITION_SETS = {"all": True, "no_negated": False}
#: A truth map whose sd is below this share of the maps' sd is rounding noise.
DEGENERATE = 1e-6


def condition_sets(negated: pd.Series) -> list[str]:
    """Return the sets to report: without negated maps both are the same, and ``all`` is enough."""
    return list(CONDITION_SETS) if negated.any() else ["all"]


def subject_blocks(table: pd.DataFrame, limit: int = 200) -> Iterator[pd.DataFrame]:
    """Yield the rows of each subject; where there are no subjects, blocks of `limit` rows."""
    for subject, rows in table.groupby("subject", sort=False):
        if subject:
            yield rows
        else:
            yield from (rows.iloc[start : start + limit] for start in range(0, len(rows), limit))


def class_means(rows: pd.DataFrame, maps: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Return mean maps of one subject for each condition set and class.

    Parameters
    ----------
    rows : DataFrame
        ``subject, label, negated`` of each map.
    maps : ndarray, shape (rows, voxels)

    Returns
    -------
    table : DataFrame
        ``subject, conditions, label, n, scale``; `scale` is the root mean square sd of the maps.
    means : ndarray, shape (len(table), voxels), float64
    """
    entries, means = [], []
    scale = float(np.sqrt(np.mean(maps.astype(np.float64).var(axis=1))))
    for conditions in condition_sets(rows["negated"]):
        kept = np.ones(len(rows), bool) if CONDITION_SETS[conditions] else ~rows["negated"].to_numpy()
        for label in sorted(rows["label"].unique()):
            chosen = kept & (rows["label"] == label).to_numpy()
            if chosen.any():
                means.append(maps[chosen].mean(axis=0, dtype=np.float64))
                entries.append((rows["subject"].iloc[0], conditions, label, int(chosen.sum()), scale))
    return pd.DataFrame(entries, columns=["subject", "conditions", "label", "n", "scale"]), np.stack(means)


def write_class_means(path: Path, volumes: Volumes, templates: Mapping[str, np.ndarray] | None) -> None:
    """Write class means of each subject; of all images at once from `templates` where the source knows them."""
    with MapWriter(path, int(np.prod(volumes.shape)), "float32") as writer:
        if templates is not None:
            maps = np.stack([template.reshape(-1) for template in templates.values()])
            rows = pd.DataFrame({"subject": "", "label": list(templates), "negated": False})
            writer.write(*class_means(rows, maps))
            return
        for rows in subject_blocks(volumes.table):
            writer.write(*class_means(rows, volumes.take(rows.index).reshape(len(rows), -1)))


class Truth:
    """Truth maps of one subject and condition set.

    Parameters
    ----------
    rows : DataFrame
        ``label, n, scale`` of each class mean.
    means : ndarray, shape (classes, voxels)
    average : {"classes", "maps"}
        What a class is compared with: the mean of class means, or of all maps.
    """

    def __init__(self, rows: pd.DataFrame, means: np.ndarray, average: str) -> None:
        self.means = dict(zip(rows["label"], means.astype(np.float64), strict=True))
        self.floor = DEGENERATE * float(rows["scale"].iloc[0])
        weights = None if average == "classes" else rows["n"].to_numpy()
        self.mean = np.average(means, axis=0, weights=weights)

    def informative(self, label: str) -> np.ndarray:
        """Return class-informative activation ``A - mean``, shape (voxels,)."""
        return self.means[label] - self.mean

    def pairwise(self, label: str, target: str) -> np.ndarray:
        """Return the pairwise difference ``target - label``: what would turn one class into the other."""
        return self.means[target] - self.means[label]

    def of(self, label: str, target: str) -> tuple[np.ndarray | None, str]:
        """Return the truth for explaining `target` on a map of `label`, or None and the reason there is none."""
        for name in (label, target):
            if name not in self.means:
                return None, f"the subject has no map of class {name}"
        values = self.informative(label) if target == label else self.pairwise(label, target)
        if values.std() < self.floor:
            return None, "no truth: the ground-truth map is constant (its class means cancel)"
        return values, ""


def read_truth(path: str | Path, average: str) -> dict[tuple[str, str], Truth]:
    """Return the truth by (subject, condition set)."""
    return {
        (subject, conditions): Truth(part, maps[part.index], average)
        for rows, maps in read_blocks(path)
        for (subject, conditions), part in rows.groupby(["subject", "conditions"], sort=False)
    }
