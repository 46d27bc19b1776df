"""Reading a map so that it can be used: on the dataset's grid, finite, and not constant; or saying why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from truemap.data.grid import Grid, block_means, grid_difference, same_grid
from truemap.data.headers import finer, sized
from truemap.numerics import zscore
from truemap.runtime.files import DataError, SourceError

#: Reads a sample's image: name -> (values, affine, sha256).
Reader = Callable[[str], tuple[np.ndarray, np.ndarray, str]]


class BadMap(DataError):
    """A map that cannot be used, whatever else the config says.

    Attributes
    ----------
    image : str
        Its name.
    """

    def __init__(self, image: str, message: str) -> None:
        super().__init__(message)
        self.image = image


def reading(read: Reader, nan: Literal["refuse", "zero"], downsample: int = 1) -> Reader:
    """Return a reader of maps as they are used: NaN as 0 where `nan` says so (`usable` refuses it), and downsampled."""
    if nan == "refuse" and downsample == 1:
        return read

    def used(image: str) -> tuple[np.ndarray, np.ndarray, str]:
        with finer(downsample):
            values, affine, checksum = read(image)
        if nan == "zero":
            values = np.where(np.isnan(values), values.dtype.type(0), values)
        return *block_means(values, affine, downsample), checksum

    return used


def usable(
    image: str, read: Reader, grid: Grid | None = None, work: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return (values, z-scores, affine, sha256), or raise `BadMap`.

    That is for a map that cannot be read, is on another grid, or has no z-scores (`truemap.numerics.zscore`, which
    computes in `work`).
    """
    try:
        with sized(grid.shape if grid else None):
            values, affine, checksum = read(image)
    except SourceError:
        raise
    except DataError as error:
        raise BadMap(image, str(error)) from None
    if grid and not same_grid(grid.shape, grid.affine, values.shape, affine):
        difference = grid_difference(values.shape, affine, grid.shape, grid.affine)
        raise BadMap(image, f"{image}: {difference}. Resample it.")
    try:
        return values, zscore(values, work), affine, checksum
    except ValueError as error:
        remedy = "Write the map again, or leave it out of the samples."
        if np.isnan(values).any() and not np.isinf(values).any():
            remedy = (
                "SPM writes NaN outside the brain: `nan: zero` takes it for 0. Else write 0 there (fslmaths -nan), or "
                "leave it out of the samples."
            )
        raise BadMap(image, f"{image}: {error}. {remedy}") from None
