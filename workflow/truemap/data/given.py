"""The sheet of saliency maps that another tool made, checked line by line; its maps: `truemap.data.given_maps`.

The format of the sheet is one of this project.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from truemap.config.options import suggest
from truemap.data.nifti import files_of
from truemap.data.seen import Seen
from truemap.data.tables import read_tsv, require_cells, require_columns
from truemap.runtime.files import DataError, spelling
from truemap.runtime.log import log

REQUIRED = ("image", "sample", "target")
ROW = "row"
#: Ending of a stack of maps.
STACK = ".npy"
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
