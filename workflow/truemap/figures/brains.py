"""Figure 3: glass brains of one test subject."""

from __future__ import annotations

from collections.abc import Sequence

import nibabel as nib
import numpy as np

from truemap.figures.backend import plt

#: A panel: title and a map, or None for an empty place.
Panel = tuple[str, np.ndarray | None]


def glass_brains(
    rows: Sequence[tuple[str, Sequence[Panel]]], shape: tuple[int, ...], affine: np.ndarray, colormap: str
) -> plt.Figure:
    """Return a grid of glass brains (sagittal, coronal, axial), one row a label and a list of panels.

    Each map is scaled to its own largest absolute value, as a saliency map has no unit; r does not
    depend on it.

    Parameters
    ----------
    rows : sequence of (label, panels)
    shape, affine
        Grid of the maps, in MNI space.
    """
    from nilearn.plotting import plot_glass_brain

    columns = max(len(panels) for _, panels in rows)
    figure = plt.figure(figsize=(4.2 * columns + 1.2, 1.75 * len(rows)))
    left, height = 1.2 / (4.2 * columns + 1.2), 1 / len(rows)
    for line, (label, panels) in enumerate(rows):
        bottom = 1 - (line + 1) * height
        figure.text(left * 0.95, bottom + height / 2, label.replace(", ", "\n"), ha="right", va="center", fontsize=10)
        for number, (title, values) in enumerate(panels):
            width = (1 - left) / columns
            if values is None:
                words = f"{title}: no map" if title else ""
                figure.text(left + (number + 0.485) * width, bottom + height / 2, words, ha="center", fontsize=9)
                continue
            axis = figure.add_axes((left + number * width, bottom, width * 0.97, height * 0.82))
            peak = np.abs(values).max() or 1.0
            image = nib.Nifti1Image((values / peak).reshape(shape).astype(np.float32), affine)
            plot_glass_brain(
                image, axes=axis, display_mode="ortho", cmap=colormap, vmin=-1, vmax=1, plot_abs=False, colorbar=False,
                threshold=1e-9, annotate=line == 0,
            )  # fmt: skip
            figure.text(left + (number + 0.485) * width, bottom + height * 0.86, title, ha="center", fontsize=9)
    return figure
