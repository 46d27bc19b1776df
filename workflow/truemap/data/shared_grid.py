"""Finding the grid and the brain that a dataset's maps share: in those of its first training subjects, or in a mask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from truemap.data.grid import Grid, block_means, grid_difference, grid_words, same_grid
from truemap.data.headers import finer, sized
from truemap.data.nifti import read_map
from truemap.data.reading import BadMap, Reader, usable
from truemap.numerics import filled
from truemap.runtime.files import DataError
from truemap.runtime.log import log

#: Shares of the volume that a brain has less of, or more, for a warning.
LITTLE, MUCH = 0.01, 0.99
#: A mask's values below this share of its largest are 0: what is left of 0 where a mask was saved as scaled integers.
ZERO = 1e-5


def first_grid(subjects: Iterable[Sequence[str]], read: Reader, mask: str | None, downsample: int = 1) -> Grid:
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
            grid = find_grid(images, read, mask, downsample)
        except BadMap as error:
            failed.append(error)
        else:
            grids.setdefault((grid.shape, *np.round(grid.affine, 3).ravel()), []).append(grid)
    if not grids:
        raise failed[0] if failed else DataError("no training maps to take a grid from. Check the samples.")
    for fault in failed:
        log.warning("not asked for the grid: %s", fault)
    most = max(grids.values(), key=len)
    if len(grids) > 1:
        counts = "; ".join(f"{grid_words(key[0], found[0].affine)}: {len(found)}" for key, found in grids.items())
        log.warning("training subjects are on different grids (%s); that of most of them is taken", counts)
    check_size(most[0].mask, mask)
    return most[0]


def find_grid(images: Sequence[str], read: Reader, mask: str | None, downsample: int = 1) -> Grid:
    """Return the grid of `images` (maps of one subject): the first one's, and a brain mask.

    The mask is where the file `mask` is above 0, or else where one of the maps has data (`truemap.numerics.filled`).
    Where maps are downsampled (by `read`) the file is as fine as theirs, and a block is in the brain if half of its
    voxels are.

    Raises
    ------
    DataError
        If a map cannot be used, or the mask file is empty or on another grid.
    """
    values, _, affine, _ = usable(images[0], read)
    if mask is None:
        inside = has_data(values)
        for image in images[1:]:
            inside = inside | has_data(usable(image, read, Grid(inside, affine))[0])
        return Grid(inside, affine)
    with sized(values.shape), finer(downsample):
        wanted, mask_affine, _ = read_map(mask)
    inside = above_zero(mask, wanted)
    share, mask_affine = block_means(inside.astype(np.float64), mask_affine, downsample)
    if not same_grid(values.shape, affine, share.shape, mask_affine):
        difference = grid_difference(share.shape, mask_affine, values.shape, affine)
        raise BadMap(
            images[0],
            f"{mask}: is not on the grid of the maps ({images[0]}): {difference}. Resample it (nilearn's "
            "resample_to_img).",
        )
    if not (share >= 0.5).any():
        raise DataError(f"{mask}: is nowhere half of a block of {downsample}³ voxels. Lower `downsample`.")
    return Grid(share >= 0.5, affine)


def has_data(values: np.ndarray) -> np.ndarray:
    """Return where one map has data (`truemap.numerics.filled`), in its own shape."""
    return filled(values.reshape(1, -1))[0].reshape(values.shape)


def above_zero(path: str, values: np.ndarray) -> np.ndarray:
    """Return where a mask is above 0: any label of an atlas, any probability; NaN is outside.

    Raises
    ------
    DataError
        If it is so nowhere, or the values are those of no mask: negative or infinite.
    """
    values = np.where(np.isnan(values), 0.0, values.astype(np.float64))
    largest = values.max()
    found = values > ZERO * largest
    if np.isinf(values).any() or values.min() < -ZERO * abs(largest):
        raise DataError(f"{path}: values from {values.min():g} to {largest:g}. Give a mask: 1 in the brain, else 0.")
    if not found.any():
        raise DataError(f"{path}: no voxel above 0. Give a mask that is 1 in the brain.")
    return found


def check_size(brain: np.ndarray, mask: str | None) -> None:
    """Warn where the brain is (almost) everything or (almost) nothing; `mask` is its file, where there is one."""
    if not LITTLE <= brain.mean() <= MUCH:
        log.warning(
            "%s: %d of %d voxels (%.2f %%). If that is not the brain, set `mask`",
            mask or "voxels that differ from the most frequent value in a map of the first subject",
            brain.sum(),
            brain.size,
            100 * brain.mean(),
        )
