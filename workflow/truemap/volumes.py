"""z-scored maps on disk: (n, *shape) arrays that are memory-mapped, and the rows they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from truemap.datasets.nifti import read_map, same_grid, write_map
from truemap.files import DataError, whole
from truemap.job import progress
from truemap.numerics import zscore

#: Reads a sample's image: name -> (values, affine, sha256).
Reader = Callable[[str], tuple[np.ndarray, np.ndarray, str]]


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


def find_grid(images: Sequence[str], read: Reader, mask: str | None) -> Grid:
    """Return the grid of `images` (maps of one subject): the first one's, and a brain mask.

    The mask is the file `mask`, or else the voxels that differ from zero in one of the maps.

    Raises
    ------
    DataError
        If the mask file is empty or on another grid.
    """
    values, affine, _ = read(images[0])
    inside = values != 0
    if mask is None:
        for image in images[1:]:
            inside = inside | (_on_grid(image, read, Grid(inside, affine))[0] != 0)
        return Grid(inside, affine)
    wanted, mask_affine, _ = read_map(mask)
    if not same_grid(values.shape, affine, wanted.shape, mask_affine):
        raise DataError(
            f"{mask}: is not on the grid of the maps ({images[0]}). Resample it (nilearn's resample_to_img)."
        )
    if not (wanted > 0).any():
        raise DataError(f"{mask}: no voxel above 0. Give a mask that is 1 in the brain.")
    return Grid(wanted > 0, affine)


def write_grid(path: str | Path, grid: Grid) -> None:
    """Write the grid as a NIfTI mask: it carries shape and affine too."""
    write_map(path, grid.mask, grid.affine)


def read_grid(path: str | Path) -> Grid:
    """Read what `write_grid` wrote."""
    image = nib.load(path)
    return Grid(np.asarray(image.dataobj) > 0, image.affine)


def write_volumes(
    array: str | Path, table: str | Path, rows: pd.DataFrame, read: Reader, grid: Grid, standardize: str, precision: str
) -> None:
    """Read, check, standardise and store the maps of `rows`, one at a time.

    Raises
    ------
    DataError
        If a map cannot be read, is on another grid, has NaN, or is constant; or if there are no rows.
    """
    if rows.empty:
        raise DataError(f"{array}: no subjects left for this shard. Lower `shards`, or add subjects.")
    sums = []
    with whole(array) as temporary, whole(table) as temporary_table, ExitStack() as stack:
        shape = (len(rows), *grid.shape)
        header = {"descr": np.dtype(precision).str, "fortran_order": False, "shape": shape}
        # Written in sequence, not through a memory map: a full disk is then an error, not a crash.
        stored = stack.enter_context(temporary.open("wb"))
        np.lib.format.write_array_header_1_0(stored, header)
        for image in progress(rows["image"].tolist(), "map"):
            values, checksum = _on_grid(image, read, grid)
            try:
                standardised = zscore(values)
            except ValueError as error:
                raise DataError(f"{image}: {error}. Write the map again, or leave it out of the samples.") from None
            kept = standardised if standardize == "volume" else values
            if np.abs(kept).max() > np.finfo(precision).max:
                raise DataError(
                    f"{image}: values up to {np.abs(kept).max():g} overflow {precision}. Set precision: float32."
                )
            stored.write(np.ascontiguousarray(kept, dtype=precision).tobytes())
            sums.append(checksum)
        stored.close()
        rows.rename_axis("sample").reset_index().assign(sha256=sums).to_parquet(temporary_table, index=False)


def _on_grid(image: str, read: Reader, grid: Grid) -> tuple[np.ndarray, str]:
    values, affine, checksum = read(image)
    if not same_grid(grid.shape, grid.affine, values.shape, affine):
        raise DataError(
            f"{image}: grid {values.shape} at {np.round(np.diag(affine)[:3], 3).tolist()} mm differs from the "
            f"dataset's {grid.shape} at {np.round(np.diag(grid.affine)[:3], 3).tolist()} mm (or its origin "
            "does). Resample it."
        )
    return values, checksum


@dataclass(frozen=True)
class Volumes:
    """The maps of one split.

    Attributes
    ----------
    parts : list of ndarray, each (n_i, *shape)
        Memory-mapped shards.
    table : DataFrame
        One row a map, in the same order: sample image subject label condition negated split sha256.
    """

    parts: list[np.ndarray]
    table: pd.DataFrame

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a map."""
        return self.parts[0].shape[1:]

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: Iterable[int]) -> np.ndarray:
        """Return the maps with these positions, shape (n, *shape), in the stored type."""
        starts = np.cumsum([0, *(len(part) for part in self.parts)])
        rows = np.arange(starts[-1])[np.fromiter(rows, dtype=np.intp)]
        result = np.empty((len(rows), *self.shape), dtype=self.parts[0].dtype)
        owner = np.searchsorted(starts, rows, side="right") - 1
        for number, part in enumerate(self.parts):
            here = np.flatnonzero(owner == number)
            result[here] = part[rows[here] - starts[number]]
        return result


def read_volumes(arrays: Sequence[str | Path], tables: Sequence[str | Path]) -> Volumes:
    """Open the shards of one split; nothing is read until it is used."""
    parts = [np.load(path, mmap_mode="r") for path in arrays]
    frames = [pd.read_parquet(path) for path in tables]
    return Volumes(parts, pd.concat(frames, ignore_index=True))
