"""Which measure predicts which truth: rank correlations with both truths, and the truth lost by following a measure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from truemap.evaluation.answers import TRUTHS, predicted, rows_of
from truemap.evaluation.prediction import ALL, MEASURE
from truemap.evaluation.ranks import AT_RANDOM, HELD_OUT, RELATIVE, TAU
from truemap.figures.backend import plt
from truemap.figures.style import NARROW, WIDE, fitted, letter, sheet
from truemap.figures.words import measure_words, wrapped

#: Marker, colour and words of what points are across, and without which ways to explain.
TAUS = {
    ("methods", "all"): ("o", "#0072b2", "across ways to explain"),
    ("methods", "not guided"): ("D", "#4aa3d9", "the same without guided ones"),
    ("trainings", "all"): ("s", "#d55e00", "across models, explained alike"),
    ("anchors", "all"): ("^", "#008a65", "across anchors: noise, input, edges, truths, networks that know nothing"),
    ("series", "all"): ("v", "#333333", "across the truth degraded in known steps"),
}
REGRETS = {key: look for key, look in TAUS.items() if key[1] == "all"}
HELD = "held_out_relative"
#: Ground of every second measure, so that marks can be told from those of the next.
BAND = "0.95"
#: Inches of a line of the legend; letters of a line of a measure's name.
LEGEND, NAME = 3.0, 21


def drawn_taus(prediction: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that `tau_figure` draws: tau of each measure with both truths, over all groups."""
    return _drawn(prediction, [TAU]).assign(predicts=lambda rows: [predicted(row) for row in rows.to_dict("records")])


def drawn_regrets(prediction: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that `regret_figure` draws: relative regret, and that of a choice by other seeds (`HELD`)."""
    rows = _drawn(prediction, [RELATIVE, AT_RANDOM, HELD_OUT])
    keys = ["shown", "across", "methods", *MEASURE]
    wide = rows.set_index([*keys, "statistic"])["value"].unstack("statistic")
    wide = wide.reindex(columns=[HELD_OUT, AT_RANDOM])
    held = (wide[HELD_OUT] / wide[AT_RANDOM].where(wide[AT_RANDOM] > 0)).rename(HELD)
    return rows[rows["statistic"] == RELATIVE].join(held, on=keys)


def tau_figure(rows: pd.DataFrame) -> plt.Figure:
    """Return a panel a truth and a line a measure: mean tau with its interval, filled where it predicts the truth.

    Parameters
    ----------
    rows : DataFrame
        Of `drawn_taus`.
    """
    figure, axes = _panels(rows, "Kendall's τ-b of measure and truth\n(right: the truer is called better)")
    for axis, places, part, (marker, color, label) in _points(axes, rows, TAUS):
        filled = part["predicts"].to_numpy() != 0
        _whiskers(axis, places, part, color)
        for chosen, face, words in ((filled, color, None), (~filled, "white", label)):
            axis.scatter(
                part["value"][chosen], places[chosen], 12, face, marker=marker, edgecolors=color, zorder=3, label=words
            )
    for axis in axes:
        axis.axvline(0, color="0.2", linewidth=0.8)
    return _finished(figure, axes)


def regret_figure(rows: pd.DataFrame) -> plt.Figure:
    """Return a panel a truth and a line a measure: the truth lost by following it, relative to choosing at random.

    Parameters
    ----------
    rows : DataFrame
        Of `drawn_regrets`.
    """
    figure, axes = _panels(rows, "truth lost by taking what the measure calls best\n(0: none, 1: as by chance)")
    for axis, places, part, (marker, color, label) in _points(axes, rows, REGRETS):
        _whiskers(axis, places, part, color)
        axis.scatter(part["value"], places, 12, color, marker=marker, zorder=3, label=label)
        words = f"{label}, chosen by other seeds" if part[HELD].notna().any() else None
        axis.scatter(part[HELD], places, 14, color, marker="x", zorder=4, label=words)
    for axis in axes:
        for place, style in ((0, "-"), (1, "--")):
            axis.axvline(place, color="0.2", linewidth=0.8, linestyle=style)
    return _finished(figure, axes)


def foot(rows: pd.DataFrame) -> str:
    """Return of how many subjects, seeds and items values are, and what whiskers are, in words."""
    known = rows[rows["value"].notna()]
    counts = [f"{words} = {_range(known[name])}" for name, words in (("units", "n"), ("trainings", "seeds"))]
    for across, words in (("methods", "ways to explain"), ("trainings", "models"), ("anchors", "anchors")):
        items = known.loc[known["across"] == across, "items"]
        counts += [f"{words} = {_range(items)}"] if len(items) else []
    over = "subjects (or images) and seeds" if (known["trainings"] > 1).any() else "subjects (or images) of one seed"
    return f"{', '.join(counts)}; whiskers: 95 % bootstrap over {over}"


def _range(values: pd.Series) -> str:
    if values.empty:
        return "0"
    return f"{values.min()}" if values.nunique() == 1 else f"{values.min()} to {values.max()}"


def _drawn(prediction: pd.DataFrame, statistics: list[str]) -> pd.DataFrame:
    parts = [rows_of(prediction, truth).assign(shown=truth) for truth in TRUTHS if not rows_of(prediction, truth).empty]
    rows = pd.concat([prediction[:0].assign(shown=""), *parts])
    across = [name for name, _ in TAUS]
    chosen = (rows["group"] == ALL) & rows["statistic"].isin(statistics) & rows["across"].isin(across)
    return rows[chosen].reset_index(drop=True)


def _lines(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return metric and measure of each line, from above."""
    return list(rows[["metric", "measure"]].drop_duplicates().itertuples(index=False, name=None))


def _panels(rows: pd.DataFrame, title: str) -> tuple[plt.Figure, list[plt.Axes]]:
    lines, shown = _lines(rows), list(rows["shown"].drop_duplicates()) or [next(iter(TRUTHS))]
    kinds = len(rows[["across", "methods"]].drop_duplicates())
    names = [measure_words(name) for _, name in lines]
    names = [
        wrapped(f"{name}, {measure_words(metric)}" if names.count(name) > 1 else name, NAME)
        for name, (metric, _) in zip(names, lines, strict=True)
    ]
    deep = max([0.06 * kinds, *(0.08 * (name.count("\n") + 2) for name in names)])
    size = sheet(WIDE if len(shown) > 1 else NARROW, (0.05 + deep) * max(len(lines), 1) + 1.3)
    figure, axes = plt.subplots(1, len(shown), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for name, axis, truth in zip("ab", axes[0], shown, strict=False):
        axis.set_title(truth)
        if len(shown) > 1:
            letter(axis, name)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_gid(truth)
        axis.set_xlabel(title)
        axis.locator_params(axis="x", nbins=5)
        for place in range(1, len(lines), 2):
            axis.axhspan(place - 0.5, place + 0.5, color=BAND, zorder=0)
    axes[0, 0].set_yticks(range(len(lines)), names)
    axes[0, 0].set_ylim(len(lines) - 0.4, -0.6)
    if rows["value"].isna().all():
        axes[0, 0].text(0.5, 0.5, "nothing to rank", ha="center", transform=axes[0, 0].transAxes)
    return figure, list(axes[0])


def _points(
    axes: list[plt.Axes], rows: pd.DataFrame, kinds: dict[tuple[str, str], tuple[str, str, str]]
) -> Iterator[tuple[plt.Axes, np.ndarray, pd.DataFrame, tuple[str, str, str]]]:
    """Yield each panel's points of one kind: axes, places, rows and look."""
    lines = {line: number for number, line in enumerate(_lines(rows))}
    for axis in axes:
        for number, ((across, methods), look) in enumerate(kinds.items()):
            own = (rows["shown"] == axis.get_gid()) & (rows["across"] == across) & (rows["methods"] == methods)
            part = rows[own & rows["value"].notna()]
            if len(part):
                places = np.array([lines[line] for line in zip(part["metric"], part["measure"], strict=True)])
                yield axis, places + 0.8 / len(kinds) * (number - (len(kinds) - 1) / 2), part, look


def _whiskers(axis: plt.Axes, places: np.ndarray, part: pd.DataFrame, color: str) -> None:
    axis.hlines(places, part["ci_low"], part["ci_high"], color=color, linewidth=1)


def _finished(figure: plt.Figure, axes: list[plt.Axes]) -> plt.Figure:
    found = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if found:
        words = [fitted(label, LEGEND) for label in found]
        figure.legend(found.values(), words, frameon=False, loc="outside upper left", ncols=min(len(axes), 2))
    return figure
