"""Tests of one published claim on the numbers of a dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from truemap.evaluation.statistics import STRENGTHS

#: Kinds of claims about what training's strength does -> the sign of its rank correlation.
TRENDS = {"rises": 1, "falls": -1}
#: Kinds of claims that no number here can decide; their `value` says why.
UNTESTABLE = "untestable"
#: Kind of claims that two entries differ by the tolerance at most.
EQUIVALENT = "equivalent"
#: Of a mean's distance from the published one: what is rounding of decimal numbers.
ROUNDING = 1e-9
#: How an order failed: by a difference of the other sign that is as significant, or by none.
OPPOSITE, UNSHOWN = ", the opposite came out", ", nor the opposite"


class Found(NamedTuple):
    """What came out of a claim.

    Attributes
    ----------
    ours, test : str
        Our figure and the test of it, in words.
    holds : bool or None
        None where there is no test.
    failed : str
        Of an order that does not hold: `OPPOSITE`, or `UNSHOWN`, which says nothing against it.
    """

    ours: str
    test: str
    holds: bool | None
    failed: str = ""


#: Of a claim about which a dataset has no numbers.
NOT_FOUND = Found("", "", None)


def tested(row: Mapping[str, Any], summary: pd.DataFrame, comparisons: pd.DataFrame) -> Found:
    """Return our figure, the test of it and whether the claim holds; `NOT_FOUND` where there is nothing to test.

    Parameters
    ----------
    row : mapping
        A claim, see `truemap.evaluation.claims.judge`.
    summary, comparisons : DataFrame
        Of `truemap.evaluation.statistics`.
    """
    if row["kind"] == UNTESTABLE:
        return NOT_FOUND
    return _of_mean(row, summary) if row["kind"] in ("value", "below") else of_difference(row, comparisons)


def _of_mean(row: Mapping[str, Any], summary: pd.DataFrame) -> Found:
    """Test what is claimed of one entry's mean."""
    found = _select(summary, **_keys(row), model=row["model_a"], method=row["method_a"], seed="mean")
    if found.empty:
        return NOT_FOUND
    entry = found.iloc[0]
    distance = entry["mean"] - float(row["value"])
    if math.isnan(distance):
        return Found("nan", entry["reason"], None)
    interval = f"95% CI [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]" if not entry["reason"] else entry["reason"]
    if not math.isnan(entry.get("ci_low_two_level", math.nan)):
        ends = f"[{entry['ci_low_two_level']:.3f}, {entry['ci_high_two_level']:.3f}]"
        interval += f" (over {entry['trainings']:.0f} trainings too: {ends})"
    if row["kind"] == "below":
        less = bool(entry["mean"] < float(row["value"]))
        return Found(f"{entry['mean']:.3f}", f"{interval}; limit {row['value']}", less)
    test = f"{interval}; differs by {distance:+.3f}, allowed {row['tolerance']}"
    return Found(f"{entry['mean']:.3f}", test, bool(abs(distance) <= float(row["tolerance"]) + ROUNDING))


def of_difference(row: Mapping[str, Any], comparisons: pd.DataFrame) -> Found:
    """Test what is claimed of the difference of two entries, or of one over strengths of training; see `tested`."""
    trend = row["kind"] in TRENDS
    keys = {**_keys(row), "pairs": STRENGTHS if trend else "methods"}
    for sign, (a, b) in ((1, "ab"), (-1, "ba")):
        sides = (("a", a), ("b", b))
        names = {f"{part}_{side}": row[f"{part}_{name}"] for part in ("model", "method") for side, name in sides}
        found = _select(comparisons, **keys, **names)
        if found.empty:
            continue
        entry = found.iloc[0]
        difference, p, alpha = sign * entry["difference"], entry["p_bonferroni"], float(row["alpha"])
        ours = f"rank correlation with strength {difference:+.3f}" if trend else f"difference {difference:+.3f}"
        if math.isnan(p):
            return Found(ours, entry["reason"], None)
        if row["kind"] == EQUIVALENT:
            return Found(ours, *_equivalent(difference, entry, float(row["tolerance"]), alpha))
        # Of a claim that fails for the number of tests beside it, one should see that.
        test = f"paired t({entry['df']:.0f}) = {sign * entry['t']:.2f}, p {_p(entry['p'])}, Bonferroni p {_p(p)}"
        test += _beyond(entry, sign)
        if row["kind"] == "no_difference":
            return Found(ours, test, bool(p > alpha))
        if not p < alpha:
            return Found(ours, test, False, UNSHOWN)
        holds = bool(TRENDS.get(row["kind"], 1) * difference > 0)
        return Found(ours, test, holds, "" if holds else OPPOSITE)
    return NOT_FOUND


def _equivalent(difference: float, entry: pd.Series, tolerance: float, alpha: float) -> tuple[str, bool | None]:
    """Return the test of whether a difference lies within the tolerance, in words, and whether it does.

    Two one-sided t-tests (Schuirmann 1987): it does where the interval of 1 - 2 alpha lies within the tolerance, it
    does not where all of it lies beyond, and else too little was measured to tell, which is no verdict. That no
    difference is significant says nothing of the kind. A claim stands by itself, so that nothing is corrected: a wrong
    "holds" has a probability of at most alpha.
    """
    if entry["t"] == 0:
        return "no test: the mean difference is 0, and t does not tell the spread", None
    half = float(stats.t.ppf(1 - alpha, entry["df"]) * abs(entry["difference"] / entry["t"]))
    low, high = difference - half, difference + half
    test = (
        f"{100 * (1 - 2 * alpha):g}% CI [{low:+.3f}, {high:+.3f}] over {entry['n']:.0f} units, by two one-sided paired "
        f"t-tests; allowed {tolerance:g}"
    )
    if -tolerance < low and high < tolerance:
        return test, True
    if low > tolerance or high < -tolerance:
        return test, False
    return f"{test}: too few units to tell", None


def _beyond(entry: pd.Series, sign: int) -> str:
    """Return what a test's difference is worth for other trainings, in words, where there are enough of them."""
    if math.isnan(entry.get("p_two_level_bonferroni", math.nan)):
        return ""
    ends = sorted(sign * entry[f"ci_{end}_two_level"] for end in ("low", "high"))
    counts = {entry["trainings_a"], entry["trainings_b"]} - {0}
    trainings = " and ".join(f"{count:.0f}" for count in sorted(counts))
    return (
        f"; over {entry['n']:.0f} units and {trainings} trainings: 95% CI [{ends[0]:+.3f}, {ends[1]:+.3f}], "
        f"Bonferroni p {_p(entry['p_two_level_bonferroni'])}"
    )


def _keys(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what a claim is about; published agreement is with the truth from all maps of a subject."""
    keys = {key: row[key] for key in ("dataset", "conditions", "criterion")}
    truth = {"accuracy": "", "informative": "full", "pairwise": "full"}.get(row["criterion"])
    return keys if truth is None else {**keys, "truth": truth}


def _p(value: float) -> str:
    return "< 1e-300" if value == 0 else f"= {value:.2g}"


def _select(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    keep = pd.Series(True, index=table.index)
    for column, value in values.items():
        keep &= table[column] == value
    return table[keep]
