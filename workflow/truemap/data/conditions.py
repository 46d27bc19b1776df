"""Sets of conditions that truth, scores and accuracies are made for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from truemap.config.names import CHOSEN
from truemap.config.options import suggest
from truemap.runtime.files import DataError

#: In the order in which they are reported.
CONDITION_SETS = ("all", "no_negated", CHOSEN)


def condition_sets(negated: pd.Series, chosen: Sequence[str] = ()) -> list[str]:
    """Return the sets to report: without negated maps two are the same, and ``all`` is enough.

    Parameters
    ----------
    negated : Series of bool
        Of all test maps of the dataset, never of a subject or a shard: one without negated maps is in both sets.
    chosen : sequence of str
        See `in_set`.
    """
    made = {"all": True, "no_negated": negated.any(), CHOSEN: len(chosen) > 0}
    return [name for name in CONDITION_SETS if made[name]]


def set_shown(sets: Iterable[str], wanted: str) -> str:
    """Return which of the condition sets is shown first: `wanted`, or all conditions where it was not made."""
    return wanted if wanted in set(sets) else "all"


def in_set(rows: pd.DataFrame, conditions: str, chosen: Sequence[str] = ()) -> np.ndarray:
    """Return which maps belong to a set, shape (rows,), bool.

    Parameters
    ----------
    rows : DataFrame
        ``condition, negated`` of each map.
    conditions : str
        One of `CONDITION_SETS`.
    chosen : sequence of str
        The conditions of the set ``chosen``.
    """
    if conditions == "all":
        return np.ones(len(rows), bool)
    if conditions == "no_negated":
        return ~rows["negated"].to_numpy(dtype=bool)
    return rows["condition"].isin(list(chosen)).to_numpy()


def check_chosen(rows: pd.DataFrame, chosen: Sequence[str]) -> None:
    """Refuse chosen conditions that the maps do not have, or that leave no two classes to compare.

    Parameters
    ----------
    rows : DataFrame
        ``label, condition`` of each map.

    Raises
    ------
    DataError
        The message names the nearest condition there is.
    """
    known = set(rows["condition"]) if chosen else set()
    for name in chosen:
        if name not in known:
            raise DataError(f"conditions: no map of condition '{name}'{suggest(name, known)}")
    labels = sorted(set(rows.loc[in_set(rows, CHOSEN, chosen), "label"])) if chosen else []
    if chosen and len(labels) < 2:
        raise DataError(
            f"conditions: {', '.join(chosen)} are all of class '{labels[0]}'. Add conditions of another class."
        )
