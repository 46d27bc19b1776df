"""Storing maps: read, checked, z-scored and written in sequence; subjects with a bad map may be left out."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pandas as pd

from truemap.data.grid import Grid
from truemap.data.reading import BadMap, Reader, usable
from truemap.data.rows import owners
from truemap.numerics import rounded
from truemap.runtime.files import DataError, whole
from truemap.runtime.log import log, progress

#: Columns of the list of what was left out.
SKIPPED = ["subject", "image", "reason"]


def write_volumes(
    array: str | Path,
    table: str | Path,
    skipped: str | Path,
    rows: pd.DataFrame,
    read: Reader,
    grid: Grid,
    standardize: str,
    precision: str,
    on_bad_subject: Literal["stop", "skip"] = "stop",
) -> int:
    """Read, check, standardise and store the maps of `rows`, and list what was left out; return how many are stored.

    With ``stop``, maps are read one at a time. With ``skip``, all maps of a subject are read before one is written, and
    a subject with a map that cannot be used is left out as a whole: of the array, and of the table, whose rows keep
    their sample numbers.

    Raises
    ------
    DataError
        If there are no rows; if `precision` does not hold a map's values; with ``stop``, if a map cannot be used
        (`truemap.data.reading.usable`).
    """
    if rows.empty:
        raise DataError(f"{array}: no subjects left for this shard. Lower `shards`, or add subjects.")
    skip = on_bad_subject == "skip"
    kept: list[int] = []
    sums: list[str] = []
    bad: list[tuple[str, str, str]] = []
    with whole(array) as temporary, whole(table) as temporary_table, whole(skipped) as temporary_list, ExitStack() as s:
        # Written in sequence, not through a memory map: a full disk is then an error, not a crash.
        stored = s.enter_context(temporary.open("wb"))
        start = _write_header(stored, (len(rows), *grid.shape), precision)
        images = rows["image"].tolist()
        work = np.empty((2, math.prod(grid.shape)))
        for part in progress(_parts(rows, skip), "subject" if skip else "map"):
            try:
                maps = [_converted(images[row], read, grid, standardize, precision, work) for row in part]
            except BadMap as error:
                if not skip:
                    raise
                log.warning("left out: %s", error)
                bad.append((rows["subject"].iloc[part[0]], error.image, str(error)))
                continue
            for values, checksum in maps:
                stored.write(values.data)
                sums.append(checksum)
            kept += part
        stored.seek(0)
        # numpy pads headers, so that one with fewer rows is as long.
        if _write_header(stored, (len(kept), *grid.shape), precision) != start:
            raise RuntimeError(f"{array}: the header of {len(kept)} maps is not as long as that of {len(rows)}")
        stored.close()
        written = rows.iloc[kept].rename_axis("sample").reset_index().assign(sha256=pd.Series(sums, dtype=str))
        if skip:
            # What `read_volumes` expects of all shards together: of one, a class may well be gone.
            written.attrs = {"classes": sorted(set(rows["label"]))}
        written.to_parquet(temporary_table, index=False)
        write_skipped(temporary_list, bad)
    return len(kept)


def write_skipped(path: str | Path, rows: list[tuple[str, str, str]]) -> None:
    """Write the list of what was left out: subject, image (where it is one) and reason; a header only, if nothing."""
    with whole(path) as temporary:
        pd.DataFrame(rows, columns=SKIPPED).to_csv(temporary, sep="\t", index=False, lineterminator="\n")


def _parts(rows: pd.DataFrame, skip: bool) -> list[list[int]]:
    """Return the numbers of rows that are stored, or left out, together: of a subject, or single ones for ``stop``."""
    if not skip:
        return [[number] for number in range(len(rows))]
    owner = owners(rows, rows["image"])
    return [numbers.tolist() for numbers in owner.groupby(owner, sort=False).indices.values()]


def _write_header(stored: BinaryIO, shape: tuple[int, ...], precision: str) -> int:
    """Write the header of a .npy file; return where the values begin."""
    header = {"descr": np.dtype(precision).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stored, header)
    return stored.tell()


def _converted(
    image: str, read: Reader, grid: Grid, standardize: str, precision: str, work: np.ndarray
) -> tuple[np.ndarray, str]:
    values, standardised, _, checksum = usable(image, read, grid, work)
    try:
        return rounded(standardised if standardize == "volume" else values, precision), checksum
    except ValueError as error:
        remedy = "Set precision: float32" if precision == "float16" else "Multiply the maps by a constant"
        also = "" if standardize == "volume" else ", or standardize: volume"
        raise DataError(f"{image}: {error}. {remedy}{also}.") from None
