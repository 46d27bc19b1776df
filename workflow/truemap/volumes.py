"""z-scored maps on disk: their grid, (n, *shape) arrays that are memory-mapped, and the rows they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from truemap.datasets.nifti import read_map, same_grid, write_map
from truemap.files import DataError, SourceError
from truemap.job import log
from truemap.numerics import zscore

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


def first_grid(subjects: Iterable[Sequence[str]], read: Reader, mask: str | None) -> Grid:
    """Return the grid that most of some subjects share: of the first of them whose maps can all be used (`find_grid`).

    One subject on an odd grid must not have all others left out.

    Raises
    ------
    DataError
        If there is no such subject: what is wrong with the first one.
    """
    failed: list[BadMap] = []
    grids: dict[tuple, list[Grid]] = {}
    for images in subjects:
        try:
            grid = find_grid(images, read, mask)
        except BadMap as error:
            failed.append(error)
        else:
            grids.setdefault((grid.shape, *np.round(grid.affine, 3).ravel()), []).append(grid)
    if not grids:
        raise failed[0] if failed else DataError("no training maps to take a grid from. Check the samples.")
    for error in failed:
        log.warning("not asked for the grid: %s", error)
    most = max(grids.values(), key=len)
    if len(grids) > 1:
        counts = ", ".join(f"{key[0]}: {len(found)}" for key, found in grids.items())
        log.warning("training subjects are on different grids (%s); that of most of them is taken", counts)
    return most[0]


def find_grid(images: Sequence[str], read: Reader, mask: str | None) -> Grid:
    """Return the grid of `images` (maps of one subject): the first one's, and a brain mask.

    The mask is the file `mask`, or else the voxels that differ from zero in one of the maps.

    Raises
    ------
    DataError
        If a map cannot be used, or the mask file is empty or on another grid.
    """
    values, _, affine, _ = usable(images[0], read)
    inside = values != 0
    if mask is None:
        for image in images[1:]:
            inside = inside | (usable(image, read, Grid(inside, affine))[0] != 0)
        return Grid(inside, affine)
    wanted, mask_affine, _ = read_map(mask)
    if not same_grid(values.shape, affine, wanted.shape, mask_affine):
        raise BadMap(
            images[0],
            f"{mask}: is not on the grid of the maps ({images[0]}). Resample it (nilearn's resample_to_img).",
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


def usable(image: str, read: Reader, grid: Grid | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return (values, z-scores, affine, sha256), or raise `BadMap`."""
    try:
        values, affine, checksum = read(image)
    except SourceError:
        raise
    except DataError as error:
        raise BadMap(image, str(error)) from None
    if grid and not same_grid(grid.shape, grid.affine, values.shape, affine):
        raise BadMap(
            image,
            f"{image}: grid {values.shape} at {np.round(np.diag(affine)[:3], 3).tolist()} mm differs from the "
            f"dataset's {grid.shape} at {np.round(np.diag(grid.affine)[:3], 3).tolist()} mm (or its origin "
            "does). Resample it.",
        )
    try:
        return values, zscore(values), affine, checksum
    except ValueError as error:
        message = f"{image}: {error}. Write the map again, or leave it out of the samples."
        raise BadMap(image, message) from None


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
    """Open the shards of one split; nothing is read until it is used.

    Raises
    ------
    DataError
        If all subjects of a class were left out.
    """
    parts = [np.load(path, mmap_mode="r") for path in arrays]
    frames = [pd.read_parquet(path) for path in tables]
    expected = {label for frame in frames for label in frame.attrs.get("classes", ())}
    table = pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)
    table.attrs = {}
    lacking = sorted(expected - set(table["label"])) if expected else []
    if lacking:
        raise DataError(
            f"{Path(tables[0]).parent}: no subject with a map of {', '.join(lacking)} is left. Mend maps that are "
            "listed in *.skipped.tsv there, or add subjects."
        )
    return Volumes(parts, table)
