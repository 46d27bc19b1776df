"""What a dataset's tables answer: which way to train and to explain agrees best, by how much, and beside what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from truemap.config.names import REFERENCE
from truemap.evaluation.units import ENTRY

#: Columns of a test that the answer gives, where the table has them.
TEST = ("n", "difference", "t", "df", "p_bonferroni", "reason")
TWO_LEVEL = ("ci_low_two_level", "ci_high_two_level", "p_two_level_bonferroni", "trainings_a", "trainings_b")
Entry = tuple[str, str]


def answer(
    summary: pd.DataFrame, comparisons: pd.DataFrame, entries: Sequence[Mapping[str, Any]], criterion: str
) -> dict[str, Any] | None:
    """Return the best way to train and to explain, its test against the next best, and what references reach.

    Parameters
    ----------
    summary, comparisons : DataFrame
        Of `truemap.evaluation.statistics`, one set of conditions and one truth.
    entries : sequence of mapping
        ``model, method`` of what is compared.
    criterion : str

    Returns
    -------
    dict or None
        ``best, next`` ((model, method); next is None where there is one entry only), ``mean``, ``n``, ``test`` (best -
        next, None where the tables have none), ``references`` (name -> mean) and ``above``: how many of the
        entries agree better than each reference. None where no entry has an r of this criterion.
    """
    rows = summary[(summary["seed"] == "mean") & (summary["criterion"] == criterion) & summary["mean"].notna()]
    wanted = {(entry["model"], entry["method"]) for entry in entries}
    ours = rows[[entry in wanted for entry in rows[ENTRY].itertuples(index=False, name=None)]]
    if ours.empty:
        return None
    ours = ours.sort_values("mean", ascending=False, kind="stable")
    ranked = list(ours[ENTRY].itertuples(index=False, name=None))
    references = rows[rows["model"] == REFERENCE].set_index("method")["mean"]
    return {
        "best": list(ranked[0]),
        "next": list(ranked[1]) if len(ranked) > 1 else None,
        "mean": float(ours["mean"].iloc[0]),
        "n": int(ours["n"].iloc[0]),
        "entries": len(ours),
        "test": paired_test(comparisons, criterion, *ranked[:2]) if len(ranked) > 1 else None,
        "references": {name: float(mean) for name, mean in references.items()},
        "above": {name: int((ours["mean"] > mean).sum()) for name, mean in references.items()},
    }


def paired_test(comparisons: pd.DataFrame, criterion: str, a: Entry, b: Entry) -> dict[str, Any] | None:
    """Return the test of a - b as `TEST` and, of other trainings too, `TWO_LEVEL` name it; null is None.

    Parameters
    ----------
    comparisons : DataFrame
        Of one set of conditions and one truth; each pair is in it once, one way or the other.
    """
    found = comparisons[comparisons["criterion"] == criterion]
    for sign, (one, other) in ((1, (a, b)), (-1, (b, a))):
        pair = found[
            (found["model_a"] == one[0]) & (found["method_a"] == one[1])
            & (found["model_b"] == other[0]) & (found["method_b"] == other[1])
        ]  # fmt: skip
        if len(pair):
            row = pair.iloc[0]
            test = {key: _plain(row[key]) for key in (*TEST, *TWO_LEVEL) if key in row}
            return test if sign == 1 else _turned(test)
    return None


def _turned(test: dict[str, Any]) -> dict[str, Any]:
    """Return the test of b - a from that of a - b."""
    turned = {key: -test[key] if test[key] is not None else None for key in ("difference", "t")}
    if test.get("ci_low_two_level") is not None:
        turned |= {"ci_low_two_level": -test["ci_high_two_level"], "ci_high_two_level": -test["ci_low_two_level"]}
    if "trainings_a" in test:
        turned |= {"trainings_a": test["trainings_b"], "trainings_b": test["trainings_a"]}
    return {**test, **turned}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return None if math.isnan(value) else float(value)
