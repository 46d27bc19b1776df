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
from truemap.figures.style import r_words
from truemap.runtime.files import DataError


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


def informative_figure(
    classes: Sequence[str],
    means: Mapping[str, np.ndarray],
    average: np.ndarray,
    rows: Sequence[Row],
    colormap: str,
    called: str,
) -> plt.Figure:
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
    panels = [(called, [means[label] for label in classes] + [average], None)]
    panels.append((f"{called} − average", [means[label] - average for label in classes], None))
    for row in rows:
        r = [r_words(row.scores, label, label, row.conditions) for label in classes]
        panels.append((row.label, [row.means.get((label, label)) for label in classes], r))
    return _draw([*classes, "average"], panels, colormap)


def pairwise_figure(
    classes: Sequence[str], means: Mapping[str, np.ndarray], rows: Sequence[Row], colormap: str, called: str
) -> plt.Figure:
    """Return Figure 1b: for each change from one class to another the difference and each method's mean map."""
    pairs = list(itertools.permutations(classes, 2))
    panels = [(f"{called} difference", [means[b] - means[a] for a, b in pairs], None)]
    for row in rows:
        r = [r_words(row.scores, a, b, row.conditions) for a, b in pairs]
        panels.append((row.label, [row.means.get((a, b)) for a, b in pairs], r))
    return _draw([f"{a} → {b}" for a, b in pairs], panels, colormap)


def _draw(
    columns: Sequence[str], panels: Sequence[tuple[str, list[np.ndarray | None], list[str] | None]], colormap: str
) -> plt.Figure:
    figure, axes = plt.subplots(
        len(panels), len(columns), figsize=(1.35 * len(columns) + 1.2, 1.5 * len(panels)), squeeze=False
    )
    for line, (label, images, r) in zip(axes, panels, strict=True):
        for number, axis in enumerate(line):
            axis.set_xticks([])
            axis.set_yticks([])
            if number >= len(images):
                axis.axis("off")
                continue
            image = images[number]
            if image is None:
                axis.text(0.5, 0.5, "no map", ha="center", va="center", transform=axis.transAxes)
                continue
            limit = np.abs(image).max() or 1.0
            axis.imshow(image, cmap=colormap, vmin=-limit, vmax=limit, interpolation="nearest")
            if r is not None:
                axis.set_xlabel(r[number], labelpad=2)
        line[0].set_ylabel(label.replace(", ", "\n"), rotation=0, ha="right", va="center")
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column)
    figure.tight_layout(pad=0.4)
    return figure
