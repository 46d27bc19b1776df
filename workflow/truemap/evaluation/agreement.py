"""Agreement of saliency maps with the truth: Pearson's r over voxels, for each map (section 2.2.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from truemap.names import ABSOLUTE
from truemap.numerics import pearson
from truemap.truth import CONDITION_SETS, OwnMaps, Truth

COLUMNS = [
    "sample", "subject", "label", "condition", "negated", "target", "criterion", "conditions", "truth", "r", "reason",
]  # fmt: skip


def score_block(
    rows: pd.DataFrame,
    maps: np.ndarray,
    truths: Mapping[tuple[str, str], Truth],
    inside: np.ndarray | None,
    own: OwnMaps | None = None,
    absolute: bool = False,
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

    Returns
    -------
    DataFrame
        One row a map, condition set, truth and way to compare: the columns of `COLUMNS`. The criterion is
        ``informative`` where the target is the map's class, else ``pairwise``; with the ending ``_absolute``
        signs were dropped on both sides. `truth` is ``full`` or ``leave_out``. `r` is null where `reason` says why.
    """
    subject = rows["subject"].iloc[0]
    labels, targets = rows["label"].to_numpy(), rows["target"].to_numpy()
    same = labels == targets
    samples = rows.groupby("sample", sort=False).indices
    parts = []
    for conditions, with_negated in CONDITION_SETS.items():
        if (subject, conditions) not in truths:
            continue
        negated = np.zeros(len(rows), bool) if with_negated else rows["negated"].to_numpy()
        kept = {sample: places for sample, places in samples.items() if not negated[places[0]]}
        whole = truths[subject, conditions]
        found = {"full": {sample: whole for sample in kept}}
        if own is not None:
            found["leave_out"] = _Lazy(own, whole, conditions)
        for (truth, of), ending in ((entry, e) for entry in found.items() for e in ("", ABSOLUTE)[: 1 + absolute]):
            places = np.concatenate([*kept.values(), np.empty(0, int)]).astype(int)
            scored = [
                pair
                for sample, at in kept.items()
                for pair in _score(maps[at], of[sample], labels[at], targets[at], inside, bool(ending))
            ]
            criterion = np.where(same[places], "informative", "pairwise").astype(object) + ending
            r, reasons = [r for r, _ in scored], [reason for _, reason in scored]
            part = rows.iloc[places].assign(criterion=criterion, conditions=conditions, truth=truth)
            parts.append(part.assign(r=np.array(r, dtype=float), reason=np.array(reasons, dtype=object)))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


class _Lazy:
    """Truth of each sample without its own map, made when it is asked for: all at once would fill the memory."""

    def __init__(self, own: OwnMaps, whole: Truth, conditions: str) -> None:
        self.own, self.whole, self.conditions = own, whole, conditions

    def __getitem__(self, sample: int) -> Truth:
        return self.own.leave_out(self.whole, self.conditions, sample)


def _score(
    maps: np.ndarray, truth: Truth, labels: np.ndarray, targets: np.ndarray, inside: np.ndarray | None, absolute: bool
) -> Iterator[tuple[float, str]]:
    """Yield (r, reason) for the maps of one sample."""
    chosen = slice(None) if inside is None else inside
    maps = maps[:, chosen]
    entries = [truth.of(label, target) for label, target in zip(labels, targets, strict=True)]
    empty = ~np.any(maps != 0, axis=1)
    good = [k for k, (values, _) in enumerate(entries) if values is not None and not empty[k]]
    r = np.full(len(maps), np.nan)
    if good:
        values = np.stack([entries[k][0][chosen] for k in good])
        r[good] = pearson(np.abs(maps[good]), np.abs(values)) if absolute else pearson(maps[good], values)
    for k, (_, reason) in enumerate(entries):
        reason = reason or ("the saliency map is zero" if empty[k] else "")
        yield r[k], reason or ("a map is constant over the voxels scored" if np.isnan(r[k]) else "")
