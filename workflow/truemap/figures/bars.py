"""Figure 2: mean agreement of each method, with standard errors and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, REFERENCE
from truemap.data.conditions import set_shown
from truemap.evaluation.letters import compact_letters, differing
from truemap.figures import palette
from truemap.figures.backend import plt, withStroke
from truemap.figures.style import NARROW, POINTS, SETS, SMALL, WIDE, count_range, letter, sheet
from truemap.figures.words import CRITERIA, LINE, entry_label, in_words, wrapped

#: The standard error over subjects and trainings.
TWO_LEVEL = "se_two_level"
#: Heights of a bar, of the gap between entries, of what is above and below the bars, in inches.
BAR, GAP, REST = 0.115, 0.06, 0.55
#: Entries above which each name has one line and half the gap: a page is 247 mm high.
MANY = 25
#: How much lighter the bars of the second and third set of conditions are.
LIGHTER = (0.0, 0.5, 0.8)
#: White around what crosses bars, so that it is seen on each.
CASING = [withStroke(linewidth=2, foreground="white")]
COLUMNS = [
    "panel", "criterion", "conditions", "model", "method", "name", "mean", "se", TWO_LEVEL, "trainings", "n", "sizes",
    "letters", "published",
]  # fmt: skip


def drawn_bars(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    published: pd.DataFrame,
    entries: Sequence[dict[str, Any]],
    references: Sequence[str] = (),
    conditions: str = "all",
) -> pd.DataFrame:
    """Return the bars of both panels, one row each: entries, then references, of each set of conditions.

    Parameters
    ----------
    summary, comparisons : DataFrame
        Of `truemap.evaluation.statistics`, of one truth; the rows over all seeds are drawn.
    published : DataFrame
        ``criterion, conditions, model_a, method_a, value`` of published means (`published_means`).
    entries : sequence of dict
        ``model, method, label`` in the order of the bars.
    references : sequence of str
    conditions : str
        The set that comes first.

    Returns
    -------
    DataFrame
        `COLUMNS`: `sizes` is the agreement without signs, where there is none with them; entries of one criterion and
        set that share one of their `letters` do not differ.
    """
    over = summary[summary["seed"] == "mean"].set_index(["criterion", "conditions", "model", "method"])
    over = over.reindex(columns=["mean", "se", TWO_LEVEL, "trainings", "n"])
    known = published.set_index(["criterion", "conditions", "model_a", "method_a"])["value"].astype(float)
    shown = [(entry["model"], entry["method"], entry_label(entry)) for entry in entries]
    shown += [(REFERENCE, name, in_words(name)) for name in references]
    rows: list[dict[str, Any]] = []
    for panel, criterion in zip("ab", CRITERIA, strict=True):
        found = summary["conditions"][summary["criterion"] == criterion]
        sets = [name for name in SETS if name in set(found)]
        first = set_shown(sets, conditions)
        for name in [first, *(name for name in sets if name != first)]:
            letters = _letters(over, comparisons, (criterion, name), entries)
            for model, method, words in shown:
                key = (criterion, name, model, method)
                sizes = over["mean"].get((criterion + ABSOLUTE, *key[1:]), np.nan)
                row = over.loc[key].to_dict() if key in over.index else dict.fromkeys(over.columns, np.nan)
                row |= {"sizes": sizes, "letters": letters.get((model, method), ""), "published": known.get(key)}
                rows.append({**dict(zip(COLUMNS, (panel, *key, words), strict=False)), **row})
    return pd.DataFrame(rows, columns=COLUMNS)


def published_means(published: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return the published mean agreements of a dataset, the first of each model, method, criterion and set.

    Parameters
    ----------
    published : DataFrame
        Of `truemap.evaluation.claims.read_claims`.
    """
    named = published["dataset"].map(lambda names: dataset in names.split())
    rows = published[named & (published["kind"] == "value") & published["criterion"].isin(list(CRITERIA))]
    return rows.drop_duplicates(["criterion", "conditions", "model_a", "method_a"])


def _letters(
    over: pd.DataFrame, comparisons: pd.DataFrame, family: tuple[str, str], entries: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], str]:
    """Return the letters of the entries that have a mean and a test with another one, the largest mean first."""
    own = comparisons[(comparisons["criterion"] == family[0]) & (comparisons["conditions"] == family[1])]
    own = own[own["p_bonferroni"].notna()]
    tested = {pair for side in "ab" for pair in zip(own[f"model_{side}"], own[f"method_{side}"], strict=True)}
    keys = [(entry["model"], entry["method"]) for entry in entries]
    shown = sorted(tested.intersection(keys), key=lambda key: -over["mean"].get((*family, *key), np.nan))
    return compact_letters(shown, differing(own)) if len(shown) > 1 else {}


def agreement_bars(
    rows: pd.DataFrame, entries: Sequence[Mapping[str, Any]], color: str | None = None, panels: str = "ab"
) -> plt.Figure:
    """Return one panel a criterion, side by side on equal axes: a bar for each entry, reference and condition set.

    Means have whiskers of one standard error over units and, with three trainings or more, longer thin ones over units
    and trainings. Where maps have no signs, or there are none of pairs, words stand in place of the bar: the agreement
    of sizes, or that there is none. Published means are ticks.

    Parameters
    ----------
    rows : DataFrame
        Of `drawn_bars`.
    entries : sequence of dict
        ``way`` of each: by that methods have their colours and hatches (`truemap.figures.palette`).
    color : str, optional
        Of all bars, in place of the methods' own.
    panels : str
        Which of the panels.
    """
    ways = {(entry["model"], entry["method"]): entry.get("way", entry["method"]) for entry in entries}
    looks = {key: (color or palette.colour_of(way), palette.hatch_of(way)) for key, way in ways.items()}
    names = list(rows[["model", "method", "name"]].drop_duplicates().itertuples(index=False, name=None))
    sets = list(rows["conditions"].drop_duplicates())
    width = WIDE if len(panels) > 1 else NARROW
    letters = LINE if len(names) <= MANY else 3 * LINE
    labels = [wrapped(words, letters) for _, _, words in names]
    lines = max(text.count("\n") + 1 for text in labels)
    step = max(len(sets) * BAR, 1.25 * lines * SMALL / POINTS) + (GAP if len(names) <= MANY else GAP / 2)
    figure, axes = plt.subplots(
        1, len(panels), figsize=sheet(width, len(names) * step + REST), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, axis in zip(panels, axes[0], strict=True):
        for number, name in enumerate(sets):
            part = rows[(rows["panel"] == panel) & (rows["conditions"] == name)]
            _draw(axis, part, number, BAR / step, len(sets), looks)
        axis.axvline(0, color=palette.EDGE, linewidth=0.6, zorder=3)
        axis.set_xlabel(f"mean r with\n{CRITERIA[dict(zip('ab', CRITERIA, strict=True))[panel]]}")
        axis.spines[["top", "right"]].set_visible(False)
        letter(axis, panel)
    axes[0, 0].set_yticks(range(len(names)), labels)
    axes[0, 0].set_ylim(len(names) - 0.4, -0.6)
    for axis in axes[0]:
        axis.set_xlim(*limits(rows))
    _legend(figure, rows, sets)
    return figure


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return from where to where the axes of both panels reach: all bars, whiskers and ticks."""
    ends = rows[["se", TWO_LEVEL]].astype(float).max(axis=1).fillna(0.0)
    marks = [*(rows["mean"] + ends), *(rows["mean"] - ends), *rows["published"].astype(float), 0.0]
    low, high = np.nanmin(marks), np.nanmax(marks)
    margin = 0.02 * (high - low or 1.0)
    return low - margin if low < -margin else min(low, 0.0), high + margin


def _words(row: Any) -> str:
    """Return what stands beside a bar: its mean and letters, the agreement of sizes, or that there is none."""
    if np.isfinite(row.mean):
        return f"{row.mean:z.3f} {row.letters}".strip().replace("-", "−")
    return f"|{row.sizes:.3f}|, no signs" if np.isfinite(row.sizes) else "no r"


def _draw(
    axis: plt.Axes, part: pd.DataFrame, number: int, height: float, sets: int,
    looks: Mapping[tuple[str, str], tuple[str, str]],
) -> None:  # fmt: skip
    """Draw the bars of one condition set, the `number`-th of `sets`."""
    y = np.arange(len(part)) + (number - (sets - 1) / 2) * height
    keys = zip(part["model"], part["method"], strict=True)
    found = [looks.get(key, (palette.KNOWS_NOTHING, "")) for key in keys]
    fill = [palette.lighter(colour, LIGHTER[number]) for colour, _ in found]
    mean, se, both = (part[name].astype(float).to_numpy() for name in ("mean", "se", TWO_LEVEL))
    look = {"edgecolor": palette.EDGE, "linewidth": 0.4, "label": SETS[part["conditions"].iloc[0]]}
    axis.barh(y, np.nan_to_num(mean), height, color=fill, hatch=[hatch for _, hatch in found], **look)
    for error, wide in ((both, 0.6), (se, 1.4)):
        lines = axis.hlines(y, mean - error, mean + error, color=palette.INK, linewidth=wide, zorder=4)
        lines.set_path_effects(CASING)
    ticks = axis.vlines(part["published"].astype(float), y - height / 2, y + height / 2, color=palette.INK, zorder=5)
    ticks.set_path_effects(CASING)
    # In a column beside the axes: behind a bar they could be taken for the value of a tick.
    column: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    for place, row in zip(y, part.itertuples(), strict=True):
        axis.annotate(_words(row), (1, place), (3, 0), **column, va="center", fontsize=SMALL, annotation_clip=False)


def _legend(figure: plt.Figure, rows: pd.DataFrame, sets: Sequence[str]) -> None:
    handles: list[Any] = []
    if len(sets) > 1:
        for number, name in enumerate(sets):
            fill = palette.lighter(palette.OTHER, LIGHTER[number])
            look = {"facecolor": fill, "edgecolor": palette.EDGE, "linewidth": 0.4, "label": SETS[name]}
            handles.append(plt.Rectangle((0, 0), 1, 1, **look))
    if rows["published"].notna().any():
        line = {"marker": "|", "linestyle": "none", "color": palette.INK, "label": "published mean"}
        handles.append(plt.Line2D([], [], **line))
    if handles:
        figure.legend(handles=handles, frameon=False, loc="outside upper center", ncols=len(handles))


def foot(rows: pd.DataFrame, unit: str) -> str:
    """Return what bars, whiskers, letters and ticks are, in words, and of how many units.

    Parameters
    ----------
    unit : str
        What means are over: ``subjects`` or ``images``.
    """
    own = rows[rows["model"] != REFERENCE]
    words = [f"n = {count_range(own['n'])} {unit}", f"whiskers: standard error over {unit}"]
    trainings = rows["trainings"][rows[TWO_LEVEL].notna()]
    if len(trainings):
        words[-1] += f", thin: over these and {count_range(trainings)} trainings"
    if (own["letters"] != "").any():
        over = f"{unit} and trainings, where there are three or more" if len(trainings) else unit
        words.append(
            f"same letter: no difference at Bonferroni p < .05 within panel and set of conditions (test over {over})"
        )
    if (rows["model"] == REFERENCE).any():
        words.append("grey: maps that know nothing of the network")
    if rows["published"].notna().any():
        words.append("ticks: published, of the study's own data and networks")
    return "; ".join(words)
