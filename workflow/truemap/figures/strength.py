"""Agreement and accuracy against the strength of training (as Table 5 and Figure 4 of Moshe et al.)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from truemap.figures.backend import plt

COLORS = {"informative": "#4477aa", "pairwise": "#ee6677", "accuracy": "#228833", "robust_accuracy": "#aa3377"}


def strength_figure(
    summary: pd.DataFrame, swept: Sequence[dict[str, Any]], histories: pd.DataFrame, attack: str
) -> plt.Figure:
    """Return one row a model: agreement and accuracies by strength, accuracy by epoch, and their trade-off.

    Parameters
    ----------
    summary : DataFrame
        Of `truemap.evaluation.statistics.summarise`, one condition set and one truth (accuracies have none).
    swept : sequence of dict
        ``model`` (of the candidate), ``of`` and ``label`` (its model), ``candidate``, ``option``, ``value`` and
        ``method``.
    histories : DataFrame
        ``model, candidate, epoch, validation_accuracy`` (mean over seeds) of the trainings.
    attack : str
        Whose robust accuracy is shown.
    """
    means = summary[summary["seed"] == "mean"].set_index(["criterion", "model", "method"])[["mean", "se"]]
    names = list(dict.fromkeys(entry["of"] for entry in swept))
    figure, axes = plt.subplots(
        len(names), 4, figsize=(12, 2.6 * len(names) + 0.4), squeeze=False, layout="constrained"
    )
    for line, name in zip(axes, names, strict=True):
        points = sorted((e for e in swept if e["of"] == name), key=lambda e: e["value"])
        strengths = [entry["value"] for entry in points]
        drawn = {}
        for criterion, color in COLORS.items():
            methods = {"accuracy": "", "robust_accuracy": attack}
            keys = [(criterion, entry["model"], methods.get(criterion, entry["method"])) for entry in points]
            drawn[criterion] = means.reindex(pd.MultiIndex.from_tuples(keys))
            axis = line[1] if criterion in methods else line[0]
            axis.errorbar(
                strengths, drawn[criterion]["mean"], yerr=drawn[criterion]["se"], color=color, marker="o", markersize=3,
                capsize=2, label=criterion.replace("_", " "),
            )  # fmt: skip
        for number, entry in enumerate(points):
            own = (histories["model"] == entry["of"]) & (histories["candidate"] == entry["candidate"])
            curve = histories[own]
            shade = str(0.75 - 0.75 * number / max(1, len(points) - 1))
            line[2].plot(curve["epoch"], curve["validation_accuracy"], color=shade, label=f"{entry['value']:g}")
        for criterion in ("informative", "pairwise"):
            x, y = drawn["accuracy"]["mean"], drawn[criterion]["mean"]
            line[3].plot(x, y, color=COLORS[criterion], marker="o", markersize=3, label=criterion)
            for entry, a, b in zip(points, x, y, strict=True):
                line[3].annotate(f"{entry['value']:g}", (a, b), (3, 3), textcoords="offset points", fontsize=6)
        _label(line, points)
    return figure


def _label(line: Sequence[plt.Axes], points: Sequence[dict[str, Any]]) -> None:
    entry, strengths = points[0], [point["value"] for point in points]
    option, name = entry["option"], entry["label"]
    axes = [
        (option, f"{name}\nmean r, {entry['method']}"),
        (option, "share of test maps"),
        ("epoch", "validation accuracy"),
        ("test accuracy", f"mean r, {entry['method']}"),
    ]
    for axis, (x, y) in zip(line, axes, strict=True):
        axis.set_xlabel(x)
        axis.set_ylabel(y)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=6, title=option if x == "epoch" else None, title_fontsize=6)
    for axis in line[:2]:
        axis.set_xscale("log")
        axis.set_xticks(strengths, [f"{value:g}" for value in strengths])
        axis.set_xticks([], minor=True)
