"""The grid that all maps of a dataset share, and where the brain is on it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from truemap.data.nifti import write_map
from truemap.runtime.files import DataError


@dataclass(frozen=True)
class Grid:
    """The grid all maps of a dataset share.

    Attributes
    ----------
    mask : ndarray of bool, shape ``shape``
        True in the brain.
    affine : ndarray, shape (4, 4)
        Voxel indices to mm.
    """

    mask: np.ndarray
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a map."""
        return self.mask.shape


def write_grid(path: str | Path, grid: Grid, descrip: str = "") -> None:
    """Write the grid as a NIfTI mask: it carries shape and affine too."""
    write_map(path, grid.mask, grid.affine, descrip)


def read_grid(path: str | Path) -> Grid:
    """Read what `write_grid` wrote.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    try:
        image = nib.load(path)
        return Grid(np.asarray(image.dataobj) > 0, image.affine)
    except (OSError, EOFError, zlib.error, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise DataError(f"{path}: damaged ({error}). Delete it, it is then made again.") from None


def same_grid(shape: tuple[int, ...], affine: np.ndarray, other: tuple[int, ...], other_affine: np.ndarray) -> bool:
    """Return whether two grids agree (affines to a thousandth of a millimetre)."""
    return tuple(shape) == tuple(other) and np.allclose(affine, other_affine, rtol=0, atol=1e-3)


def turned(values: np.ndarray, affine: np.ndarray, grid: Grid) -> np.ndarray | None:
    """Return a map with its axes in the grid's order and direction; None if it then is not on the grid.

    Programs write the same voxels from left to right or the other way (RAS, LAS); none is moved or interpolated.

    Parameters
    ----------
    values : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Voxel indices to mm.
    """
    if same_grid(grid.shape, grid.affine, values.shape, affine):
        return values
    way = ornt_transform(io_orientation(affine), io_orientation(grid.affine))
    found, place = apply_orientation(values, way), affine @ inv_ornt_aff(way, values.shape)
    return found if same_grid(grid.shape, grid.affine, found.shape, place) else None


def block_means(values: np.ndarray, affine: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of blocks of voxels, and the affine of a grid whose voxels are these blocks.

    Along an axis that `blocks` does not divide, the last block is of the voxels that are left; along one that is
    shorter the only block is all of it.

    Parameters
    ----------
    values : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Voxel indices to mm.
    blocks : int
        Voxels of a block along each axis.

    Returns
    -------
    means : ndarray, shape (ceil(x / blocks), ...)
        Of the type of `values`, or float64 where those are no floats; summed in float64.
    affine : ndarray, shape (4, 4)
        The centre of a block that is whole is where the mean of its voxels' centres is.
    """
    if blocks == 1:
        return values, affine
    sizes = np.minimum(blocks, values.shape)
    means = values.astype(np.float64)
    for axis, size in enumerate(sizes):
        starts = np.arange(0, values.shape[axis], size)
        counts = np.diff([*starts, values.shape[axis]]).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
        means = np.add.reduceat(means, starts, axis=axis) / counts
    to_fine = np.eye(4)
    to_fine[:3, :3], to_fine[:3, 3] = np.diag(sizes), (sizes - 1) / 2
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    return means.astype(kind, copy=False), affine @ to_fine


def grid_words(shape: tuple[int, ...], affine: np.ndarray) -> str:
    """Return a grid in words: shape, size of the voxels, axes (RAS: right, anterior, superior) and origin."""
    sizes, origin = np.round(np.linalg.norm(affine[:3, :3], axis=0), 3), np.round(affine[:3, 3], 3) + 0.0
    axes = "".join(nib.aff2axcodes(affine))
    return f"{tuple(shape)} voxels of {sizes.tolist()} mm, axes {axes}, origin {origin.tolist()} mm"


def grid_difference(
    shape: tuple[int, ...], affine: np.ndarray, other: tuple[int, ...], other_affine: np.ndarray
) -> str:
    """Return how a grid differs from another, in words that are never the same for both."""
    words, others = grid_words(shape, affine), grid_words(other, other_affine)
    if words == others:
        # Turned, or by less than is printed.
        words, others = (f"{words}, affine {matrix[:3].tolist()}" for matrix in (affine, other_affine))
    return f"grid {words} differs from the dataset's {others}"
