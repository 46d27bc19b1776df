"""The grid as a table that can be sorted, with what must be said of the criteria."""

from __future__ import annotations

from html import escape

import pandas as pd

from truemap.config.names import NO_NETWORK, REFERENCE
from truemap.figures.page import page, table_html
from truemap.figures.wording import CRITERIA, TRUTHS, words

NOT_ASKED = " Robust accuracy was not asked for (<code>robustness: {attacks: pgd}</code> does)."
BESIDE = (
    " The last columns are measures of maps that need no truth, each with the direction in which the literature sees "
    "the better map: of the maps of <code>measured</code>, whatever a row's criterion, conditions and truth. Where "
    "they are empty, statistics/metrics.tsv has the reason."
)
#: What is told of trainings where there are three or more.
TRAININGS = ("trainings", "sd_trainings", "ci_low_two_level", "ci_high_two_level")


def grid_page(
    summary: pd.DataFrame,
    attack: str | None,
    group: str | None,
    conditions: str = "all",
    measures: pd.DataFrame | None = None,
) -> str:
    """Return the agreement of all models, methods and references of a dataset as one HTML page.

    Parameters
    ----------
    summary : DataFrame
        Of `truemap.evaluation.statistics.summarise`, with ``dataset, data``.
    attack : str, optional
        Whose robust accuracy is shown; None: it was not asked for, and the page says so.
    group : str, optional
        Name of the reference that others are a share of.
    conditions : str
        Condition set that the warning is about.
    measures : DataFrame, optional
        Of `truemap.evaluation.measures.measure_summary`: each measure's mean stands beside the agreement.
    """
    rows = summary[summary["seed"] == "mean"]
    beside = rows[rows["criterion"].isin(["accuracy", "robust_accuracy"]) & rows["method"].isin(["", attack])]
    said = beside["mean"].map("{:.3f}".format).where(beside["reason"] != NO_NETWORK, NO_NETWORK)
    accuracies = beside.assign(said=said).pivot(index=["model", "conditions"], columns="criterion", values="said")
    table = rows[~rows["criterion"].isin(["accuracy", "robust_accuracy"])]
    table = table.join(accuracies, on=["model", "conditions"])
    columns = ["model", "method", "criterion", "conditions", "truth", "n", "mean", "se", "ci_low", "ci_high", "share"]
    columns += [name for name in TRAININGS if name in table]
    columns += [name for name in ("accuracy", "robust_accuracy") if name in table]
    if measures is not None:
        means = _means(measures)
        table, columns = table.join(means, on=["model", "method"]), [*columns, *means]
    shown = table[columns].rename(columns={"share": f"share of {group}" if group else "share"})
    body = table_html(shown, na_rep="", float_format=lambda value: f"{value:.3f}")
    dataset = str(summary["dataset"].iloc[0])
    title = f"{dataset}: every way to train, every way to explain ({summary['data'].iloc[0]})"
    more = ("" if attack else NOT_ASKED) + ("" if measures is None else BESIDE)
    said = (
        f"{_warning(table, conditions)}<p>A column's head sorts; the field above the table filters. Criteria that "
        f"end in _absolute compare sizes "
        f"without signs, for methods whose maps have none.{more}</p>"
    )
    return page(title, said + body, dataset, depth=2)


def _means(measures: pd.DataFrame) -> pd.DataFrame:
    """Return each measure's mean by model and method, in a column that says which way is better."""
    rows = measures[measures["seed"] == "mean"]
    metrics = rows.groupby("measure")["metric"].transform("nunique")
    name = rows["measure"].where(metrics == 1, rows["measure"] + " of " + rows["metric"])
    rows = rows.assign(column=name + " (" + rows["direction"] + ")")
    return rows.pivot(index=["model", "method"], columns="column", values="mean")[list(rows["column"].unique())]


def _warning(table: pd.DataFrame, conditions: str) -> str:
    full = table[table["conditions"].eq(conditions) & table["criterion"].isin(["informative", "pairwise"])]
    ours = full[full["model"] != REFERENCE]
    said = []
    for (criterion, truth), part in full[full["model"] == REFERENCE].groupby(["criterion", "truth"], sort=False):
        methods = ours[(ours["criterion"] == criterion) & (ours["truth"] == truth)]["mean"]
        best = f"{methods.max():z.3f}" if methods.notna().any() else "has no r with signs"
        names = ", ".join(f"{words(row.method)} {row.mean:z.3f}" for row in part.itertuples(index=False))
        said.append(f"<li>{CRITERIA[criterion]}, {TRUTHS[truth]}: {escape(names)}; best map {best}</li>")
    return (
        "<p>Read this first: agreement with these truths does not show by itself that a map explains the network. "
        "References that know nothing of any network are scored beside it: noise, the input itself, and the average "
        "truth of the training subjects. Where they agree as well as a network's map, the criterion cannot tell that "
        "map from a copy of the input or of the group average. The <em>leave_out</em> truth is made without the map "
        "that is explained, so that a copy of the input has nothing to gain from being part of the truth.</p>"
        f"<ul>{''.join(said)}</ul>"
    )
