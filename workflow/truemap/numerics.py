"""Numbers that more than one layer needs: correlation, z-scores, seeds."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd

#: A value is that of voxels without data if at least this share of a map has it, at least so many voxels do, and so
#: many times as many as have the next most frequent one (else it is one of the few values that maps of integers have).
SHARE, FEW, TIMES = 0.01, 3, 2
#: Voxels of a map that are enough to find its empty value.
SAMPLE = 10_000
#: Values that differ by less than this share of the map's sd are one: rounding of what was computed in float32.
ROUNDING = 1e-5
#: A type holds a map if rounding to it is less than this share of the sd of voxels with data: r changes by 5e-5 then.
LOST = 0.01
#: z-scoring makes voxels the same that lie within this many sd of each other, ...
SAME = 0.05
#: ... if the next value lies this many times as far off: a spike or a sentinel, no peak with slopes.
JUMP = 10.0


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


def ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along rows, equal values their mean one (scipy.stats would take each job half a second to import).

    Parameters
    ----------
    values : ndarray, shape (n, voxels)

    Returns
    -------
    ndarray, shape (n, voxels), float64
        From 1; NaN where a value is NaN.
    """
    return pd.DataFrame(values).rank(axis=1).to_numpy()


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


def empty_value(values: np.ndarray, width: float = 0.0) -> float | None:
    """Return the value of voxels without data: the most frequent one, None where none stands out (`SHARE`).

    It need not be 0: scaled integers have 2e-6 for it, and z-scoring over the volume makes it another number, the same
    all over the map. (Values with data that are equal to it to the last bit of float16 are a handful.)

    Parameters
    ----------
    values : ndarray, shape (voxels,)
    width : float
        Values that differ by no more are one.
    """
    # Not all voxels: sorting those of each map would take longer than everything else.
    sample = np.sort(values[:: max(1, len(values) // SAMPLE)].astype(np.float64))
    counts = np.searchsorted(sample, sample + width, side="right") - np.arange(len(sample))
    most = counts.argmax()
    value = sample[most + counts[most] // 2]
    others = counts[(sample < value - 2 * width) | (sample > value + width)].max(initial=0)
    return float(value) if counts[most] >= max(FEW, SHARE * len(sample), TIMES * others) else None


def filled(maps: np.ndarray) -> np.ndarray:
    """Return where maps have data: where they differ from their `empty_value` by more than rounding (`ROUNDING`).

    Maps without such a value have data where they are not 0.

    Parameters
    ----------
    maps : ndarray, shape (n, voxels)

    Returns
    -------
    ndarray of bool, shape (n, voxels)
    """
    full = np.empty(maps.shape, dtype=bool)
    for values, result in zip(maps, full, strict=True):
        width = ROUNDING * float(values[:: max(1, len(values) // SAMPLE)].astype(np.float64).std())
        empty = empty_value(values, width)
        if empty is None:
            np.not_equal(values, 0, out=result)
        else:
            np.logical_or(values < empty - width, values > empty + width, out=result)
    return full


def zscore(volume: np.ndarray, work: np.ndarray | None = None) -> np.ndarray:
    """Return ``(volume - mean) / sd`` over all voxels (population sd), in float64.

    Parameters
    ----------
    volume : ndarray, any shape
    work : ndarray, shape (2, voxels), optional
        Memory of float64 to compute in, which for maps of many voxels takes less time than asking for it each time. The
        result then lies in it, until it is used again.

    Notes
    -----
    Zeros outside the brain count too: that makes the L2 norm of a map sqrt(voxels), and so
    epsilon = 95 = 0.1 * sqrt(902629) a tenth of a standard deviation a voxel (McClure et al. 2020).

    Raises
    ------
    ValueError
        If a voxel is not finite, all voxels are equal, or a few values lie so far from all others that these are the
        same afterwards (`_check_spread`).
    """
    volume = np.asarray(volume)
    if not (volume.flags.c_contiguous or volume.flags.f_contiguous):
        volume = volume.copy(order="K")
    # In the order of memory: a sum's last digits depend on the order.
    flat, order = volume.ravel(order="K"), "C" if volume.flags.c_contiguous else "F"
    with np.errstate(over="ignore"):
        peak = max(float(flat.max()), -float(flat.min()))
    if not np.isfinite(peak):
        nan, bad = int(np.isnan(volume).sum()), int(volume.size - np.isfinite(volume).sum())
        raise ValueError(
            f"{bad} of {volume.size} voxels are NaN or infinite ({bad / volume.size:.1%}; {nan} NaN, "
            f"{bad - nan} infinite)"
        )
    # The squares of larger and smaller numbers are none of float64.
    unit = 1.0 if 1e-100 < peak < 1e100 else peak or 1.0
    centred, squares = np.empty((2, flat.size)) if work is None else work
    np.copyto(centred, flat, casting="same_kind")
    if unit != 1.0:
        centred /= unit
    centred -= centred.mean()
    deviation = float(np.sqrt(np.mean(np.square(centred, out=squares))))
    if deviation <= 1e-12 * peak / unit:
        raise ValueError(f"the map is constant (all voxels {flat[0]:g})")
    _check_spread(flat, deviation * unit)
    centred /= deviation
    return centred.reshape(volume.shape, order=order)


def _check_spread(values: np.ndarray, sd: float) -> None:
    """Refuse a map in which a few values lie so far off that z-scoring makes all others the same.

    They are spikes, or numbers that stand for voxels without data (-FLT_MAX, INT_MIN, -9999). Half of the voxels with
    data, or more, then lie within `SAME` sd of their median, and the next value `JUMP` times as far off as all these.
    Maps of a few values only (a mask) are sound, and so are narrow peaks with slopes.
    """
    sample, _ = _continuous(values[:: max(1, len(values) // SAMPLE)].astype(np.float64))
    # A sample tells that a map is sound; sorting all voxels of each would take longer than everything else.
    if len(sample) >= 100 and np.median(np.abs(sample - np.median(sample))) > 2 * SAME * sd:
        return
    values = values.astype(np.float64)
    data, repeated = _continuous(values)
    with np.errstate(over="ignore"):
        median = float(np.median(data))
        far = np.sort(np.abs(data - median))[len(data) // 2 :]
        far = np.sort(np.append(far, np.abs(repeated - median)))
        ahead = np.append(far[1:], 0.0)
        # Differences of rounding are none.
        apart = (far > 1e-6 * abs(median)) & (far < SAME * sd) & (ahead > np.maximum(SAME * sd, JUMP * far))
        if apart.any():
            away = np.abs(values - median)
            inside, value = values[away <= far[apart][-1]], values[away.argmax()]
            raise ValueError(
                f"values as far off as {value:g} ({1 - len(inside) / len(values):.1%} of the voxels) make all others, "
                f"{inside.min():g} to {inside.max():g}, the same in the range of the map. If they stand for voxels "
                "without data, write 0 there"
            )


def _continuous(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of voxels with data, and those that a share of the voxels have (`SHARE`), each once.

    The latter are empty values and sentinels. If there are no others, they are the data.
    """
    found, counts = np.unique(values, return_counts=True)
    often = counts >= max(FEW, SHARE * len(values))
    data = np.repeat(found[~often], counts[~often])
    return (data, found[often]) if len(data) else (values, found[:0])


def rounded(values: np.ndarray, precision: str) -> np.ndarray:
    """Return values in the type `precision`, which must hold them.

    Parameters
    ----------
    values : ndarray, any shape

    Returns
    -------
    ndarray
        The same shape, in C order.

    Raises
    ------
    ValueError
        If a value overflows, if rounding is more than `LOST` of the sd of voxels with data, or if more than that share
        of the voxels that are not 0 become 0.
    """
    values = np.asarray(values, dtype=np.float64)
    peak = max(values.max(), -values.min())
    # Not `>`: that is false for NaN.
    if not peak <= np.finfo(precision).max:
        raise ValueError(f"values up to {peak:g} overflow {precision}")
    flat = values.ravel(order="K")
    data, _ = _continuous(flat[:: max(1, len(flat) // SAMPLE)])
    noise, sd = np.sqrt(np.mean((data.astype(precision) - data) ** 2)), data.std()
    vanished = np.count_nonzero(data) - np.count_nonzero(data.astype(precision))
    if noise > LOST * sd > 0 or vanished > LOST * len(data):
        stored = values.astype(precision)
        share = 1 - np.count_nonzero(stored) / np.count_nonzero(values)
        raise ValueError(
            f"{precision} does not hold its values ({data.min():g} to {data.max():g}): {share:.1%} of those that are "
            f"not 0 become 0, and rounding is {noise / sd if sd else 1:.1%} of their SD"
        )
    # Rounded where they lie: to turn the axes of a quarter of the bytes takes less.
    return np.ascontiguousarray(values.astype(precision))


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on every part, and on nothing else (no machine, no hash seed)."""
    text = json.dumps([part if isinstance(part, str) else int(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
