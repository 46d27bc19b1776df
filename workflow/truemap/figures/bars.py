"""Figure 2: mean agreement of each method, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, REFERENCE
from truemap.data.conditions import set_shown
from truemap.figures.backend import plt
from truemap.figures.style import CRITERIA, SETS, entry_label, together

#: The standard error over subjects and trainings, and the colour of its whiskers.
TWO_LEVEL, MARK = "se_two_level", "#cc3311"


def agreement_bars(
    summary: pd.DataFrame,
    criterion: str,
    entries: Sequence[dict[str, Any]],
    color: str,
    references: Sequence[str] = (),
    conditions: str = "all",
) -> plt.Figure:
    """Return a bar for each entry and condition set: mean r over units, with its standard error.

    With three trainings or more a second one, over units and trainings, in red.

    References are lines, for the first set. Where maps have no signs, or there are none of pairs, words stand in place
    of the bar: the agreement of sizes, or that there is none.

    Parameters
    ----------
    summary : DataFrame
        Of `truemap.evaluation.statistics.summarise`, of one truth; the rows over all seeds are drawn.
    criterion : {"informative", "pairwise"}
    entries : sequence of dict
        ``model, method, label`` in the order of the bars.
    references : sequence of str
    conditions : str
        The set that comes first.
    """
    both = summary[summary["seed"] == "mean"].set_index(["model", "method"])
    rows, sizes = both[both["criterion"] == criterion], both[both["criterion"] == criterion + ABSOLUTE]
    made = [name for name in SETS if name in set(rows["conditions"])]
    first = set_shown(made, conditions)
    sets = [first, *(name for name in made if name != first)]
    width = 0.8 / len(sets)
    figure, axis = plt.subplots(figsize=(1.1 * len(entries) + 1.6, 3.4))
    for number, name in enumerate(sets):
        part = rows[rows["conditions"] == name].loc[[(e["model"], e["method"]) for e in entries]]
        x = np.arange(len(entries)) + (number - (len(sets) - 1) / 2) * width
        alpha = (1.0, 0.5, 0.25)[number]
        axis.bar(
            x, part["mean"].fillna(0.0), width, yerr=part["se"], capsize=3, color=color, alpha=alpha, label=SETS[name]
        )
        if TWO_LEVEL in part:
            axis.errorbar(x, part["mean"], yerr=part[TWO_LEVEL].astype(float), fmt="none", ecolor=MARK, capsize=5)
            part = part.assign(se=part[["se", TWO_LEVEL]].max(axis=1))  # words above the longer one
        _write(axis, x, part, sizes.loc[sizes["conditions"] == name, "mean"].reindex(part.index))
    axis.set_xticks(range(len(entries)), [entry_label(entry).replace(" ", "\n") for entry in entries])
    axis.axhline(0, color="0.2", linewidth=0.8)
    axis.margins(y=0.12)
    every = rows[rows["conditions"] == first]["mean"]
    _mark(axis, {name: every[REFERENCE, name] for name in references if np.isfinite(every[REFERENCE, name])})
    axis.set_ylabel(f"correlation with\n{CRITERIA[criterion]}")
    axis.spines[["top", "right"]].set_visible(False)
    if len(sets) > 1:
        figure.legend(frameon=False, fontsize=8, loc="upper center", ncols=len(sets), bbox_to_anchor=(0.5, 1.04))
    figure.tight_layout()
    return figure


def units(summary: pd.DataFrame, entries: Sequence[dict[str, Any]]) -> str:
    """Return of how many units (subjects, or images without) the means of `agreement_bars` are, in words."""
    rows = summary[(summary["seed"] == "mean") & summary["criterion"].isin(list(CRITERIA))]
    n = rows.set_index(["model", "method"])["n"].loc[[(e["model"], e["method"]) for e in entries]]
    # Where there is no mean, words say so.
    n = n[n > 0] if (n > 0).any() else n
    words = _number("n", n)
    trainings = rows.dropna(subset=TWO_LEVEL)["trainings"] if TWO_LEVEL in rows else n[:0]
    if trainings.empty:
        return words
    return f"{words}; whiskers: standard error over these, red: over them and {_number('trainings', trainings)}"


def _number(name: str, values: pd.Series) -> str:
    return f"{name} = {values.max()}" if values.nunique() == 1 else f"{name} = {values.min()} to {values.max()}"


def _write(axis: plt.Axes, x: np.ndarray, part: pd.DataFrame, sizes: pd.Series) -> None:
    """Write each mean above its bar, or below; where there is no bar, that of sizes, or that there is none."""
    for position, (mean, se), size in zip(x, part[["mean", "se"]].to_numpy(), sizes, strict=True):
        if np.isnan(mean):
            words = f"|{size:.3f}|\nno signs" if np.isfinite(size) else "no r"
            axis.annotate(words, (position, 0), (0, 3), textcoords="offset points", ha="center", fontsize=6)
            continue
        offset = 3 if mean >= 0 else -10
        top = mean + (np.nan_to_num(se) if mean >= 0 else -np.nan_to_num(se))
        axis.annotate(f"{mean:.3f}", (position, top), (0, offset), textcoords="offset points", ha="center", fontsize=7)


def _mark(axis: plt.Axes, lines: dict[str, float]) -> None:
    """Draw the references as lines, their names beside them."""
    for height in lines.values():
        axis.axhline(height, color="0.45", linewidth=0.8, linestyle="--")
    low, high = axis.get_ylim()
    for name, height in together(lines, 0.04 * (high - low)):
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axis.annotate(name, (1, height), (3, 0), **place, va="center", fontsize=6, color="0.3")
