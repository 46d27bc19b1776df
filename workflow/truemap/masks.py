"""Where the brain is: in maps, by the value that voxels without data have, or in a mask of the user's."""

from __future__ import annotations

import numpy as np

from truemap.files import DataError
from truemap.job import log
from truemap.numerics import filled

#: Shares of the volume that a brain has less of, or more, for a warning.
LITTLE, MUCH = 0.01, 0.99
#: A mask's values below this share of its largest are 0: what is left of 0 where a mask was saved as scaled integers.
ZERO = 1e-5


def has_data(values: np.ndarray) -> np.ndarray:
    """Return where one map has data (`truemap.numerics.filled`), in its own shape."""
    return filled(values.reshape(1, -1))[0].reshape(values.shape)


def inside(path: str, values: np.ndarray) -> np.ndarray:
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
