"""Single maps in figures: images as they are, volumes as one axial slice, seen from above, left to the left."""

from __future__ import annotations

from collections.abc import Sequence

import nibabel as nib
import numpy as np

from truemap.data.grid import Grid
from truemap.figures.images import flat


def slices(maps: Sequence[np.ndarray], grid: Grid, leading: np.ndarray) -> tuple[list[np.ndarray], str]:
    """Return what is drawn of each map, and in words which slice that is; the one in which `leading` has most.

    Parameters
    ----------
    maps : sequence of ndarray, each (voxels,)
        All voxels of a grid, in C order.
    leading : ndarray, shape (voxels,)
        Its sizes within the mask are added up by slice.

    Returns
    -------
    list of ndarray, each (rows, columns)
    str
        Empty for images.
    """
    volumes = [np.asarray(values, dtype=np.float64).reshape(grid.shape) for values in maps]
    if 1 in grid.shape:
        return [flat(volume) for volume in volumes], ""
    sizes = _canonical(np.abs(np.asarray(leading, dtype=np.float64).reshape(grid.shape)) * grid.mask, grid)
    level = int(sizes.sum(axis=(0, 1)).argmax())
    words = f"axial slices at z = {_height(level, grid):.0f} mm, left is left".replace("-", "−")
    return [_canonical(volume, grid)[:, ::-1, level].T for volume in volumes], words


def _canonical(volume: np.ndarray, grid: Grid) -> np.ndarray:
    """Return a volume whose axes go to the right, to the front and up."""
    return np.asarray(nib.as_closest_canonical(nib.Nifti1Image(volume, grid.affine)).dataobj)


def _height(level: int, grid: Grid) -> float:
    """Return where a slice is, in mm, in the middle of the volume."""
    image = nib.as_closest_canonical(nib.Nifti1Image(grid.mask.astype(np.float64), grid.affine))
    middle = [(length - 1) / 2 for length in image.shape[:2]]
    return float((image.affine @ [*middle, level, 1])[2])
