"""The grid: mean agreement of every way to train with every way to explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, NO_NETWORK, REFERENCE
from truemap.figures.backend import plt, withStroke
from truemap.figures.cells import LIST, Cells, cells_of
from truemap.figures.palette import ink_on
from truemap.figures.style import MM, NARROW, POINTS, SMALL, WIDE, count_range, sheet, text_width, together
from truemap.figures.words import CRITERIA, entry_label, in_words, wrapped

#: Colour of frames and references.
MARK = "#cc3311"
#: White around what is drawn on colours.
CASING = [withStroke(linewidth=3, foreground="white")]
#: What stands beside the agreement: criterion -> title.
BESIDE = {"accuracy": "accuracy", "robust_accuracy": "robust\naccuracy"}
#: Inches of a cell, of one beside, of the colour bar, and of its words.
CELL, SIDE, BAR, WORDS = 0.32, 0.4, 0.1, 1.05


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


def drawn_grid(
    summary: pd.DataFrame, criterion: str, entries: Sequence[dict[str, Any]], attack: str | None
) -> pd.DataFrame:
    """Return what a grid shows, one row an entry: means of one criterion, of sizes, and accuracies of its model."""
    found = summary[summary["seed"] == "mean"].set_index(["criterion", "model", "method"])
    keys = {"mean": criterion, "mean_of_sizes": f"{criterion}{ABSOLUTE}"}
    rows = []
    for entry in entries:
        place = (entry["model"], entry["method"])
        row = {"model": place[0], "method": place[1], "name": entry_label(entry), "criterion": criterion}
        row |= {name: found["mean"].get((key, *place), np.nan) for name, key in keys.items()}
        if "sd_trainings" in found:
            row["sd_trainings"] = found["sd_trainings"].get((criterion, *place), np.nan)
        row["accuracy"] = found["mean"].get(("accuracy", place[0], ""), np.nan)
        row["robust_accuracy"] = found["mean"].get(("robust_accuracy", place[0], attack), np.nan)
        rows.append(row)
    return pd.DataFrame(rows)


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

    Where most models lack most methods, a list: one row an entry. A frame marks the method of a model that beats each
    other one of its; it is dotted where the two-level test over trainings too (`truemap.evaluation.trainings`) does not
    say so. ± is the sd between three trainings or more. Lines in the colour bar are the references. Where maps have no
    signs, the agreement of sizes with the truth's sizes stands below, in bars. What has been left out
    (`truemap.config.names.NO_NETWORK`, no r) says so.

    Parameters
    ----------
    summary, comparisons : DataFrame
        Of `truemap.evaluation.statistics`, one condition set and one truth (accuracies have none).
    criterion : {"informative", "pairwise"}
    entries : sequence of dict
        ``model, method, label`` in the order wanted.
    references : sequence of str
    attack : str, optional
        Whose robust accuracy is shown; None: it was not asked for, and has no column.
    """
    found = summary[summary["seed"] == "mean"].set_index(["criterion", "model", "method"])
    found = found.assign(said=np.where(found["reason"] == NO_NETWORK, "no\nnetwork", "no r"))
    beside: dict[str, str | None] = {"accuracy": ""}
    if attack is not None:
        beside["robust_accuracy"] = attack
    titles = [BESIDE[name] for name in beside]
    cells = cells_of(entries)
    lines = {in_words(name): found["mean"].get((criterion, REFERENCE, name), np.nan) for name in references}
    lines = {name: value for name, value in lines.items() if np.isfinite(value)}
    width, short = _width(cells, len(beside))
    texts = _texts(cells, found, criterion, short)
    lines_of_cell = max(text.count("\n") + 1 for row in texts for text in row)
    figure, (axis, side, scale) = _frame(cells, width, lines_of_cell, len(beside))
    values = cells.values(found["mean"], criterion)
    shown = [*values[np.isfinite(values)], *lines.values(), 0.0]
    image = axis.imshow(values, cmap=colormap, vmin=min(shown), vmax=max(shown), aspect="auto")
    _write(axis, texts, np.where(np.isfinite(values)[..., None], image.cmap(image.norm(values))[..., :3], 1.0))
    side.imshow(np.full((len(cells.rows), len(beside)), np.nan), aspect="auto")
    of_models = Cells(cells.rows, titles, [list(beside.values())] * len(cells.rows))
    parts = [_texts(of_models, found, name) for name in beside]
    _write(side, [[part[row][column] for column, part in enumerate(parts)] for row in range(len(cells.rows))])
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(len(cells.columns)), cells.columns, **turned)
    axis.set_yticks(range(len(cells.rows)), [wrapped(name) for name, _ in cells.rows])
    side.set_xticks(range(len(beside)), titles, **turned)
    side.set_yticks([])
    side.set_title("share of\ntest maps", fontsize=SMALL)
    _frame_winners(axis, comparisons[comparisons["criterion"] == criterion], cells)
    bar = figure.colorbar(image, cax=scale)
    bar.set_label(f"mean r with\n{CRITERIA[criterion]}", fontsize=SMALL)
    _mark(bar.ax, lines, max(shown) - min(shown))
    return figure


def _width(cells: Cells, beside: int) -> tuple[float, bool]:
    """Return how wide a figure is in mm, and whether numbers have no room for the zero before their point."""
    names = max(text_width(line) for name, _ in cells.rows for line in wrapped(name).split("\n"))
    wanted = names + CELL * max(len(cells.columns), LIST) + SIDE * beside + BAR + WORDS
    return (NARROW if wanted <= NARROW / MM else WIDE), wanted > WIDE / MM


def _frame(cells: Cells, width: float, lines: int, beside: int) -> tuple[plt.Figure, Any]:
    """Return a figure and its axes (grid, accuracies, colour bar), cells as high as so many lines take."""
    most = max(lines, *(wrapped(name).count("\n") + 1 for name, _ in cells.rows))
    height = max(len(cells.rows) * (1.2 * most + 0.7) * SMALL / POINTS, 1.5) + 1.1
    ratios = [CELL * max(len(cells.columns), LIST), SIDE * beside, BAR]
    return plt.subplots(1, 3, figsize=sheet(width, height), width_ratios=ratios, layout="constrained")


def _frame_winners(axis: plt.Axes, comparisons: pd.DataFrame, cells: Cells) -> None:
    places = {
        (model, way): (column - 0.47, row - 0.47)
        for row, ((_, model), ways) in enumerate(zip(cells.rows, cells.methods, strict=True))
        for column, way in enumerate(ways)
    }
    for model in dict.fromkeys(model for _, model in cells.rows):
        best = winner(comparisons, model)
        if best is not None:
            # With few trainings, or none beside the first, there is no other test to hold.
            tested = comparisons.get("p_two_level", pd.Series(dtype=float))[comparisons["model_a"] == model].notna()
            holds = not tested.any() or winner(comparisons, model, "significant_two_level") == best
            look = {"linestyle": "-" if holds else ":", "edgecolor": MARK, "linewidth": 1.5}
            patch = plt.Rectangle(places[model, best], 0.94, 0.94, fill=False, **look)
            patch.set_path_effects(CASING)
            axis.add_patch(patch)


def _mark(bar: plt.Axes, lines: dict[str, float], span: float) -> None:
    """Draw the references into the colour bar."""
    for value in lines.values():
        bar.axhline(value, color=MARK, linewidth=1.2).set_path_effects(CASING)
    for name, value in together(lines, 0.1 * span):
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        words = wrapped(name, 16)
        bar.annotate(words, (0, value), (-3, 0), **place, ha="right", va="center", fontsize=SMALL, color=MARK)


def _texts(cells: Cells, found: pd.DataFrame, criterion: str, short: bool = False) -> list[list[str]]:
    """Return what stands in each cell: the mean, its spread between trainings and that of sizes, or why none does."""
    values, sizes = (cells.values(found["mean"], name) for name in (criterion, f"{criterion}{ABSOLUTE}"))
    none = cells.words(found["said"], criterion)
    spreads = np.full(values.shape, np.nan)
    if "sd_trainings" in found:
        spreads = cells.values(found["sd_trainings"], criterion)

    def text(place: tuple[int, int]) -> str:
        lines = [f"{values[place]:z.2f}"] if np.isfinite(values[place]) else []
        lines += [f"±{spreads[place]:.2f}"] if lines and np.isfinite(spreads[place]) else []
        lines += [f"|{sizes[place]:.2f}|"] if np.isfinite(sizes[place]) else []
        if short:
            lines = [line.replace("0.", ".", 1) for line in lines]
        return "\n".join(lines).replace("-", "−") or none[place[0]][place[1]]

    return [[text((row, column)) for column in range(values.shape[1])] for row in range(len(values))]


def _write(axis: plt.Axes, texts: list[list[str]], grounds: np.ndarray | None = None) -> None:
    """Write a text into each cell, black or white by its ground, shape (rows, columns, 3)."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL, "linespacing": 1.1}
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            if text:
                color = "black" if grounds is None else ink_on(grounds[row, column])
                axis.text(column, row, text, color=color, **look)


def foot(summary: pd.DataFrame, comparisons: pd.DataFrame, criterion: str, unit: str) -> str:
    """Return of how many units means are, and what frames and ± are, in words.

    Parameters
    ----------
    unit : str
        ``subjects`` or ``images``.
    """
    own = summary[(summary["seed"] == "mean") & (summary["criterion"] == criterion) & (summary["model"] != REFERENCE)]
    tests = comparisons[comparisons["criterion"] == criterion]
    words = [f"n = {count_range(own['n'])} {unit}"]
    if "sd_trainings" in own and own["sd_trainings"].notna().any():
        words.append("±: sd between trainings")
    if any(winner(tests, model) for model in own["model"].unique()):
        dotted = ", dotted: not over trainings too" if "p_two_level" in tests else ""
        words.append(f"frame: better than each other way to explain the model (Bonferroni p < .05{dotted})")
    sizes = summary[(summary["seed"] == "mean") & (summary["criterion"] == f"{criterion}{ABSOLUTE}")]
    if sizes["mean"].notna().any():
        words.append("|r|: of sizes without signs")
    if (summary["model"] == REFERENCE).any():
        words.append("red: maps that know nothing of the network")
    return "; ".join(words)
