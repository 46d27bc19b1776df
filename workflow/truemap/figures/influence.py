"""A test map and the training maps that its prediction hangs on, before and after an attack (as Figures 5 and 6 of
Ghorbani, Abid & Zou 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from truemap.config.exemplars import GRADIENT, RANDOM
from truemap.data.grid import Grid
from truemap.evaluation.influence import MEASURES
from truemap.figures.backend import plt
from truemap.figures.fragility import COLORS, MARKERS, beside
from truemap.figures.slices import slices
from truemap.figures.style import MM, SMALL, WIDE, columns_of, fitted, letter, sheet

#: Rows of training maps: what they are beside, and what stands before it.
ROWS = {"before": ("test", "as it is"), "after": ("attacked", "attacked")}
#: Training maps that are drawn, at most.
MOST = 5
#: Height of the words under a map, and of the panels of curves, in inches.
WORDS, CURVES = 0.4, 2.0
#: Width of the frame of a training map that is among the most influential before and after, and of others.
STAYS, GOES = 2.0, 0.3
#: Share of the width that the colour bar takes; height of a map at most, in inches.
BAR, HIGHEST = 0.1, 1.4
SHOWN = ["measure", "epsilon", "model", "attack", "n", "maps", "unattacked", "mean", "ci_low", "ci_high", "reason"]


def drawn_influence(example: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return what is drawn: of panel a a row a map, without its voxels; of b and c a row a point.

    Parameters
    ----------
    example : DataFrame
        Of `truemap.exemplars.attack.Exemplars.example`, with ``model, seed``.
    summary : DataFrame
        Of `truemap.evaluation.influence.influence_tables`.
    """
    told = example[example["rank"] <= MOST].drop(columns="map").astype({"seed": str}).assign(panel="a")
    means = summary[summary["seed"] == "mean"]
    parts = [
        means.loc[means["measure"] == measure, [*SHOWN, "seed"]].assign(panel=panel)
        for panel, measure in zip("bc", MEASURES, strict=True)
    ]
    found = pd.concat([told, *parts], ignore_index=True)
    return found[["panel", *(column for column in found if column != "panel")]]


def influence_figure(
    example: pd.DataFrame, summary: pd.DataFrame, grid: Grid, labels: Mapping[str, str], top: int, colormap: str
) -> plt.Figure:
    """Return a test map with its most influential training maps, before and after; below, two measures against epsilon.

    Maps are drawn at one scale: images as they are, volumes as the axial slice in which the test map is largest.

    Parameters
    ----------
    example, summary : DataFrame
        See `drawn_influence`.
    labels : mapping
        Network -> its name.
    top : int
        Training maps that are compared.
    """
    columns = 1 + min(MOST, int(example["rank"].max()))
    images = dict(zip(_keys(example), _images(example, grid)[0], strict=True))
    shape = next(iter(images.values())).shape
    tall = min((1 - BAR) * WIDE / MM / columns * shape[0] / shape[1], HIGHEST)
    heights = [2 * (tall + WORDS), CURVES]
    figure = plt.figure(figsize=sheet(WIDE, sum(heights)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    axes = above.subplots(len(ROWS), columns, squeeze=False)
    limit = max(np.abs(image).max() for image in images.values()) or 1.0
    for line, (role, (own, words)) in zip(axes, ROWS.items(), strict=True):
        for axis, key in zip(line, [(own, 0), *((role, rank) for rank in range(1, columns))], strict=True):
            row = example[(example["role"] == key[0]) & (example["rank"] == key[1])].iloc[0]
            influence = f"I = {row['influence']:.2g}".replace("-", "−")
            said = (row["label"], f"test map, {words}" if key[1] == 0 else influence)
            axis.set_gid(f"{key[0]}-{key[1]}")
            axis.imshow(images[key], cmap=colormap, vmin=-limit, vmax=limit, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_linewidth(STAYS if row["stays"] else GOES)
            lines = "\n".join(fitted(part, 0.95 * (1 - BAR) * WIDE / MM / columns) for part in said)
            axis.set_xlabel(lines, fontsize=SMALL, labelpad=2)
    letter(axes[0, 0], "a")
    scale = plt.matplotlib.cm.ScalarMappable(plt.matplotlib.colors.Normalize(-limit, limit), colormap)
    bar = above.colorbar(scale, ax=axes, location="right", fraction=0.02, aspect=40, ticks=[-limit, 0, limit])
    bar.set_ticklabels([f"−{limit:.2g}", "0", f"{limit:.2g}"])
    bar.set_label("value of the map (z over its voxels)", fontsize=SMALL)
    _curves(below, summary, labels, top)
    return figure


def foot(example: pd.DataFrame, summary: pd.DataFrame, grid: Grid, labels: Mapping[str, str]) -> str:
    """Return what is drawn, in words: of which network and slice, of how many maps, and what came back as it was."""
    one, means = example.iloc[0], summary[(summary["seed"] == "mean") & (summary["measure"] == MEASURES[0])]
    words = f"{_images(example, grid)[1]}; ".removeprefix("; ")
    came = "" if one["attacked"] else ", which came back as it was, as no attack left the prediction"
    counts = sorted({*means["n"].dropna().astype(int)}) or [0]
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f"a: {labels[one['model']]}, the test map of median rank correlation under the attack of {one['epsilon']:g} sd"
        f"{came}, and the most influential training maps, the first the most, with class and influence I on the test "
        f"map's loss (negative: helpful), those that stay among them in thick frames; {words}b, c: n = {n} subjects "
        "(or images); whiskers: 95 % interval of the mean over them (Student's t); "
        f"{means['unattacked'].sum():.0f} of {means['maps'].sum():.0f} attacks would have changed the prediction, and "
        "these maps count as they were"
    )


def _keys(example: pd.DataFrame) -> list[tuple[str, int]]:
    return list(zip(example["role"], example["rank"], strict=True))


def _images(example: pd.DataFrame, grid: Grid) -> tuple[list[np.ndarray], str]:
    """Return what is drawn of each map, in the slice in which the test map has most (`truemap.figures.slices`)."""
    return slices(example["map"].tolist(), grid, example.loc[example["role"] == "test", "map"].iloc[0])


def _curves(
    figure: plt.matplotlib.figure.SubFigure, summary: pd.DataFrame, labels: Mapping[str, str], top: int
) -> None:
    """Draw both measures against epsilon: a colour a network, the attack as a line, random signs dotted."""
    means = summary[summary["seed"] == "mean"]
    words = ("Spearman's rho of influences,\nbefore and after", f"of the {top} most influential,\nhow many stay so")
    for axis, name, measure, said in zip(figure.subplots(1, 2), "bc", MEASURES, words, strict=True):
        axis.set_gid(measure)
        for turn, model in enumerate(labels):
            for second, (attack, line) in enumerate(((GRADIENT, "-"), (RANDOM, ":"))):
                own = means[(means["measure"] == measure) & (means["model"] == model) & (means["attack"] == attack)]
                points = own.sort_values("epsilon")
                ends = [(points["mean"] - points["ci_low"]).fillna(0), (points["ci_high"] - points["mean"]).fillna(0)]
                look = {"color": COLORS[turn % len(COLORS)], "marker": MARKERS[turn // len(COLORS) % len(MARKERS)]}
                label = f"{labels[model]}{', random signs' if attack == RANDOM else ''}"
                axis.errorbar(
                    beside(points["epsilon"], 2 * turn + second, 2 * len(labels)), points["mean"], yerr=ends,
                    markersize=3, linewidth=1, capsize=1.5, linestyle=line, label=label, **look,
                )  # fmt: skip
        bounds = sorted({*means["epsilon"]})
        axis.set_xscale("log")
        axis.margins(x=0.15)
        axis.set_xticks(bounds, [f"{bound:g}" for bound in bounds])
        axis.set_xticks([], minor=True)
        axis.set_xlabel("ε, sd of the data, in any voxel")
        axis.set_ylabel(said)
        axis.spines[["top", "right"]].set_visible(False)
        letter(axis, name)
    handles, names = axis.get_legend_handles_labels()
    columns = columns_of(names, WIDE / MM)
    figure.legend(handles, names, frameon=False, loc="outside upper center", ncols=columns)
