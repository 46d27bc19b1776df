"""Maps in Parquet: one row a map, in blocks by subject, and reading them back one block at a time; their means."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from truemap.data.about import described, sidecar, volume_name
from truemap.data.nifti import write_map
from truemap.data.rows import made_by
from truemap.numerics import LOST, SAMPLE
from truemap.runtime.files import DataError, whole, write_json
from truemap.runtime.log import log


def unit_peak(maps: np.ndarray, out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return maps divided by their largest absolute value, and that value; maps of zero, or not finite, stay.

    Float16 has 11 bits but a narrow range: at unit peak a map keeps its shape however small it is.

    Parameters
    ----------
    maps : ndarray, shape (rows, voxels)
    out : ndarray, shape (rows, voxels), optional
        Where the divided maps go; may be `maps`.
    """
    # No array of sizes is made: a subject's maps of 2 mm are gigabytes.
    peak = np.abs(np.maximum(maps.max(axis=1), -maps.min(axis=1)))
    divisor = np.where((peak > 0) & np.isfinite(peak), peak, 1.0)[:, None]
    return np.divide(maps, divisor, out=out), peak


#: Values of a row group at most, where a map alone is not more. A block of more is of several: beside each value
#: Parquet's own levels and pages take some 12 bytes when it is written, and 20 when it is read.
GROUP = 1 << 23


class MapWriter:
    """Writes blocks of maps.

    Parameters
    ----------
    path : path
        Of the Parquet file (a temporary name; see `truemap.runtime.files.whole`).
    voxels : int
        Of a map.
    dtype : {"float16", "float32"}
        Of the fixed-size list ``map``.
    inside : ndarray of bool, shape (voxels,), optional
        Voxels to store, those of the brain; None is all.
    data : str
        What the data are called, for the file's metadata.

    Attributes
    ----------
    signed : bool
        Whether any map so far had a negative value.
    """

    def __init__(self, path: Path, voxels: int, dtype: str, inside: np.ndarray | None = None, data: str = "") -> None:
        self.path, self.inside, self.data = path, inside, data
        self.voxels = voxels if inside is None else int(inside.sum())
        self.dtype = np.dtype(dtype)
        self._writer: pq.ParquetWriter | None = None
        self.signed, self._coarse = False, 0
        self._blocks: list[int] = []

    def __enter__(self) -> MapWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            stored = "all" if self.inside is None else "brain"
            told = {"signed": str(self.signed), "voxels": stored, "data": self.data}
            if any(groups > 1 for groups in self._blocks):
                told["blocks"] = json.dumps(self._blocks)
            self._writer.add_key_value_metadata(told)
            self._writer.close()
        if self._coarse:
            log.warning(
                "%d maps are so flat that rounding to %s is more than %g of their SD; their agreement is no surer",
                self._coarse,
                self.dtype,
                LOST,
            )

    def write(self, rows: pd.DataFrame, maps: np.ndarray) -> None:
        """Write one block: columns of `rows`, and ``map`` from `maps`, shape (rows, voxels).

        Raises
        ------
        DataError
            If a value is not finite, or not in the stored type.
        """
        table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        groups = range(0, len(rows), max(1, GROUP // self.voxels))
        for start in groups:
            part = slice(start, start + groups.step)
            self._write(table[part], rows.iloc[part], maps[part])
        self._blocks.append(len(groups))

    def _write(self, table: pa.Table, rows: pd.DataFrame, maps: np.ndarray) -> None:
        """Write one row group; `table` is what `rows` are."""
        self.signed = self.signed or bool((maps < 0).any())
        maps = maps if self.inside is None else maps[:, self.inside]
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(maps, dtype=self.dtype)
        finite = np.isfinite(stored).all(axis=1)
        if not finite.all():
            row = rows.iloc[int(finite.argmin())].to_dict()
            raise DataError(
                f"{self.path.parent}: {(~finite).sum()} of {len(rows)} maps have values that {self.dtype} does not "
                f"hold, or none (NaN, infinite); the first is that of {row}. Look at what made it."
            )
        self._coarse += int((_rounding(maps, stored) > LOST).sum())
        flat = pa.array(stored.reshape(-1))
        table = table.append_column("map", pa.FixedSizeListArray.from_arrays(flat, self.voxels))
        if self._writer is None:
            # Maps are noise to a general compressor: it would cost time and save nothing.
            self._writer = pq.ParquetWriter(
                self.path, table.schema, compression="none", use_dictionary=False, write_page_checksum=True
            )
        self._writer.write_table(table, row_group_size=len(table))


def store(blocks: Iterator[tuple[pd.DataFrame, np.ndarray]], writer: MapWriter, means: MeanMaps) -> None:
    """Write (rows, maps) of each subject, and add them to the means."""
    for rows, maps in blocks:
        writer.write(rows, maps)
        means.add(rows, maps)
        # The next subject's are made before a loop lets go of these.
        del maps


def _rounding(maps: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Return by how much maps were rounded, as a share of their sd, shape (rows,); 0 where they are constant."""
    step = max(1, maps.shape[1] // SAMPLE)
    some, kept = maps[:, ::step].astype(np.float64), stored[:, ::step].astype(np.float64)
    noise, sd = np.sqrt(np.mean((kept - some) ** 2, axis=1)), some.std(axis=1)
    return np.divide(noise, sd, out=np.zeros(len(maps)), where=sd > 1e-12 * np.abs(some).max(axis=1))


@contextmanager
def _opened(path: str | Path) -> Iterator[pq.ParquetFile]:
    """Open a file of `MapWriter`; what it claims to hold is compared with its size before memory is spent."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
            claimed = sum(group.column(n).total_uncompressed_size for group in groups for n in range(group.num_columns))
            kind = file.schema_arrow.field("map").type
            numbers = sum(group.num_rows for group in groups) * kind.list_size
            if max(claimed, numbers * kind.value_type.bit_width // 8) > Path(path).stat().st_size:
                raise pa.ArrowInvalid("it claims to hold more than it has bytes")
            yield file
    except (pa.ArrowException, ValueError, OSError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: damaged, or no file of maps ({error}). Delete it, it is then made again.") from None


def is_signed(path: str | Path) -> bool:
    """Return whether any of the file's maps has a negative value."""
    with _opened(path) as file:
        return file.metadata.metadata[b"signed"] == b"True"


def is_brain(path: str | Path) -> bool:
    """Return whether the file holds the brain's voxels only."""
    with _opened(path) as file:
        return file.metadata.metadata[b"voxels"] == b"brain"


def on_grid(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return maps of the voxels `inside` put back among all, shape (rows, len(inside)); zero outside."""
    result = np.zeros((len(maps), len(inside)), maps.dtype)
    result[:, inside] = maps
    return result


def _blocks(file: pq.ParquetFile) -> list[list[int]]:
    """Return the row groups of each block."""
    told = file.metadata.metadata.get(b"blocks")
    counts = json.loads(told) if told else [1] * file.num_row_groups
    if sum(counts) != file.num_row_groups:
        raise pa.ArrowInvalid(f"{file.num_row_groups} row groups where there should be {sum(counts)}")
    ends = np.cumsum([0, *counts]).tolist()
    return [list(range(start, end)) for start, end in itertools.pairwise(ends)]


def read_rows(path: str | Path) -> list[pd.DataFrame]:
    """Return the rows of each block, without their maps."""
    with _opened(path) as file:
        columns = [name for name in file.schema_arrow.names if name != "map"]
        return [file.read_row_groups(groups, columns).to_pandas() for groups in _blocks(file)]


def read_blocks(path: str | Path, numbers: Iterable[int] | None = None) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield (rows, maps) of each block, or of those with these numbers.

    Yields
    ------
    rows : DataFrame
    maps : ndarray, shape (rows, voxels)
        In the stored type.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    with _opened(path) as file:
        blocks = _blocks(file)
        for number in range(len(blocks)) if numbers is None else numbers:
            rows = [file.metadata.row_group(group).num_rows for group in blocks[number]]
            kind, tables, done = file.schema_arrow.field("map").type, [], 0
            maps = np.empty((sum(rows), kind.list_size), kind.value_type.to_pandas_dtype())
            for group in blocks[number]:
                table = file.read_row_group(group)
                column = table.column("map").combine_chunks()
                column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
                values = column.values.to_numpy(zero_copy_only=False)
                maps[done : done + len(table)] = values.reshape(len(table), -1)
                tables.append(table.drop_columns(["map"]))
                done += len(table)
                del table, column, values
            yield pa.concat_tables(tables).to_pandas(), maps


class MeanMaps:
    """Mean saliency map of each (class of the map, explained class).

    Parameters
    ----------
    classes : list of str
    shape : tuple of int
        Of one map.
    """

    def __init__(self, classes: list[str], shape: tuple[int, ...]) -> None:
        self.classes = classes
        self.total = np.zeros((len(classes), len(classes), *shape))
        self.count = np.zeros((len(classes), len(classes)), dtype=int)

    def add(self, rows: pd.DataFrame, maps: np.ndarray) -> None:
        """Add maps at their own scale (not unit peak), as averaging the method's output would."""
        for (label, target), part in rows.groupby(["label", "target"]):
            a, b = self.classes.index(label), self.classes.index(target)
            scaled = maps[part.index] * part["scale"].to_numpy()[:, None]
            self.total[a, b] += scaled.sum(axis=0).reshape(self.total.shape[2:])
            self.count[a, b] += len(part)

    def write(
        self, image: str | Path, table: str | Path, about: str | Path, affine: np.ndarray, data: str, **entry: str | int
    ) -> None:
        """Write the means as one 4D NIfTI, unit peak each, and which volume is what as TSV and JSON.

        Parameters
        ----------
        data : str
            What the data are called.
        entry
            What they are of (`truemap.data.rows.made_by`).
        """
        size = len(self.classes)
        means = self.total / np.maximum(self.count, 1).reshape(size, size, *(1 for _ in self.total.shape[2:]))
        flat = means.reshape(size * size, -1)
        scale = unit_peak(flat, out=flat)[1]
        pairs = [(a, b) for a in range(size) for b in range(size)]
        names = [volume_name(self.classes[a], self.classes[b]) for a, b in pairs]
        volumes = np.moveaxis(flat.reshape(size * size, *means.shape[2:]), 0, -1)
        write_map(image, volumes, affine, described("mean saliency maps", data), names)
        what = "mean saliency maps of test maps by class, at unit peak; scales are in the table beside"
        more = {key.capitalize(): value for key, value in entry.items()}
        write_json(about, sidecar(what, data, **more, Volumes=names))
        rows = pd.DataFrame(
            {
                "volume": range(size * size),
                "label": [self.classes[a] for a, _ in pairs],
                "target": [self.classes[b] for _, b in pairs],
                "maps": [self.count[a, b] for a, b in pairs],
                "scale": scale,
            }
        )
        with whole(table) as temporary:
            made_by(rows, **entry).to_csv(temporary, sep="\t", index=False, lineterminator="\n")
