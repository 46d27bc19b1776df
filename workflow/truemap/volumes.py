"""z-scored maps on disk: their grid, (n, *shape) arrays that are memory-mapped, and the rows they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from truemap import masks
from truemap.datasets.headers import sized
from truemap.datasets.nifti import grid_difference, grid_words, read_map, same_grid, write_map
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
        counts = "; ".join(f"{grid_words(key[0], found[0].affine)}: {len(found)}" for key, found in grids.items())
        log.warning("training subjects are on different grids (%s); that of most of them is taken", counts)
    masks.check_size(most[0].mask, mask)
    return most[0]


def find_grid(images: Sequence[str], read: Reader, mask: str | None) -> Grid:
    """Return the grid of `images` (maps of one subject): the first one's, and a brain mask.

    The mask is where the file `mask` is above 0, or else where one of the maps has data (`truemap.numerics.filled`).

    Raises
    ------
    DataError
        If a map cannot be used, or the mask file is empty or on another grid.
    """
    values, _, affine, _ = usable(images[0], read)
    if mask is None:
        inside = masks.has_data(values)
        for image in images[1:]:
            inside = inside | masks.has_data(usable(image, read, Grid(inside, affine))[0])
        return Grid(inside, affine)
    with sized(values.shape):
        wanted, mask_affine, _ = read_map(mask)
    if not same_grid(values.shape, affine, wanted.shape, mask_affine):
        difference = grid_difference(wanted.shape, mask_affine, values.shape, affine)
        raise BadMap(
            images[0],
            f"{mask}: is not on the grid of the maps ({images[0]}): {difference}. Resample it (nilearn's "
            "resample_to_img).",
        )
    return Grid(masks.inside(mask, wanted), affine)


def write_grid(path: str | Path, grid: Grid) -> None:
    """Write the grid as a NIfTI mask: it carries shape and affine too."""
    write_map(path, grid.mask, grid.affine)


def read_grid(path: str | Path) -> Grid:
    """Read what `write_grid` wrote."""
    values, affine, _ = read_map(path)
    return Grid(values > 0, affine)


def reading_nan(read: Reader, nan: Literal["refuse", "zero"]) -> Reader:
    """Return a reader that reads as `read` does, NaN as 0 where `nan` says so; `usable` refuses NaN."""
    if nan == "refuse":
        return read

    def with_zero(image: str) -> tuple[np.ndarray, np.ndarray, str]:
        values, affine, checksum = read(image)
        return np.where(np.isnan(values), values.dtype.type(0), values), affine, checksum

    return with_zero


def usable(image: str, read: Reader, grid: Grid | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return (values, z-scores, affine, sha256), or raise `BadMap`.

    That is for a map that cannot be read, is on another grid, or has no z-scores (`truemap.numerics.zscore`).
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
        return values, zscore(values), affine, checksum
    except ValueError as error:
        remedy = "Write the map again, or leave it out of the samples."
        if np.isnan(values).any() and not np.isinf(values).any():
            remedy = (
                "SPM writes NaN outside the brain: `nan: zero` takes it for 0. Else write 0 there (fslmaths -nan), or "
                "leave it out of the samples."
            )
        raise BadMap(image, f"{image}: {error}. {remedy}") from None


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
        If a file is damaged, or all subjects of a class were left out.
    """
    parts, frames = [], []
    for path, table in zip(arrays, tables, strict=True):
        try:
            parts.append(np.load(path, mmap_mode="r"))
            frames.append(pd.read_parquet(table))
            if parts[-1].shape != (len(frames[-1]), *parts[0].shape[1:]):
                raise ValueError(f"{parts[-1].shape} numbers for {len(frames[-1])} rows of the table")
        except (ValueError, OSError, EOFError) as error:
            raise DataError(
                f"{path} (or {Path(table).name}): damaged ({error}). Delete both, they are then made again."
            ) from None
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
