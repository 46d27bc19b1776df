"""The truth lost by what a measure says of other data: ways to explain, and to train, that another dataset chooses.

A measure that is followed on the data that it was found on may fit these by chance. Here the choice is made on one
dataset and paid for on another. Ways are the same ones if they are of one module, whatever a config calls them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from truemap.evaluation.answers import TRUTHS, rows_of
from truemap.evaluation.prediction import ALL, MEASURE, TRUTH, of_methods, of_truth
from truemap.evaluation.ranks import AT_RANDOM, LEAST_ITEMS, REGRET, RELATIVE

#: What is chosen, and so compared across.
ACROSS = ("methods", "trainings")
ALONE = "no other dataset has measures here"
NOT_THERE = "the measure was not made there"
FEW = f"fewer than {LEAST_ITEMS} of them are in both datasets and have values, or all are equal"
COLUMNS = [
    "dataset", "chosen_by", "across", *TRUTH, *MEASURE, "choice", "statistic", "value", "ci_low", "ci_high", "items",
    "units", "trainings", "reason",
]  # fmt: skip


def items_of(table: pd.DataFrame, swept: set[str], alike: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Return a dataset's values by way and subject, with names that other datasets have too.

    Parameters
    ----------
    table : DataFrame
        Of `truemap.evaluation.prediction.joined`.
    swept : set of str
        Candidates of sweeps, which are left out.
    alike : mapping
        ``methods``: "model/label" -> the method's own name, and ``trainings``: model -> its training's.

    Returns
    -------
    DataFrame
        ``across, criterion, truth, metric, measure, direction, group, item, alike, seed, unit, x, y``: means over the
        maps of a subject.
    """
    parts = []
    for across, rows in of_methods(table, swept):
        if across in ACROSS:
            names = rows["model"] + "/" + rows["method"] if across == "methods" else rows["model"]
            parts.append(rows.assign(across=across, alike=names.map(alike[across])))
    keys = ["across", *TRUTH, *MEASURE, "group", "item", "alike", "seed", "unit"]
    return pd.concat(parts).groupby(keys)[["x", "y"]].mean().reset_index()


def held_out(items: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return what is lost on each dataset by the choices of each other one.

    The other dataset's choice is of the ways that both have: the best in the mean of the measure's ranks within its
    groups and seeds. Regret, and its interval over subjects and seeds, are those of `truemap.evaluation.prediction`.
    Nothing hangs on a config: its draws have one seed.

    Parameters
    ----------
    items : mapping
        Dataset -> its table of `items_of`.

    Returns
    -------
    DataFrame
        The columns `COLUMNS`; a null value has a reason.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for name, own in items.items():
        others = {other: table for other, table in items.items() if other != name}
        if not others:
            parts.append(pd.DataFrame({"dataset": [name], "value": np.nan, "reason": ALONE}))
        for other, theirs in others.items():
            for across in ACROSS:
                here, there = (table[table["across"] == across] for table in (own, theirs))
                for truth in TRUTHS:
                    found = _chosen_there(across, rows_of(here, truth), there)
                    parts.append(found.assign(dataset=name, chosen_by=other, across=across))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True).reindex(columns=COLUMNS)


def _chosen_there(across: str, here: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    """Return what is lost here, by one truth, of each measure."""
    if here.empty:
        return pd.DataFrame()
    of_way = [*MEASURE, "alike"]
    common = there.merge(here[of_way].drop_duplicates(), on=of_way)
    # The same for each truth that stands beside it.
    values = common.groupby([*MEASURE, "group", "seed", "alike"])["x"].mean()
    ranks = values.groupby([*MEASURE, "group", "seed"]).rank(pct=True)
    score = ranks.groupby(of_way).mean().rename("score")
    rows = here.join(score, on=of_way).dropna(subset="score")
    key, parts = here[TRUTH].iloc[0].to_dict(), []
    if len(rows):
        found = pd.DataFrame(of_truth(across, rows.assign(x=rows["score"])))
        found = found[(found["group"] == ALL) & found["statistic"].isin([REGRET, AT_RANDOM, RELATIVE])]
        best = score[score == score.groupby(MEASURE).transform("max")].reset_index()
        choices = best.groupby(MEASURE)["alike"].agg(", ".join).rename("choice")
        parts.append(found.assign(reason=np.where(found["value"].isna(), FEW, "")).join(choices, on=MEASURE))
    missing = (
        here[MEASURE]
        .drop_duplicates()
        .merge(score.reset_index()[MEASURE].drop_duplicates(), how="left", indicator=True)
    )
    missing = missing[missing.pop("_merge") == "left_only"]
    parts.append(missing.assign(statistic=RELATIVE, value=np.nan, reason=NOT_THERE))
    return pd.concat([part for part in parts if len(part)], ignore_index=True).assign(**key)
