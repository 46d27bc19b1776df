"""Quality of the maps: how full each is, how much it is like the others of its condition, and which to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.data.grid import Grid
from truemap.data.rows import has_subject, owners
from truemap.data.volumes import Volumes
from truemap.numerics import filled, pearson
from truemap.runtime.log import log

#: Maps held at a time.
BLOCK = 16
#: Maps that a condition must have for one of them to be compared with the mean of the others.
MAPS = 3
#: MAD of normal numbers to their sd.
NORMAL = 1.4826
#: Robust sd that a map's r must lie below its condition's median, as Iglewicz & Hoaglin (1993) advise. Of 10,000 normal
#: numbers two or three do. At 5 a map of nothing but noise was not seen in simulated data.
OUTLIER = 3.5
#: Smallest robust sd of r: where maps are (almost) equal, a difference of a hundredth is no outlier.
FLOOR = 0.01
#: Share of the dataset's median of voxels that a map must have.
FULL = 0.9
#: Smallest mean r of a subject's mirrored maps: below, they are like the others neither way round.
ALIKE = 0.1
#: Flag -> the rule for it.
RULES = {
    "outlier": f"r lies more than {OUTLIER:g} robust SDs below the median of the map's condition. The robust SD is "
    f"{NORMAL} times the median absolute deviation (MAD) from that median, of the condition or of all maps of the "
    f"dataset, whichever is larger, and at least {FLOOR:g}. (The bound is Iglewicz and Hoaglin's; of 10,000 normal "
    "numbers two or three lie beyond.)",
    "few voxels": f"the map has less than {FULL:.0%} of the dataset's median of voxels that are in the mask and not "
    "empty.",
    "flip?": "left and right may be exchanged, on all maps of a subject: the mean over its conditions of r_flipped - r "
    f"is positive and more than {OUTLIER:g} robust SDs above the subjects' median, and its mean r_flipped is above "
    f"{ALIKE:g}. (One condition alone may be symmetric.)",
    "copy?": "the map as stored is, to the last bit, that of another sample of another subject, class or split (where "
    "there are no subjects: of any other sample). One of them may be a file under a wrong name; where one is in train "
    "and the other in test, the test is none.",
}
COLUMNS = ["sample", "subject", "label", "condition", "negated", "split"]
MEASURES = ["voxels", "outside", "mean", "sd", "r", "r_flipped"]


def quality_table(volumes: Volumes, grid: Grid) -> pd.DataFrame:
    """Return what can be said of each map by itself and beside the others of its condition.

    Map i of a condition with n maps is compared with the mean of the other maps,

        r_i = pearson(x_i, (n m - x_i) / (n - 1)),

    m the mean of all n, over the voxels of the mask. r_flipped is the same with x_i mirrored left-right before it is
    compared, by turning round the voxel axis that runs along x. That is right, within a voxel, on grids that lie
    symmetric about x = 0, as HCP's does; on others mirrored maps agree less, and fewer flips are seen.

    The maps are read twice, in blocks: once to sum them by condition, once to compare. Memory does not grow with the
    number of subjects.

    Parameters
    ----------
    volumes : Volumes
        Maps of all splits. Those without subjects are compared with the other maps of their label.
    grid : Grid

    Returns
    -------
    DataFrame
        ``sample, subject, label, condition, negated, split`` of each map; ``voxels`` in the mask that are not empty
        (`truemap.numerics.filled`) and voxels ``outside`` of it that are not; ``mean`` and (population) ``sd`` of all
        values in the mask, as stored; ``r`` and ``r_flipped``, NaN where a condition has fewer than 3 maps, r_flipped
        also where there are no subjects; ``flags``, words separated by commas, by `RULES`. Sorted by sample.
    """
    table, inside = volumes.table, grid.mask.reshape(-1)
    conditions = _conditions(table)
    others = np.zeros((conditions.max() + 1, int(inside.sum())))
    for start, maps in _blocks(volumes):
        for place, condition in enumerate(conditions[start : start + len(maps)]):
            if condition >= 0:
                others[condition] += maps[place, inside]
    across = int(np.argmax(np.abs(grid.affine[0, :3])))
    mirrored = np.flip(np.arange(inside.size).reshape(grid.shape), axis=across)[grid.mask]
    named = has_subject(table).to_numpy()
    measured, stored = [], []
    for start, maps in _blocks(volumes):
        block = slice(start, start + len(maps))
        measured.append(_measure(maps, inside, mirrored, others, conditions[block], named[block]))
        stored += [hashlib.sha256(values).digest() for values in maps]
    copied = _copied(table, stored)
    table = table[COLUMNS].join(pd.DataFrame(np.concatenate(measured), columns=MEASURES, index=table.index))
    table = table.astype({"voxels": int, "outside": int}).assign(flags=_flags(table, conditions, copied))
    return table.sort_values("sample", ignore_index=True)


def _conditions(table: pd.DataFrame) -> np.ndarray:
    """Return the number of each map's condition, -1 where it has too few maps: no sum is kept for those."""
    condition = table["condition"].where(has_subject(table), "")
    group = table.assign(condition=condition).groupby(["label", "condition"])["sample"]
    enough = (group.transform("size") >= MAPS).to_numpy()
    numbers = np.full(len(table), -1)
    numbers[enough] = pd.factorize(group.ngroup()[enough])[0]
    return numbers


def _blocks(volumes: Volumes) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of the first map of each block, and the maps, shape (n, voxels), as stored."""
    for start in range(0, len(volumes), BLOCK):
        rows = range(start, min(start + BLOCK, len(volumes)))
        yield start, volumes.take(rows).reshape(len(rows), -1)


def _measure(
    maps: np.ndarray,
    inside: np.ndarray,
    mirrored: np.ndarray,
    sums: np.ndarray,
    conditions: np.ndarray,
    named: np.ndarray,
) -> np.ndarray:
    """Return `MEASURES` of each map, shape (maps, measures)."""
    full, values = filled(maps), maps[:, inside].astype(np.float64)
    r = np.full((2, len(maps)), np.nan)
    known = conditions >= 0
    # Of the sum and not the mean of the others: r is the same.
    others = sums[conditions[known]] - values[known]
    r[0, known] = pearson(values[known], others)
    judged = known & named
    r[1, judged] = pearson(maps[judged][:, mirrored], others[named[known]])
    voxels, outside = full[:, inside].sum(axis=1), full[:, ~inside].sum(axis=1)
    return np.stack([voxels, outside, values.mean(axis=1), values.std(axis=1), *r], axis=1)


def _copied(table: pd.DataFrame, stored: list[bytes]) -> np.ndarray:
    """Return which maps are equal to one of another subject, class or split, by the checksums of what is stored."""
    owner = owners(table, table["sample"])
    whose = pd.DataFrame({"owner": owner.astype(str), "label": table["label"], "split": table["split"]})
    return (whose.groupby(stored).transform("nunique") > 1).any(axis=1).to_numpy()


def warn_copies(table: pd.DataFrame) -> None:
    """Say that maps of `quality_table` are copies, of files that differ: equal files were refused before."""
    copies = table[table["flags"].str.contains("copy?", regex=False)]
    if len(copies):
        log.warning(
            "%d maps are, to the last bit, another one of another subject, class or split, the first is sample %d (%s, "
            "%s): the page of the data's quality lists them; where one is in train and the other in test, the test is "
            "none. Find out whose they are and leave out the others.",
            len(copies), copies["sample"].iloc[0], copies["label"].iloc[0], copies["split"].iloc[0],
        )  # fmt: skip


def _flags(table: pd.DataFrame, conditions: np.ndarray, copied: np.ndarray) -> list[str]:
    subjects = table[has_subject(table)].groupby("subject")[["r", "r_flipped"]].mean()
    gain = subjects["r_flipped"] - subjects["r"]
    distance = _robust_distance(gain, np.zeros(len(gain)))
    suspects = subjects.index[(gain > 0) & (distance > OUTLIER) & (subjects["r_flipped"] > ALIKE)]
    holds = pd.DataFrame(
        {
            "outlier": _robust_distance(table["r"], conditions) < -OUTLIER,
            "few voxels": table["voxels"] < FULL * table["voxels"].median(),
            "flip?": table["subject"].isin(suspects),
            "copy?": copied,
        }
    )
    return [",".join(holds.columns[row]) for row in holds.to_numpy()]


def _robust_distance(values: pd.Series, groups: np.ndarray) -> pd.Series:
    """Return how many robust sd each value lies above the median of its group (below: negative)."""
    away = values - values.groupby(groups).transform("median")
    mad = away.abs().groupby(groups).transform("median")
    # Of three or four numbers two may be close by chance; the MAD of all maps keeps the third from being an outlier.
    return away / (NORMAL * mad.clip(lower=away.abs().median())).clip(lower=FLOOR)


def read_skipped(files: Sequence[str | Path]) -> pd.DataFrame:
    """Return the subjects that were skipped, ``subject, image, reason``, from lists of `write_skipped`."""
    tables = [pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in files]
    return pd.concat(tables, ignore_index=True)
