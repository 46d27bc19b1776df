"""What the numbers of `truemap.evaluation.prediction` say, a sentence a measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from truemap.evaluation.prediction import ALL, MEASURE, TRUTH
from truemap.evaluation.ranks import ROUNDING, TAU

#: The truths that sentences and figures are about: the first of each one's criteria that there are.
TRUTHS = {
    "the data's truth": [("informative", "leave_out"), ("informative", "full")],
    "the network's truth": [("network", "network")],
}
ALPHA = 0.05
COLUMNS = [*MEASURE, "predicts", "fails", "sentence"]


def answers(prediction: pd.DataFrame) -> pd.DataFrame:
    """Return one plain sentence a measure: whether it predicts the data's truth here, the network's, or neither.

    Across ways to explain, all of them; the data's truth is the one that leaves the map out, where there is one, the
    network's the signed one. What counts as predicting says `predicted`. A measure that does not order a truth that is
    degraded in known steps fails: its tau is not above 0 by its interval, though nothing else differs. (No p: these
    steps are no sample of any.)

    Returns
    -------
    DataFrame
        ``metric, measure, direction, predicts, fails, sentence``.
    """
    of_all = prediction[
        (prediction["methods"] == "all")
        & (prediction["group"] == ALL)
        & (prediction["statistic"] == TAU)
        & (prediction["metric"] != "accuracy")
    ]
    tau, series = (
        {name: rows_of(of_all[of_all["across"] == across], name).set_index(MEASURE) for name in TRUTHS}
        for across in ("methods", "series")
    )
    rows = []
    keys = of_all[of_all["across"] == "methods"][MEASURE].drop_duplicates()
    shared = set(keys["measure"][keys["measure"].duplicated()])
    for key in keys.itertuples(index=False, name=None):
        said, found, failed, tried = [], [], [], []
        for name in TRUTHS:
            row, steps = (of[name].loc[key].to_dict() if key in of[name].index else None for of in (tau, series))
            said.append(f"{name} {_said(row)}")
            if verdict := predicted(row) if row else 0:
                found.append(name if verdict > 0 else f"{name}, the wrong way round")
            if steps:
                low = steps["value"] if np.isnan(steps["ci_low"]) else steps["ci_low"]
                failed += [] if low > ROUNDING else [name]
                tried.append(f"{name} {_said(steps)}")
        words = f"predicts {'; '.join(found)}" if found else "predicts neither truth"
        # Two metrics may give a measure of one name.
        called = f"{key[1]} of {key[0]}" if key[1] in shared else key[1]
        sentence = f"{called} ({key[2]} is called better) {words} here: {', '.join(said)}."
        if tried:
            fails = f"It fails to order {' and '.join(failed)}" if failed else "It orders what it should"
            sentence += f" {fails} when the truth is degraded in known steps: {', '.join(tried)}."
        elif any(len(of_truth) for of_truth in series.values()):
            sentence += (
                " Of degraded truths it has no value: it asks how a map changes with what they are not made from."
            )
        rows.append((*key, "; ".join(found) or "neither", "; ".join(failed), sentence))
    return pd.DataFrame(rows, columns=COLUMNS)


def without_values(measured: pd.DataFrame) -> pd.DataFrame:
    """Return one sentence for each measure that has no value for any map: why it says nothing here.

    Parameters
    ----------
    measured : DataFrame
        ``metric, measure, direction, value, reason`` of each map.

    Returns
    -------
    DataFrame
        As of `answers`; `predicts` is "no value".
    """
    rows = []
    for key, part in measured.groupby(MEASURE, sort=False):
        if part["value"].isna().all():
            reasons = "; ".join(dict.fromkeys(part["reason"]))
            sentence = f"{key[1]} ({key[2]} is called better) says nothing here, as it has no value: {reasons}."
            rows.append((*key, "no value", "", sentence))
    return pd.DataFrame(rows, columns=COLUMNS)


def rows_of(prediction: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one of `TRUTHS`: of the first of its criteria that there are."""
    for truth in TRUTHS[name]:
        rows = prediction[(prediction[TRUTH] == list(truth)).all(axis=1)]
        if len(rows):
            return rows
    return prediction[:0]


def predicted(row: Mapping[str, Any]) -> int:
    """Return 1 or -1 where a row of tau says that its truth is predicted, rightly or the wrong way round; else 0.

    Its p is below `ALPHA`, and the interval on one side of 0.
    """
    one_sided = row["ci_low"] > ROUNDING or row["ci_high"] < -ROUNDING
    return int(np.sign(row["value"])) if one_sided and row["p"] < ALPHA else 0


def _said(row: Mapping[str, Any] | None) -> str:
    """Return the numbers in words."""
    if row is None:
        return "was not asked for"
    if np.isnan(row["value"]):
        return f"is open ({row['reason']})"
    ends = "no interval" if np.isnan(row["ci_low"]) else f"95% interval [{row['ci_low']:z.2f}, {row['ci_high']:z.2f}]"
    return f"tau = {row['value']:z.2f} ({ends}, p = {row['p']:.2g})"
