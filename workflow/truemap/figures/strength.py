"""Agreement and accuracy against the strength of training (as Table 5 and Figure 4 of Moshe et al.)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.figures.backend import plt
from truemap.figures.style import WIDE, count_range, letter, sheet
from truemap.figures.words import in_words, measure_words, wrapped

COLORS = {"informative": "#0072b2", "pairwise": "#d55e00", "accuracy": "#008a65", "robust_accuracy": "#a3497f"}
#: Series of agreement, and of accuracies, which are models' and no method's.
AGREEMENT, OF_MODELS = ("informative", "pairwise"), ("accuracy", "robust_accuracy")
#: What the accuracy by epoch is called.
CURVE = "validation_accuracy"
#: Of agreement, in the room of a legend.
NAMES = {"informative": "class-informative"}
#: Area of the marks of the weakest and of the strongest training, in points squared.
MARKS = (6.0, 40.0)
#: Inches of a row of panels.
HIGH = 1.7


def drawn_strengths(
    summary: pd.DataFrame, swept: Sequence[dict[str, Any]], histories: pd.DataFrame, attack: str | None
) -> pd.DataFrame:
    """Return what the figure draws, one row a point: ``model, candidate, option, value, series, epoch, n, mean, se``.

    Parameters
    ----------
    summary : DataFrame
        Of `truemap.evaluation.statistics.summarise`, one condition set and one truth (accuracies have none).
    swept : sequence of dict
        ``model`` (of the candidate), ``of`` and ``label`` (its model), ``candidate``, ``option``, ``value`` and
        ``method``.
    histories : DataFrame
        ``model, candidate, epoch, validation_accuracy`` (mean over seeds) of the trainings.
    attack : str, optional
        Whose robust accuracy is shown.
    """
    over = summary[summary["seed"] == "mean"].set_index(["criterion", "model", "method"])
    over = over.reindex(columns=["n", "mean", "se"])
    rows: list[dict[str, Any]] = []
    for entry in sorted(swept, key=lambda entry: entry["value"]):
        point = {"model": entry["of"], **{key: entry[key] for key in ("candidate", "option", "value")}}
        for series in COLORS:
            of_model = {"accuracy": "", "robust_accuracy": attack}
            key = (series, entry["model"], of_model.get(series, entry["method"]))
            found = over.loc[key].to_dict() if key in over.index else {}
            rows.append({**point, "series": series, **found})
        own = (histories["model"] == entry["of"]) & (histories["candidate"] == entry["candidate"])
        for step in histories[own].itertuples():
            rows.append({**point, "series": CURVE, "epoch": step.epoch, "mean": step.validation_accuracy})
    columns = ["model", "candidate", "option", "value", "series", "epoch", "n", "mean", "se"]
    return pd.DataFrame(rows, columns=columns)


def strength_figure(rows: pd.DataFrame, swept: Sequence[dict[str, Any]]) -> plt.Figure:
    """Return one row a model: agreement and accuracies by strength, accuracy by epoch, and their trade-off.

    Parameters
    ----------
    rows : DataFrame
        Of `drawn_strengths`.
    swept : sequence of dict
        As there.
    """
    entries = {entry["of"]: entry for entry in reversed(swept)}
    names = list(dict.fromkeys(entry["of"] for entry in swept))
    figure, axes = plt.subplots(
        len(names), 4, figsize=sheet(WIDE, HIGH * len(names) + 0.2), squeeze=False, layout="constrained"
    )
    for line, name in zip(axes, names, strict=True):
        own = rows[rows["model"] == name]
        _draw(line, own)
        _label(line, entries[name], own["value"].drop_duplicates())
    for axis, panel in zip(axes[0], "abcd", strict=True):
        letter(axis, panel)
    return figure


def _draw(line: Sequence[plt.Axes], rows: pd.DataFrame) -> None:
    """Draw one model's panels."""
    series = {name: rows[rows["series"] == name] for name in COLORS}
    for name, points in series.items():
        if points["mean"].isna().all():
            continue
        line[1 if name in OF_MODELS else 0].errorbar(
            points["value"], points["mean"], yerr=points["se"], color=COLORS[name], marker="o", markersize=3,
            capsize=2, label=NAMES.get(name) or measure_words(name),
        )  # fmt: skip
    curves = list(rows[rows["series"] == CURVE].groupby("value"))
    for number, (value, curve) in enumerate(curves):
        shade = str(0.6 - 0.6 * number / max(1, len(curves) - 1))
        line[2].plot(curve["epoch"], curve["mean"], color=shade, marker=".", markersize=3, label=f"{value:g}")
    for name in AGREEMENT:
        x, y = series["accuracy"]["mean"], series[name]["mean"]
        line[3].plot(x, y, color=COLORS[name], label=name)
        line[3].scatter(x, y, np.linspace(*MARKS, len(x)), COLORS[name], zorder=3)


def _label(line: Sequence[plt.Axes], entry: dict[str, Any], strengths: pd.Series) -> None:
    option, method = entry["option"], in_words(entry["method"])
    axes = [
        (option, f"{wrapped(entry['label'])}\nmean r, {method}"),
        (option, "share of test maps"),
        ("epoch", "validation accuracy"),
        ("test accuracy", f"mean r, {method}"),
    ]
    for axis, (x, y) in zip(line, axes, strict=True):
        axis.set_xlabel(x)
        axis.set_ylabel(y)
        axis.spines[["top", "right"]].set_visible(False)
        # The last panel's colours are the first one's.
        if axis is not line[3] and axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, title=option if x == "epoch" else None)
    line[2].locator_params(axis="x", integer=True)
    for axis in line[:2]:
        axis.set_xscale("log")
        axis.set_xticks(strengths, [f"{value:g}" for value in strengths])
        axis.set_xticks([], minor=True)


def foot(rows: pd.DataFrame, unit: str) -> str:
    """Return of how many units means are, and what whiskers are, in words.

    Parameters
    ----------
    unit : str
        ``subjects`` or ``images``.
    """
    words = f"n = {count_range(rows['n'])} {unit}; whiskers: standard error over {unit}"
    return f"{words}; d: marks grow with what a has across"
