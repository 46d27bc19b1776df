"""Maps in Parquet: one row a map, row groups by subject, and reading them back one group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


class MapWriter:
    """Writes blocks of maps, each block one row group.

    Parameters
    ----------
    path : path
        Of the Parquet file (a temporary name; see `truemap.files.whole`).
    voxels : int
        Of a map.
    dtype : {"float16", "float32"}
        Of the fixed-size list ``map``.
    inside : ndarray of bool, shape (voxels,), optional
        Voxels to store, those of the brain; None is all.
    """

    def __init__(self, path: Path, voxels: int, dtype: str, inside: np.ndarray | None = None) -> None:
        self.path, self.inside = path, inside
        self.voxels = voxels if inside is None else int(inside.sum())
        self.dtype = np.dtype(dtype)
        self._writer: pq.ParquetWriter | None = None
        self._signed = False

    def __enter__(self) -> MapWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            stored = "all" if self.inside is None else "brain"
            self._writer.add_key_value_metadata({"signed": str(self._signed), "voxels": stored})
            self._writer.close()

    def write(self, rows: pd.DataFrame, maps: np.ndarray) -> None:
        """Write one row group: columns of `rows`, and ``map`` from `maps`, shape (rows, voxels)."""
        self._signed = self._signed or bool((maps < 0).any())
        maps = maps if self.inside is None else maps[:, self.inside]
        flat = pa.array(np.ascontiguousarray(maps, dtype=self.dtype).reshape(-1))
        table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        table = table.append_column("map", pa.FixedSizeListArray.from_arrays(flat, self.voxels))
        if self._writer is None:
            # Maps are noise to a general compressor: it would cost time and save nothing.
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="none", use_dictionary=False)
        self._writer.write_table(table, row_group_size=len(table))


def is_signed(path: str | Path) -> bool:
    """Return whether any of the file's maps has a negative value."""
    with pq.ParquetFile(path) as file:
        return file.metadata.metadata[b"signed"] == b"True"


def is_brain(path: str | Path) -> bool:
    """Return whether the file holds the brain's voxels only."""
    with pq.ParquetFile(path) as file:
        return file.metadata.metadata[b"voxels"] == b"brain"


def on_grid(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return maps of the voxels `inside` put back among all, shape (rows, len(inside)); zero outside."""
    result = np.zeros((len(maps), len(inside)), maps.dtype)
    result[:, inside] = maps
    return result


def read_blocks(path: str | Path) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield (rows, maps) of each row group; maps have shape (rows, voxels) and the stored type."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            column = table.column("map").combine_chunks()
            column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
            maps = column.values.to_numpy(zero_copy_only=False).reshape(len(table), -1)
            yield table.drop_columns(["map"]).to_pandas(), maps
