"""Agreement of saliency maps with the truth: Pearson's r over voxels, for each map (section 2.2.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, NO_MAP, NO_SIGNS
from truemap.data.conditions import CONDITION_SETS, in_set, set_shown
from truemap.evaluation.truth import OwnMaps, Truth
from truemap.numerics import pearson

COLUMNS = [
    "sample", "subject", "label", "condition", "negated", "target", "criterion", "conditions", "truth", "r", "reason",
]  # fmt: skip


def of_own_class(scores: pd.DataFrame, conditions: str) -> pd.DataFrame:
    """Return the scores of each map of a sample's own class, in a condition set or, where it was not made, in all."""
    shown = set_shown(scores["conditions"], conditions)
    return scores[(scores["target"] == scores["label"]) & (scores["conditions"] == shown)]


def score_block(
    rows: pd.DataFrame,
    maps: np.ndarray,
    truths: Mapping[tuple[str, str], Truth],
    inside: np.ndarray | None,
    own: OwnMaps | None = None,
    absolute: bool = False,
    chosen: Sequence[str] = (),
    brain: bool = False,
    signed: bool = True,
) -> pd.DataFrame:
    """Return the agreement of each map of one subject, for each condition set it belongs to.

    Parameters
    ----------
    rows : DataFrame
        ``sample, subject, label, condition, negated, target`` of each map; a sample's rows are together.
    maps : ndarray, shape (rows, voxels)
        Saliency maps.
    truths : mapping
        (subject, condition set) -> Truth.
    inside : ndarray of bool, shape (voxels,), optional
        Voxels to correlate over; None is all.
    own : OwnMaps, optional
        The subject's own maps. With them each map is also scored against the truth that leaves it out.
    absolute : bool
        Score the maps' sizes against the truth's sizes too, for maps that have no signs.
    chosen : sequence of str
        See `truemap.data.conditions.in_set`.
    brain : bool
        The maps have the voxels `inside` only, shape (rows, inside.sum()).
    signed : bool
        False: the maps have no signs, so that there is no r with signs.

    Returns
    -------
    DataFrame
        One row a map, condition set, truth and way to compare: the columns of `COLUMNS`. The criterion is
        ``informative`` where the target is the map's class, else ``pairwise``; with the ending ``_absolute``
        signs were dropped on both sides. `truth` is ``full`` or ``leave_out``. `r` is null where `reason` says why.
    """
    subject = rows["subject"].iloc[0]
    labels, targets = rows["label"].to_numpy(), rows["target"].to_numpy()
    sets = {name: truths[subject, name] for name in CONDITION_SETS if (subject, name) in truths}
    belongs = {name: in_set(rows, name, chosen) for name in sets}
    kinds = [
        (name, truth, ending)
        for name in sets
        for truth in ("full", "leave_out")[: 1 if own is None else 2]
        for ending in ("", ABSOLUTE)[: 1 + absolute]
    ]
    scored: dict[tuple[str, str, str], list[tuple[int, float, str]]] = {kind: [] for kind in kinds}
    # By sample: its maps are converted once, and the truths without it are not all held at once.
    for sample, at in rows.groupby("sample", sort=False).indices.items():
        values = (maps[at] if inside is None or brain else maps[at][:, inside]).astype(np.float64, order="C")
        for name, whole in sets.items():
            if not belongs[name][at[0]]:
                continue
            found = {"full": whole} if own is None else {"full": whole, "leave_out": own.leave_out(whole, name, sample)}
            for truth, of in found.items():
                entries = [of.of(label, target) for label, target in zip(labels[at], targets[at], strict=True)]
                for ending in ("", ABSOLUTE)[: 1 + absolute]:
                    none = [(None, reason or NO_SIGNS) for _, reason in entries]
                    results = _score(values, entries if signed or ending else none, inside, bool(ending))
                    scored[name, truth, ending] += [(row, *result) for row, result in zip(at, results, strict=True)]
    return pd.concat([_rows(rows, kind, entries) for kind, entries in scored.items()], ignore_index=True)[COLUMNS]


def without_maps(scores: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return null scores of the pairs that a sheet has no maps of: those of the other classes.

    Parameters
    ----------
    scores : DataFrame
        Of `score_block`.
    classes : sequence of str
        Of the dataset.
    """
    own = scores[scores["label"] == scores["target"]].drop(columns="target")
    pairs = own.merge(pd.DataFrame({"target": list(classes)}), how="cross")
    made = pd.MultiIndex.from_frame(scores[["sample", "target"]])
    pairs = pairs[~pd.MultiIndex.from_frame(pairs[["sample", "target"]]).isin(made)]
    criterion = pairs["criterion"].str.replace("informative", "pairwise")
    return pairs.assign(criterion=criterion, r=np.nan, reason=NO_MAP)[COLUMNS]


def _rows(rows: pd.DataFrame, kind: tuple[str, str, str], entries: list[tuple[int, float, str]]) -> pd.DataFrame:
    conditions, truth, ending = kind
    part = rows.iloc[[row for row, _, _ in entries]]
    criterion = np.where(part["label"] == part["target"], "informative", "pairwise").astype(object) + ending
    r, reasons = np.array([r for _, r, _ in entries], dtype=float), [reason for _, _, reason in entries]
    part = part.assign(criterion=criterion, conditions=conditions, truth=truth)
    return part.assign(r=r, reason=np.array(reasons, dtype=object))


def _score(
    maps: np.ndarray, entries: Sequence[tuple[np.ndarray | None, str]], inside: np.ndarray | None, absolute: bool
) -> Iterator[tuple[float, str]]:
    """Yield (r, reason) for the maps of one sample, float64 and of the voxels scored; `entries` are their truths."""
    empty = ~np.any(maps != 0, axis=1)
    good = [k for k, (values, _) in enumerate(entries) if values is not None and not empty[k]]
    r = np.full(len(maps), np.nan)
    if good:
        values = np.stack([entries[k][0] if inside is None else entries[k][0][inside] for k in good])
        found = maps if len(good) == len(maps) else maps[good]
        r[good] = pearson(np.abs(found), np.abs(values)) if absolute else pearson(found, values)
    for k, (_, reason) in enumerate(entries):
        reason = reason or ("the saliency map is zero" if empty[k] else "")
        yield r[k], reason or ("a map is constant over the voxels scored" if np.isnan(r[k]) else "")
