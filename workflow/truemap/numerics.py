"""Numbers that more than one layer needs: correlation, z-scores, seeds."""

from __future__ import annotations

import hashlib
import json

import numpy as np


def pearson(a: np.ndarray, b: np.ndarray, block: int = 1 << 16) -> np.ndarray:
    """Return Pearson's r of each pair of rows, in float64.

    Parameters
    ----------
    a, b : ndarray, shape (n, voxels)
        Rows to correlate; any float type. Read in blocks of voxels, so that no float64 copy of
        the whole is made.
    block : int
        Number of voxels converted at a time.

    Returns
    -------
    ndarray, shape (n,)
        ``cov(a, b) / (sd(a) sd(b))``; NaN where a row is constant.
    """
    count = a.shape[1]
    shift_a, shift_b = _row_means(a, block), _row_means(b, block)
    aa, bb, ab = (np.zeros(len(a)) for _ in range(3))
    for start in range(0, count, block):
        x = np.subtract(a[:, start : start + block], shift_a[:, None], dtype=np.float64)
        y = np.subtract(b[:, start : start + block], shift_b[:, None], dtype=np.float64)
        aa += np.einsum("ij,ij->i", x, x)
        bb += np.einsum("ij,ij->i", y, y)
        ab += np.einsum("ij,ij->i", x, y)
    constant = _constant(a, aa, shift_a) | _constant(b, bb, shift_b)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(constant, np.nan, np.clip(ab / (np.sqrt(aa) * np.sqrt(bb)), -1.0, 1.0))


def _constant(a: np.ndarray, squares: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return which rows are constant: exactly, since the mean of equal numbers may differ from them in the last bit.

    Only rows whose sum of centred squares is no more than rounding can be, and only they are compared.
    """
    result = squares <= a.shape[1] * (1e-12 * np.abs(mean)) ** 2
    rows = np.flatnonzero(result)
    result[rows] = (a[rows] == a[rows, :1]).all(axis=1)
    return result


def _row_means(a: np.ndarray, block: int) -> np.ndarray:
    total = np.zeros(len(a))
    for start in range(0, a.shape[1], block):
        total += a[:, start : start + block].sum(axis=1, dtype=np.float64)
    return total / a.shape[1]


def zscore(volume: np.ndarray) -> np.ndarray:
    """Return ``(volume - mean) / sd`` over all voxels (population sd), in float64.

    Zeros outside the brain count too: that makes the L2 norm of a map sqrt(voxels), and so
    epsilon = 95 = 0.1 * sqrt(902629) a tenth of a standard deviation a voxel (McClure et al. 2020).

    Raises
    ------
    ValueError
        If a voxel is not finite, or all voxels are equal.
    """
    volume = np.asarray(volume, dtype=np.float64)
    bad = int(volume.size - np.isfinite(volume).sum())
    if bad:
        raise ValueError(f"{bad} of {volume.size} voxels are NaN or infinite")
    centred = volume - volume.mean()
    deviation = np.sqrt(np.mean(centred**2))
    if deviation <= 1e-12 * float(np.abs(volume).max()):
        raise ValueError(f"the map is constant (all voxels {volume.flat[0]:g})")
    return centred / deviation


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on every part, and on nothing else (no machine, no hash seed)."""
    text = json.dumps([part if isinstance(part, str) else int(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
