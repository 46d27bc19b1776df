"""Agreement of saliency maps with the truth: Pearson's r over voxels, for each map (section 2.2.2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from truemap.numerics import pearson
from truemap.truth import CONDITION_SETS, Truth

COLUMNS = ["sample", "subject", "label", "condition", "negated", "target", "criterion", "conditions", "r", "reason"]


def score_block(
    rows: pd.DataFrame, maps: np.ndarray, truths: Mapping[tuple[str, str], Truth], inside: np.ndarray | None
) -> pd.DataFrame:
    """Return the agreement of each map of one subject, for each condition set it belongs to.

    Parameters
    ----------
    rows : DataFrame
        ``sample, subject, label, condition, negated, target`` of each map.
    maps : ndarray, shape (rows, voxels)
        Saliency maps.
    truths : mapping
        (subject, condition set) -> Truth.
    inside : ndarray of bool, shape (voxels,), optional
        Voxels to correlate over; None is all.

    Returns
    -------
    DataFrame
        One row a map and condition set: the columns of `COLUMNS`. The criterion is ``informative`` where the
        target is the map's class, else ``pairwise``; `r` is null where `reason` says why.
    """
    chosen = slice(None) if inside is None else inside
    maps = maps[:, chosen]
    empty = ~np.any(maps != 0, axis=1)
    parts = []
    for conditions, with_negated in CONDITION_SETS.items():
        if (rows["subject"].iloc[0], conditions) not in truths:
            continue
        kept = np.flatnonzero(np.ones(len(rows), bool) if with_negated else ~rows["negated"].to_numpy())
        part = rows.iloc[kept].copy()
        truth = truths[rows["subject"].iloc[0], conditions]
        pairs = {key: truth.of(*key) for key in set(zip(part["label"], part["target"], strict=True))}
        found = [pairs[key] for key in zip(part["label"], part["target"], strict=True)]
        reasons = [
            reason or ("the saliency map is zero" if empty[row] else "")
            for row, (_, reason) in zip(kept, found, strict=True)
        ]
        r = np.full(len(part), np.nan)
        good = [number for number, reason in enumerate(reasons) if not reason]
        if good:
            r[good] = pearson(maps[kept[good]], np.stack([found[number][0][chosen] for number in good]))
        undefined = np.isnan(r) & (np.array(reasons, dtype=object) == "")
        part["reason"] = np.where(
            undefined, "a map is constant over the voxels scored", np.array(reasons, dtype=object)
        )
        part["criterion"] = np.where(part["label"] == part["target"], "informative", "pairwise")
        parts.append(part.assign(conditions=conditions, r=r))
    return pd.concat(parts, ignore_index=True)[COLUMNS]
