"""z-scored maps on disk: their grid, (n, *shape) arrays that are memory-mapped, and the rows they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.runtime.files import DataError


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
