"""The grid: mean agreement of every way to train with every way to explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, NO_NETWORK, REFERENCE
from truemap.figures.backend import plt
from truemap.figures.style import CRITERIA, together

#: Colour of frames and references.
MARK = "#cc3311"
#: What stands beside the agreement: criterion -> title.
BESIDE = {"accuracy": "accuracy", "robust_accuracy": "robust\naccuracy"}


def winner(comparisons: pd.DataFrame, model: str, significant: str = "significant") -> str | None:
    """Return the method of a model that agrees better than each of its other methods (corrected p), if there is one.

    Parameters
    ----------
    comparisons : DataFrame
        Of `truemap.evaluation.statistics.compare`, one family.
    significant : str
        The column that says whether a difference is one.
    """
    rows = comparisons[(comparisons["model_a"] == model) & (comparisons["model_b"] == model)]
    methods = set(rows["method_a"]) | set(rows["method_b"])
    better = rows["method_a"].where(rows["difference"] > 0, rows["method_b"])[rows[significant]]
    return next((method for method, wins in better.value_counts().items() if wins == len(methods) - 1), None)


def grid_figure(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    criterion: str,
    entries: Sequence[dict[str, Any]],
    references: Sequence[str],
    attack: str | None,
    colormap: str,
) -> plt.Figure:
    """Return a heat map, one row a model and one column a method, with accuracies beside it.

    A frame marks the method of a row that beats each other one of its row; it is dotted where the two-level test over
    trainings too (`truemap.evaluation.trainings`) does not say so. ± is the sd between three trainings or more. Lines
    in the colour bar are the references. Where maps have no signs, the agreement of sizes with the truth's sizes stands
    below, in bars. What has been left out (`truemap.config.names.NO_NETWORK`, no r) says so.

    Parameters
    ----------
    summary, comparisons : DataFrame
        Of `truemap.evaluation.statistics`, one condition set and one truth (accuracies have none).
    criterion : {"informative", "pairwise"}
    entries : sequence of dict
        ``model, method, label`` in the order wanted.
    references : sequence of str
    attack : str, optional
        Whose robust accuracy is shown; None: it was not asked for, and the figure says so.
    """
    found = summary[summary["seed"] == "mean"].set_index(["criterion", "model", "method"])
    means = found["mean"]
    labels = {entry["model"]: entry["label"] for entry in entries}
    methods = list(dict.fromkeys(entry["method"] for entry in entries))
    values = np.array([[means.get((criterion, m, method), np.nan) for method in methods] for m in labels])
    beside = {"accuracy": "", "robust_accuracy": attack}
    titles = [BESIDE[name] + ("\nnot asked for" if method is None else "") for name, method in beside.items()]
    extra = np.array([[means.get((name, m, method), np.nan) for name, method in beside.items()] for m in labels])
    said = pd.Series(np.where(found["reason"] == NO_NETWORK, "no\nnetwork", "no r"), found.index)
    none = np.array([[said.get((criterion, m, method), "") for method in methods] for m in labels])
    none_beside = np.array([[said.get((name, m, method), "") for name, method in beside.items()] for m in labels])
    width = [len(methods), len(beside)]
    figure, (axis, side) = plt.subplots(
        1, 2, figsize=(0.62 * sum(width) + 3.2, 0.46 * len(labels) + 2.2), width_ratios=width, layout="constrained"
    )
    lines = {name: means.get((criterion, REFERENCE, name), np.nan) for name in references}
    lines = {name: value for name, value in lines.items() if np.isfinite(value)}
    shown = [*values[np.isfinite(values)], *lines.values(), 0.0]
    image = axis.imshow(values, cmap=colormap, vmin=min(shown), vmax=max(shown), aspect="auto")
    side.imshow(extra, cmap="Greys", vmin=0, vmax=1.4, aspect="auto")
    unsigned = [[means.get((f"{criterion}{ABSOLUTE}", m, method), np.nan) for method in methods] for m in labels]
    spread = found["sd_trainings"] if "sd_trainings" in found else means[:0]
    spreads, spreads_beside = (
        np.array([[spread.get((name, m, method), np.nan) for name, method in columns] for m in labels], dtype=float)
        for columns in ([(criterion, method) for method in methods], list(beside.items()))
    )
    _write(axis, values, none, spreads, image, np.array(unsigned))
    _write(side, extra, none_beside, spreads_beside)
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(len(methods)), methods, **turned)
    axis.set_yticks(range(len(labels)), list(labels.values()))
    side.set_xticks(range(len(beside)), titles, **turned)
    side.set_yticks([])
    _frame_winners(axis, comparisons[comparisons["criterion"] == criterion], list(labels), methods)
    bar = figure.colorbar(image, ax=side, fraction=0.25, pad=0.1)
    bar.set_label(f"mean r with {CRITERIA[criterion]}", fontsize=8)
    _mark(bar.ax, lines, max(shown) - min(shown))
    return figure


def _frame_winners(axis: plt.Axes, comparisons: pd.DataFrame, models: list[str], methods: list[str]) -> None:
    for row, model in enumerate(models):
        best = winner(comparisons, model)
        if best is not None:
            place = (methods.index(best) - 0.47, row - 0.47)
            # With few trainings, or none beside the first, there is no other test to hold.
            tested = comparisons.get("p_two_level", pd.Series(dtype=float))[comparisons["model_a"] == model].notna()
            holds = not tested.any() or winner(comparisons, model, "significant_two_level") == best
            look = {"linestyle": "-" if holds else ":", "edgecolor": MARK, "linewidth": 2}
            axis.add_patch(plt.Rectangle(place, 0.94, 0.94, fill=False, **look))


def _mark(bar: plt.Axes, lines: dict[str, float], span: float) -> None:
    """Draw the references into the colour bar."""
    for value in lines.values():
        bar.axhline(value, color=MARK, linewidth=1.2)
    for name, value in together(lines, 0.04 * span):
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        bar.annotate(name, (0, value), (-3, 0), **place, ha="right", va="center", fontsize=6, color=MARK)


def _write(
    axis: plt.Axes,
    values: np.ndarray,
    none: np.ndarray,
    spreads: np.ndarray,
    image: Any = None,
    unsigned: np.ndarray | None = None,
) -> None:
    """Write each value into its cell, its spread between trainings and that of sizes below; or the words `none`."""
    for (row, column), value in np.ndenumerate(values):
        lines = [f"{value:.2f}"] if np.isfinite(value) else []
        if lines and np.isfinite(spreads[row, column]):
            lines.append(f"±{spreads[row, column]:.2f}")
        if unsigned is not None and np.isfinite(unsigned[row, column]):
            lines.append(f"|{unsigned[row, column]:.2f}|")
        if not (text := "\n".join(lines) or none[row, column]):
            continue
        painted = image is not None and np.isfinite(value)
        dark = painted and np.dot(image.cmap(image.norm(value))[:3], (0.3, 0.6, 0.1)) < 0.5
        color = "white" if dark else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=7, color=color, linespacing=1.1)
