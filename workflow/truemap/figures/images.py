"""Figure 1: mean saliency maps of 2D images beside their truth, with r under each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd

from truemap.evaluation.truth import Truth
from truemap.figures.backend import plt
from truemap.figures.style import NARROW, SMALL, WIDE, count_range, letter, r_words, sheet, signed_bar, text_width
from truemap.figures.words import wrapped
from truemap.runtime.files import DataError

#: Columns from which on a figure is two columns of a journal wide; letters of a line of a row's name.
MANY, NAME = 5, 13
#: Share of the width that the names of rows take, of one and of two columns; height of r and of titles, in inches.
NAMES, BESIDE = {NARROW: 0.25, WIDE: 0.13}, 0.17


@dataclass(frozen=True)
class Row:
    """One row of Figure 1: a model and method.

    Attributes
    ----------
    label : str
    means : mapping
        (class, target) -> mean saliency map, a 2D array.
    scores : DataFrame
        Agreement of each map (see `truemap.evaluation.agreement`).
    conditions : str
        Condition set whose agreement is shown.
    """

    label: str
    means: Mapping[tuple[str, str], np.ndarray]
    scores: pd.DataFrame
    conditions: str = "all"


@dataclass(frozen=True)
class Panel:
    """A panel of Figure 1: its letter, its columns, and its rows: a name, an image a column (or None), and r below."""

    letter: str
    columns: list[str]
    rows: list[tuple[str, list[np.ndarray | None], list[str] | None]]


def flat(volume: np.ndarray) -> np.ndarray:
    """Return the 2D image of a map one voxel thick; first axis downwards.

    Raises
    ------
    DataError
        If it is no such map.
    """
    if 1 not in volume.shape:
        raise DataError(f"maps of shape {volume.shape} are no 2D images. Set `figures: glass_brain` for this dataset.")
    return volume.squeeze(axis=volume.shape.index(1))


def read_means(image: str, table: str) -> tuple[tuple[str, str], dict[tuple[str, str], np.ndarray]]:
    """Return (model, method), and (class, target) -> its 2D mean map, where it has maps, of a file of `MeanMaps`."""
    volumes = np.asarray(nib.load(image).dataobj)
    text = dict.fromkeys(("model", "method", "label", "target"), str)
    rows = pd.read_csv(table, sep="\t", dtype=text, keep_default_na=False)
    maps = {(row.label, row.target): flat(volumes[..., row.volume]) for row in rows.itertuples() if row.maps}
    return (rows["model"].iloc[0], rows["method"].iloc[0]), maps


def truth_images(truths: Sequence[Truth], shape: tuple[int, ...]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return class -> its 2D mean image over subjects, and their average over classes."""

    def image(maps: Iterable[np.ndarray]) -> np.ndarray:
        return flat(np.mean(list(maps), axis=0).reshape(shape))

    labels = sorted({label for truth in truths for label in truth.means})
    means = {label: image(truth.means[label] for truth in truths if label in truth.means) for label in labels}
    return means, image(truth.mean for truth in truths)


def informative_panel(
    classes: Sequence[str], means: Mapping[str, np.ndarray], average: np.ndarray, rows: Sequence[Row], called: str
) -> Panel:
    """Return Figure 1a: class means, their difference from the average, and each method's mean map of the class.

    Parameters
    ----------
    classes : sequence of str
        Columns.
    means : mapping
        Class -> mean image (template, where it is known), a 2D array.
    average : ndarray
        Mean over all classes of the dataset.
    called : str
        What a class's mean is (`truemap.datasets._contract.Source.mean`).
    """
    lines: list[tuple[str, list[np.ndarray | None], list[str] | None]]
    lines = [(called, [*(means[label] for label in classes), average], None)]
    lines.append((f"{called} − average", [means[label] - average for label in classes], None))
    for row in rows:
        r = [r_words(row.scores, label, label, row.conditions) for label in classes]
        lines.append((row.label, [row.means.get((label, label)) for label in classes], r))
    return Panel("a", [*classes, "average"], lines)


def pairwise_panel(classes: Sequence[str], means: Mapping[str, np.ndarray], rows: Sequence[Row], called: str) -> Panel:
    """Return Figure 1b: for each change from one class to another the difference and each method's mean map."""
    pairs = list(itertools.permutations(classes, 2))
    lines: list[tuple[str, list[np.ndarray | None], list[str] | None]]
    lines = [(f"{called} difference", [means[b] - means[a] for a, b in pairs], None)]
    for row in rows:
        r = [r_words(row.scores, a, b, row.conditions) for a, b in pairs]
        lines.append((row.label, [row.means.get((a, b)) for a, b in pairs], r))
    return Panel("b", [f"{a} → {b}" for a, b in pairs], lines)


def panel_table(panel: Panel) -> pd.DataFrame:
    """Return what a panel draws, one row an image: its row and column, the size of its darkest pixel, and r."""
    rows = [
        (panel.letter, name, column, np.nan if image is None else np.abs(image).max(), words)
        for name, images, r in panel.rows
        for column, image, words in zip(panel.columns, images, r or [""] * len(images), strict=False)
    ]
    return pd.DataFrame(rows, columns=["panel", "row", "column", "largest", "r"])


def images_figure(panels: Sequence[Panel], colormap: str) -> plt.Figure:
    """Return panels side by side, the last rows in line: each image at its own scale, with r below it.

    Parameters
    ----------
    panels : sequence of Panel
    colormap : str
    """
    most, columns = max(len(panel.rows) for panel in panels), sum(len(panel.columns) for panel in panels)
    width = WIDE if columns >= MANY else NARROW
    size = (1 - NAMES[width] * len(panels)) * sheet(width, 0)[0] / columns
    every = (image for panel in panels for _, images, _ in panel.rows for image in images)
    shape = next(image.shape for image in every if image is not None)
    height = most * (size * shape[0] / shape[1] + BESIDE) + 2.5 * BESIDE
    figure, axes = plt.subplots(most, columns, figsize=sheet(width, height), squeeze=False, layout="constrained")
    starts = np.cumsum([0, *(len(panel.columns) for panel in panels)])
    for panel, start, end in zip(panels, starts, starts[1:], strict=False):
        _draw(axes[:, start:end], panel, colormap, size)
    signed_bar(figure, colormap)
    return figure


def _draw(axes: np.ndarray, panel: Panel, colormap: str, size: float) -> None:
    """Draw a panel into its axes, about so many inches each; its rows are the lowest."""
    most = len(axes)
    for axis in axes[: most - len(panel.rows)].flat:
        axis.axis("off")
    for line, (name, images, r) in zip(axes[most - len(panel.rows) :], panel.rows, strict=True):
        for number, axis in enumerate(line):
            axis.set_xticks([])
            axis.set_yticks([])
            if number >= len(images):
                axis.axis("off")
                continue
            image = images[number]
            if image is None:
                axis.text(0.5, 0.5, "no map", ha="center", va="center", fontsize=SMALL, transform=axis.transAxes)
                continue
            limit = np.abs(image).max() or 1.0
            axis.imshow(image, cmap=colormap, vmin=-limit, vmax=limit, interpolation="nearest")
            if r is not None:
                axis.set_xlabel(r[number], labelpad=1, fontsize=SMALL)
        line[0].set_ylabel(wrapped(name, NAME), rotation=0, ha="right", va="center", fontsize=SMALL)
    wide = any(text_width(column) > 0.95 * size for column in panel.columns)
    for axis, column in zip(axes[most - len(panel.rows)], panel.columns, strict=True):
        axis.set_title(column.replace("→ ", "→\n") if wide else column, fontsize=SMALL)
    letter(axes[most - len(panel.rows), 0], panel.letter, beside=True)


def foot(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """Return what maps and r are, and of how many test maps, in words."""
    own = [row.scores[row.scores["label"].isin(list(classes))] for row in rows]
    counts = pd.concat([scores.groupby("label")["sample"].nunique() for scores in own]) if own else pd.Series([0])
    return (
        f"n = {count_range(counts)} test maps a class; maps: means of a model's first seed; r: mean over test maps of "
        "each one's own correlation with the truth"
    )
