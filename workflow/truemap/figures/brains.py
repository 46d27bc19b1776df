"""Figure 3: glass brains of one test subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates

from truemap.data.grid import Grid
from truemap.figures.backend import plt
from truemap.figures.style import SMALL, WIDE, letter, sheet, signed_bar
from truemap.figures.words import wrapped
from truemap.numerics import pearson

#: What is drawn of MNI space, in mm along x, y and z, and how finely.
BOX, FINE = ((-78, 78), (-112, 80), (-76, 88)), 2
#: What is shown of z, as much as of y: three views of one height have their titles in line.
TALL = ((-78, 78), (-112, 80), (-90, 102))
#: Views: their name for nilearn, the axis looked along, and the two that are seen, to the right and upwards.
VIEWS = (("x", 0, 1, 2), ("y", 1, 0, 2), ("z", 2, 0, 1))
#: Share of the width that names of rows take; height of title and r of a row, in inches.
NAMES, WORDS = 0.12, 0.2
#: Letters of a line of a row's name.
NAME = 13


@dataclass(frozen=True)
class Brain:
    """A map in its place in the figure.

    Attributes
    ----------
    title : str
        Above it.
    values : ndarray, shape (voxels,), optional
        None: there is no map.
    r : str
        Below it.
    """

    title: str
    values: np.ndarray | None
    r: str = ""


@dataclass(frozen=True)
class Row:
    """A row of brains: the panel that it begins or an empty text, its name, and its maps."""

    panel: str
    name: str
    brains: Sequence[Brain]


def r_of(values: np.ndarray, truth: np.ndarray | None, inside: np.ndarray, signed: bool = True) -> str:
    """Return Pearson's r of a map with its truth in words; of sizes where the map has no signs.

    Parameters
    ----------
    values, truth : ndarray, shape (voxels,)
        None: there is no truth.
    inside : ndarray of bool, shape (voxels,)
        Voxels that count.
    """
    if truth is None:
        return "no r"
    a, b = values[inside], truth[inside]
    (r,) = pearson(a[None], b[None]) if signed else pearson(np.abs(a)[None], np.abs(b)[None])
    if np.isnan(r):
        return "no r"
    return f"r = {r:z.2f}" if signed else f"|r| = {r:z.2f}"


def true_map(title: str, values: np.ndarray | None) -> Brain:
    """Return a truth with its title, or with words where it is constant."""
    return Brain(title, values, "" if values is not None else "no truth: it is constant")


def compared(values: np.ndarray | None, truth: np.ndarray | None, inside: np.ndarray, signed: bool = True) -> Brain:
    """Return a map without a title, with its r with the truth below (see `r_of`); or that there is none."""
    if values is None:
        return Brain("no map", None)
    return Brain("", values, r_of(values, truth, inside, signed))


def projections(values: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Return a map as seen from the left, from behind and from above: the largest size along the line of sight.

    Values between voxels are interpolated (trilinear), the nearest voxel says whether a place is in the brain.

    Parameters
    ----------
    values : ndarray, shape (voxels,)

    Returns
    -------
    list of ndarray, shape (up, right)
        Of each of `VIEWS`, on a grid of `FINE` mm; NaN where the line of sight meets no brain.
    """
    axes = [np.arange(low + FINE / 2, high, FINE) for low, high in BOX]
    places = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    way = np.linalg.inv(grid.affine)
    voxels = way[:3, :3] @ places + way[:3, 3:]
    inside = map_coordinates(grid.mask.astype(np.uint8), np.round(voxels), order=0) > 0
    found = map_coordinates(values.reshape(grid.shape).astype(np.float64), voxels, order=1)
    volume = np.where(inside, found, np.nan).reshape([len(axis) for axis in axes])
    return [_largest(volume, along).T for _, along, _, _ in VIEWS]


def _largest(volume: np.ndarray, axis: int) -> np.ndarray:
    size = np.where(np.isnan(volume), -1.0, np.abs(volume))
    place = np.expand_dims(size.argmax(axis), axis)
    return np.take_along_axis(volume, place, axis).squeeze(axis)


def brain_table(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Return what is drawn, one row a map: its panel, row, column and title, the size of its largest voxel, and r."""
    panel, found = "", []
    for row in rows:
        panel = row.panel or panel
        for column, brain in zip(columns, row.brains, strict=True):
            largest = np.nan if brain.values is None else np.abs(brain.values).max()
            found.append((panel, row.name, column, brain.title, largest, brain.r))
    return pd.DataFrame(found, columns=["panel", "row", "column", "title", "largest", "r"])


def glass_brains(rows: Sequence[Row], grid: Grid, colormap: str) -> plt.Figure:
    """Return rows of glass brains (sagittal, coronal, axial), each map at its own scale, as saliency has no unit.

    Parameters
    ----------
    rows : sequence of Row
    grid : Grid
        Of the maps, in MNI space.
    colormap : str
    """
    columns = max(len(row.brains) for row in rows)
    lengths = [BOX[right][1] - BOX[right][0] for _, _, right, _ in VIEWS]
    highest = TALL[2][1] - TALL[2][0]
    inches = (1 - NAMES) * sheet(WIDE, 0)[0] / (max(columns, 2) * sum(lengths))
    height = len(rows) * (highest * inches + WORDS) + 0.45
    figure, axes = plt.subplots(
        len(rows), 3 * columns, figsize=sheet(WIDE, height), width_ratios=lengths * columns, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for line, row in zip(axes, rows, strict=True):
        for axis in line:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.patch.set_visible(False)
        for number, brain in enumerate(row.brains):
            _draw(line[3 * number : 3 * number + 3], brain, grid, colormap)
        line[0].set_ylabel(wrapped(row.name, NAME), rotation=0, ha="right", va="center", fontsize=SMALL)
        if row.panel:
            letter(line[0], row.panel)
    signed_bar(figure, colormap)
    return figure


def _draw(axes: Sequence[plt.Axes], brain: Brain, grid: Grid, colormap: str) -> None:
    """Draw one map from three sides, with words above and below the second."""
    axes[1].set_title(brain.title, fontsize=SMALL)
    axes[1].set_xlabel(brain.r, fontsize=SMALL, labelpad=1)
    if brain.values is None:
        return
    seen = projections(brain.values, grid)
    peak = max(np.nanmax(np.abs(image), initial=0.0) for image in seen) or 1.0
    for axis, image, (name, _, right, up) in zip(axes, seen, VIEWS, strict=True):
        extent = (*BOX[right], *BOX[up])
        axis.imshow(
            image / peak, cmap=colormap, vmin=-1, vmax=1, origin="lower", extent=extent, interpolation="nearest"
        )
        for path, colour in _outline(name):
            # A picture in an SVG too, where its curves would be megabytes.
            look = {"facecolor": "none", "edgecolor": colour, "linewidth": 0.5, "alpha": 0.7, "rasterized": True}
            axis.add_patch(plt.matplotlib.patches.PathPatch(path, in_layout=False, **look))
        axis.set(xlim=TALL[right], ylim=TALL[up], aspect="equal", anchor="N")
        if right == 0:
            for words, place, side in (("L", 0.0, "left"), ("R", 1.0, "right")):
                axis.text(place, 0.92, words, ha=side, va="center", fontsize=SMALL, transform=axis.transAxes)


@cache
def _outline(view: str) -> list[tuple[plt.matplotlib.path.Path, Any]]:
    """Return nilearn's outline of the brain, the curves of one colour as one path: as hundreds they take long."""
    from nilearn.plotting.glass_brain import plot_brain_schematics

    axis = plt.matplotlib.figure.Figure().add_subplot()
    plot_brain_schematics(axis, view)
    to_data = axis.patches[0].get_data_transform() - axis.transData
    found: dict[Any, list[plt.matplotlib.path.Path]] = {}
    for curve in axis.patches:
        found.setdefault(curve.get_edgecolor(), []).append(to_data.transform_path(curve.get_path()))
    return [(plt.matplotlib.path.Path.make_compound_path(*paths), colour) for colour, paths in found.items()]


def note(grid: Grid, voxels: str) -> str:
    """Return what is drawn, in words, for the foot.

    Parameters
    ----------
    voxels : {"all", "brain"}
        Over which r is taken.
    """
    size = np.linalg.norm(grid.affine[:3, :3], axis=0)
    millimetres = f"{size[0]:g}" if np.ptp(size) < 1e-3 else " × ".join(f"{length:g}" for length in size)
    over = "those outside too, which the figure leaves out" if voxels == "all" else "inside only"
    return (
        "n = 1 test subject; the largest size along the line of sight, inside the brain mask; voxels of "
        f"{millimetres} mm smoothed for the eye by interpolation; r: of the map drawn with the truth of its column, "
        f"over voxels ({over})"
    )
