"""Saliency maps that another tool made: their sheet, checked line by line, and the maps on the dataset's grid.

The format of the sheet is one of this project.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from truemap.config.options import suggest
from truemap.data.grid import Grid, grid_difference, turned
from truemap.data.headers import sized
from truemap.data.maps import unit_peak
from truemap.data.nifti import files_of, read_map
from truemap.data.oddities import Oddities
from truemap.data.rows import by_target, subject_blocks
from truemap.data.seen import Seen
from truemap.data.tables import read_tsv, require_cells, require_columns
from truemap.runtime.files import DataError, spelling
from truemap.runtime.log import log, progress

REQUIRED = ("image", "sample", "target")
ROW = "row"
#: Ending of a stack of maps.
STACK = ".npy"
#: A negative value below this share of the map's peak is what saving 0 as a scaled integer leaves of it.
ROUNDING = 1e-5
#: Samples that a message lists.
LISTED = 5


def read_sheet(path: str | Path, samples: pd.DataFrame) -> pd.DataFrame:
    """Return the sheet's rows, one a map; the line of a row is its index + 2.

    Parameters
    ----------
    path : path
    samples : DataFrame
        Of `truemap.data.samples.read`.

    Returns
    -------
    DataFrame
        ``image`` (a path), ``row`` (of a stack, else -1), ``sample`` (the id), ``target``; ``attrs["numbered"]`` says
        whether a sample is called by its number.

    Raises
    ------
    DataError
        If the sheet cannot be read (`truemap.data.tables.read_tsv`), a line names what is not there, no test map or no
        class, a pair of sample and class is there twice, or a sample lacks its own class or some of the others.
    """
    path = Path(path)
    table = read_tsv(path, "sheet", "Check `maps` in the config.", paths=["image", "sample"])
    if table.empty:
        raise DataError(f"{path}: no lines below the header. List one map a line.")
    require_columns(path, table, REQUIRED)
    for column in table:
        if column not in (*REQUIRED, ROW):
            raise DataError(f"{path}: unknown column '{column}'{suggest(column, (*REQUIRED, ROW))} Rename or drop it.")
    require_cells(path, table, REQUIRED)
    sheet = pd.DataFrame(
        {
            "image": [str(path.parent / image) for image in table["image"]],
            "row": _rows(path, table),
            "sample": _samples(path, table["sample"], samples),
            "target": table["target"],
        },
        index=table.index,
    )
    classes = set(samples["label"])
    for line, target in _lines(sheet["target"], ~sheet["target"].isin(classes)):
        raise DataError(f"{path}, line {line}: no class '{target}'{suggest(target, classes)}")
    for line, image in _lines(sheet["image"], [not Path(image).is_file() for image in sheet["image"]]):
        raise DataError(
            f"{path}, line {line}: {image}: no such file. Paths are relative to the sheet.{spelling(image)}"
        )
    _check_pairs(path, sheet, samples)
    sheet.attrs["numbered"] = not table["sample"].isin(samples["image"]).all()
    return sheet


def _lines(cells: pd.Series, wrong: pd.Series | list[bool]) -> Iterator[tuple[int, str]]:
    """Yield line and cell of each wrong one."""
    for row, cell in cells[wrong].items():
        yield row + 2, cell


def _rows(path: Path, table: pd.DataFrame) -> list[int]:
    cells = table[ROW] if ROW in table else pd.Series("", index=table.index)
    stacks = table["image"].str.lower().str.endswith(STACK)
    for line, _ in _lines(cells, stacks & ~cells.str.fullmatch("[0-9]{1,9}")):
        raise DataError(
            f"{path}, line {line}: a stack. Say in the column `{ROW}` which of its maps it is, 0 for the first: a "
            "whole number without a point (of pandas: a column of type Int64)."
        )
    for line, _ in _lines(cells, ~stacks & (cells != "")):
        raise DataError(f"{path}, line {line}: a row, but no stack ({STACK}). Leave the cell empty.")
    return [int(cell) if cell else -1 for cell in cells]


def _samples(path: Path, cells: pd.Series, samples: pd.DataFrame) -> list[int]:
    """Return the ids of samples that are called by their number or image. No message shows a cell that is neither."""
    known = {**dict(zip(samples["image"], samples.index, strict=True)), **{str(i): i for i in samples.index}}
    for line, _ in _lines(cells, ~cells.isin(list(known))):
        raise DataError(
            f"{path}, line {line}: no such sample. Write what the column `image` of the dataset's samples.tsv says, or "
            f"the number of its line there (0 to {len(samples) - 1}; 0 is the first below the header)."
        )
    found = cells.map(known)
    for line, number in _lines(found, found.map(samples["split"]) != "test"):
        raise DataError(
            f"{path}, line {line}: sample {number} is a {samples.loc[number, 'split']} map, and agreement is that of "
            "test maps (column `split` of samples.tsv; numbers shift when maps come or go). Drop or mend the line."
        )
    return found.tolist()


def _check_pairs(path: Path, sheet: pd.DataFrame, samples: pd.DataFrame) -> None:
    pairs = sheet[["sample", "target"]]
    again = pairs.index[pairs.duplicated()]
    if len(again):
        sample, target = pairs.loc[again[0]]
        first = pairs.index[(pairs["sample"] == sample) & (pairs["target"] == target)][0]
        raise DataError(
            f"{path}, line {again[0] + 2}: sample {sample} for class '{target}' again, as in line {first + 2}. Keep "
            "one of the lines."
        )
    own = sheet["target"] == sheet["sample"].map(samples["label"])
    lacking = sorted(set(sheet["sample"]) - set(sheet.loc[own, "sample"]))
    if lacking:
        raise DataError(
            f"{path}: {len(lacking)} of {sheet['sample'].nunique()} samples have no map for their own class: "
            f"{_named(lacking, samples)}. Add those lines."
        )
    others, wanted = sheet[~own].groupby("sample").size(), samples["label"].nunique() - 1
    partly = sorted(set(sheet["sample"]) - set(others.index[others == wanted])) if len(others) else []
    if partly:
        raise DataError(
            f"{path}: {len(partly)} of {sheet['sample'].nunique()} samples have maps for some or none of the other "
            f"{wanted} classes, while others have them: {_named(partly, samples)}. A mean over some of the classes "
            "compares with no other method's: add what is missing, or keep the lines of each sample's own class only."
        )


def _named(ids: list[int], samples: pd.DataFrame) -> str:
    more = f" and {len(ids) - LISTED} more" if len(ids) > LISTED else ""
    return ", ".join(f"{i} (class {samples.loc[i, 'label']})" for i in ids[:LISTED]) + more


def files(sheet: pd.DataFrame) -> list[str]:
    """Return the files that a sheet's maps are in."""
    return [str(file) for image in sheet["image"].unique() for file in files_of(image)]


def check_numbers(path: str, samples: str, before: Seen, now: Seen) -> None:
    """Refuse a sheet that calls samples by numbers, where it is as it was and the samples are others.

    Numbers shift when maps come or go: they would be those of other maps, and nobody would see it.

    Parameters
    ----------
    path, samples : str
        The sheet, and the table of samples.
    before, now : dict
        What was seen (`truemap.data.seen`) when the sheet's maps were taken over the last time, and what is.

    Raises
    ------
    DataError
    """
    same = {name: before[name][1] == now[name][1] for name in (path, samples) if name in before}
    if same == {path: True, samples: False}:
        raise DataError(
            f"{path}: calls samples by their numbers, and {samples} is another one than when it was read last. Write "
            "the sheet anew, with what the column `image` says there: that stays."
        )


def check_explained(
    path: str | Path, sheet: pd.DataFrame, explained: pd.DataFrame, kept: pd.Series, samples: pd.DataFrame
) -> None:
    """Refuse a sheet of other samples than those that are explained: means of others would be compared.

    Lines of test maps that were left out of the dataset (`on_bad_subject: skip`) are counted in a warning.

    Parameters
    ----------
    sheet : DataFrame
        Of `read_sheet`.
    explained : DataFrame
        Test maps that are explained, with a column ``sample``.
    kept : Series
        Samples that were not left out.
    samples : DataFrame
        All samples.

    Raises
    ------
    DataError
    """
    wanted = set(explained["sample"])
    out = ~sheet["sample"].isin(kept)
    if out.any():
        log.warning("%s: %d lines of maps that were skipped are not used", path, out.sum())
    for line, sample in _lines(sheet["sample"], ~sheet["sample"].isin(wanted) & ~out):
        raise DataError(
            f"{path}, line {line}: sample {sample} is not among the {len(wanted)} test maps that are explained "
            "(`explained`). Drop the line, or set `explained: null`."
        )
    lacking = sorted(wanted - set(sheet["sample"]))
    if lacking:
        raise DataError(
            f"{path}: has no maps of {len(lacking)} of the {len(wanted)} test maps that are explained: "
            f"{_named(lacking, samples)}. Add them: agreement would be a mean of other maps than that of other methods."
        )


class SheetReader:
    """The maps of a sheet, on the dataset's grid.

    Parameters
    ----------
    sheet : DataFrame
        Of `read_sheet`.
    grid : Grid
    signed : bool
        Whether the maps are said to have signs.
    nan : {"refuse", "zero"}
        What becomes of voxels that are NaN.

    Attributes
    ----------
    odd : Oddities
        Of the blocks so far.

    Raises
    ------
    DataError
        If a stack cannot be used.
    """

    def __init__(self, sheet: pd.DataFrame, grid: Grid, signed: bool, nan: Literal["refuse", "zero"]) -> None:
        self._places = sheet.set_index(["sample", "target"])[["image", "row"]]
        self._grid, self._signed, self._nan = grid, signed, nan
        self.odd = Oddities(halves=not signed and sheet["target"].nunique() == 2)
        rows = sheet[sheet["row"] >= 0].groupby("image")["row"].max()
        self._stacks = {image: open_stack(image, int(last), grid) for image, last in rows.items()}

    def blocks(self, explained: pd.DataFrame, classes: list[str]) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """Yield (rows, maps) of each subject, as `truemap.saliency._writer.explain_blocks` does; no sum is promised."""
        for block in progress(list(subject_blocks(explained)), "subject"):
            rows = by_target(block, classes)
            pairs = pd.MultiIndex.from_frame(rows[["sample", "target"]])
            rows = rows[pairs.isin(self._places.index)].reset_index(drop=True)
            maps, scale = unit_peak(np.stack([self.read(row.sample, row.target) for row in rows.itertuples()]))
            self.odd.add(rows, maps)
            yield rows.assign(scale=scale, residual=np.nan), maps

    def read(self, sample: int, target: str) -> np.ndarray:
        """Return one map, shape (voxels,), float64.

        Raises
        ------
        DataError
            If it cannot be read, is on another grid, not finite, or has negative values though it has no signs.
        """
        image, row = self._places.loc[(sample, target)]
        name = f"{image}, row {row}" if image in self._stacks else image
        if image in self._stacks:
            values, affine = self._stacks[image][row].reshape(self._grid.shape), self._grid.affine
        else:
            with sized(self._grid.shape):
                values, affine, _ = read_map(image)
        found = turned(values, affine, self._grid)
        if found is None:
            difference = grid_difference(values.shape, affine, self._grid.shape, self._grid.affine)
            raise DataError(f"{name}: {difference}. Resample it (nilearn's resample_to_img).")
        found = found.reshape(-1).astype(np.float64)
        if self._nan == "zero":
            found[np.isnan(found)] = 0.0
        if not np.isfinite(found).all():
            remedy = "Write 0 there (or `nan: zero`, where it is NaN outside the brain), or look at what made it."
            raise DataError(f"{name}: {(~np.isfinite(found)).sum()} voxels are NaN or infinite. {remedy}")
        if not self._signed:
            if found.min() < -ROUNDING * np.abs(found).max():
                raise DataError(
                    f"{name}: has negative values (to {found.min():g}), and the config says `signed: false`. Set "
                    "`signed: true`, or write the maps' absolute values."
                )
            found = np.maximum(found, 0.0)
        return found


def open_stack(path: str, last: int, grid: Grid) -> np.ndarray:
    """Return a stack of maps, memory-mapped, shape (n, *shape), (n, voxels), or without axes of one voxel.

    Nothing is unpickled.

    Parameters
    ----------
    last : int
        Largest row that is asked for.

    Raises
    ------
    DataError
        If it cannot be read, or has another shape, another type than real numbers or fewer rows.
    """
    try:
        stack = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: no stack of maps ({error}). Save one array of numbers (numpy.save); no Python objects are read."
        ) from None
    shape, voxels = grid.shape, grid.mask.size
    if stack.dtype.kind not in "iufb":
        raise DataError(f"{path}: holds {stack.dtype}, not one real number a voxel. Convert it (e.g. to float32).")
    if stack.shape[1:] not in (shape, (voxels,), tuple(size for size in shape if size != 1)):
        brain = int(grid.mask.sum())
        masked = "; values of the brain alone: nilearn.masking.unmask" if stack.shape[1:] == (brain,) else ""
        raise DataError(
            f"{path}: shape {stack.shape}; a stack of the dataset's maps has (n, {', '.join(map(str, shape))}) or "
            f"(n, {voxels}), axes as in its NIfTI files{masked}. Reshape it, or write NIfTI files."
        )
    if last >= len(stack):
        raise DataError(f"{path}: row {last} is asked for, and it has {len(stack)} (0 to {len(stack) - 1}).")
    return stack
