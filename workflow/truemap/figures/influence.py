"""A test map and the training maps that its prediction hangs on, before and after an attack (as Figures 5 and 6 of
Ghorbani, Abid & Zou 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import nibabel as nib
import numpy as np
import pandas as pd

from truemap.config.exemplars import GRADIENT, RANDOM
from truemap.data.grid import Grid
from truemap.evaluation.influence import MEASURES
from truemap.figures.backend import plt
from truemap.figures.fragility import COLORS, MARKERS
from truemap.figures.images import flat
from truemap.figures.style import MM, SMALL, WIDE, fitted, letter, sheet, text_width

#: Rows of training maps: what they are beside, and what stands before it.
ROWS = {"before": ("test", "as it is"), "after": ("attacked", "attacked")}
#: Training maps that are drawn, at most.
MOST = 5
#: Height of the words under a map, and of the panels of curves, in inches.
WORDS, CURVES = 0.42, 1.7
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
    images = {key: image for key, image in zip(_keys(example), _images(example, grid), strict=True)}
    shape = next(iter(images.values())).shape
    side = WIDE / MM / (1 + MOST) * shape[0] / shape[1]
    height = 2 * (min(side, 1.4) + WORDS) + CURVES
    figure = plt.figure(figsize=sheet(WIDE, height), layout="constrained")
    ratios = [min(side, 1.4) + WORDS] * 2 + [CURVES]
    places = figure.add_gridspec(3, 1, height_ratios=ratios)
    limit = max(np.abs(image).max() for image in images.values()) or 1.0
    drawn = []
    for number, (role, (own, words)) in enumerate(ROWS.items()):
        line = places[number].subgridspec(1, columns)
        axes = [figure.add_subplot(line[column]) for column in range(columns)]
        keys = [(own, 0), *((role, rank) for rank in range(1, columns))]
        for axis, key in zip(axes, keys, strict=True):
            row = example[(example["role"] == key[0]) & (example["rank"] == key[1])].iloc[0]
            said = f"{row['label']}\ntest map, {words}" if key[1] == 0 else f"{row['label']}\nI = {row['influence']:.2g}"
            axis.set_gid(f"{key[0]}-{key[1]}")
            axis.imshow(images[key], cmap=colormap, vmin=-limit, vmax=limit, origin="upper", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            lines = "\n".join(fitted(part, WIDE / MM / columns) for part in said.split("\n"))
            axis.set_xlabel(lines, fontsize=SMALL, labelpad=2)
        drawn += axes
        if number == 0:
            letter(axes[0], "a")
    scale = plt.matplotlib.cm.ScalarMappable(plt.matplotlib.colors.Normalize(-limit, limit), colormap)
    bar = figure.colorbar(scale, ax=drawn, location="right", fraction=0.02, aspect=40)
    bar.set_label("value of the map", fontsize=SMALL)
    _curves(figure, places[2].subgridspec(1, 2), summary, labels, top)
    return figure


def foot(example: pd.DataFrame, summary: pd.DataFrame, grid: Grid, labels: Mapping[str, str]) -> str:
    """Return what is drawn, in words: of which network and slice, of how many maps, and what came back as it was."""
    one, means = example.iloc[0], summary[(summary["seed"] == "mean") & (summary["measure"] == MEASURES[0])]
    slices = "" if 1 in grid.shape else f"axial slices at z = {_height(example, grid):.0f} mm, left is left; "
    came = "" if one["attacked"] else ", which came back as it was, as no attack left the prediction"
    counts = sorted({*means["n"].dropna().astype(int)}) or [0]
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f"a: {labels[one['model']]}, the test map of median rank correlation under the attack of {one['epsilon']:g} sd"
        f"{came}, and the most influential training maps, the first the most, with class and influence I on the test "
        f"map's loss (negative: helpful); {slices}b, c: n = {n} subjects (or images); whiskers: 95 % interval of the "
        f"mean over them (Student's t); {means['unattacked'].sum():.0f} of {means['maps'].sum():.0f} attacks would have "
        "changed the prediction, and these maps count as they were"
    )


def _keys(example: pd.DataFrame) -> list[tuple[str, int]]:
    return list(zip(example["role"], example["rank"], strict=True))


def _images(example: pd.DataFrame, grid: Grid) -> list[np.ndarray]:
    """Return what is drawn of each map: an image, or its axial slice as seen from above, left to the left."""
    volumes = [np.asarray(values, dtype=np.float64).reshape(grid.shape) for values in example["map"]]
    if 1 in grid.shape:
        return [flat(volume) for volume in volumes]
    turned = [_canonical(volume, grid) for volume in volumes]
    level = _level(example, grid)
    return [volume[:, ::-1, level].T for volume in turned]


def _canonical(volume: np.ndarray, grid: Grid) -> np.ndarray:
    """Return a volume whose axes go to the right, to the front and up."""
    return np.asarray(nib.as_closest_canonical(nib.Nifti1Image(volume, grid.affine)).dataobj)


def _level(example: pd.DataFrame, grid: Grid) -> int:
    """Return the slice in which the test map has most, of sizes within the mask."""
    test = np.asarray(example.loc[example["role"] == "test", "map"].iloc[0], dtype=np.float64).reshape(grid.shape)
    return int(np.abs(_canonical(test * grid.mask, grid)).sum(axis=(0, 1)).argmax())


def _height(example: pd.DataFrame, grid: Grid) -> float:
    """Return where that slice is, in mm, in the middle of the volume."""
    image = nib.as_closest_canonical(nib.Nifti1Image(grid.mask.astype(np.float64), grid.affine))
    middle = [(length - 1) / 2 for length in image.shape[:2]]
    return float((image.affine @ [*middle, _level(example, grid), 1])[2])


def _curves(figure: plt.Figure, places: plt.matplotlib.gridspec.GridSpecFromSubplotSpec, summary: pd.DataFrame,
            labels: Mapping[str, str], top: int) -> None:  # fmt: skip
    """Draw both measures against epsilon: a colour a network, the attack as a line, random signs dotted."""
    means = summary[summary["seed"] == "mean"]
    words = ("Spearman's rho of influences,\nbefore and after", f"of the {top} most influential,\nhow many stay so")
    for number, (name, measure, said) in enumerate(zip("bc", MEASURES, words, strict=True)):
        axis = figure.add_subplot(places[number])
        axis.set_gid(measure)
        for turn, model in enumerate(labels):
            for attack, line in ((GRADIENT, "-"), (RANDOM, ":")):
                own = means[(means["measure"] == measure) & (means["model"] == model) & (means["attack"] == attack)]
                points = own.sort_values("epsilon")
                ends = [(points["mean"] - points["ci_low"]).fillna(0), (points["ci_high"] - points["mean"]).fillna(0)]
                look = {"color": COLORS[turn % len(COLORS)], "marker": MARKERS[turn // len(COLORS) % len(MARKERS)]}
                label = f"{labels[model]}{', random signs' if attack == RANDOM else ''}"
                axis.errorbar(
                    points["epsilon"], points["mean"], yerr=ends, markersize=3, linewidth=1, capsize=1.5, linestyle=line,
                    label=label, **look,
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
    widest = max(text_width(name) for name in names) + 0.5
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=max(1, int(WIDE / MM / widest)))
