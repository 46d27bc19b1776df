"""A sample sheet: any TSV of NIfTI maps on one grid, with their subjects and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from truemap.datasets.nifti import read_map
from truemap.files import DataError
from truemap.options import MethodOptions, suggest

REQUIRED = ("image", "subject", "label")
OPTIONAL = ("condition", "split", "negated")


class Options(MethodOptions):
    """A tab-separated sheet with a header."""

    sheet: str = Field(
        description="TSV with columns image (NIfTI, relative to the sheet), subject, label, and if wanted condition "
        "(default: numbered), split (train, validation or test; default: by subject) and negated (true where a map "
        "is another one times -1)"
    )


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return the sheet's rows, one a map.

    Raises
    ------
    DataError
        If the sheet cannot be read, a column is missing or unknown, or a cell is empty.
    """
    path = Path(options.sheet)
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8", skip_blank_lines=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a TSV sheet ({error}). Check `sheet` in the config.") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: lines have more cells than the header. Name every column.")
    table = table[(table != "").any(axis=1)]
    if table.empty:
        raise DataError(f"{path}: no lines below the header. List one map a line.")
    for column in REQUIRED:
        if column not in table:
            raise DataError(f"{path}: has no column '{column}'{suggest(column, table.columns)} Add it to the header.")
    for column in table:
        if column not in REQUIRED + OPTIONAL:
            raise DataError(
                f"{path}: unknown column '{column}'{suggest(column, REQUIRED + OPTIONAL)} Rename or drop it."
            )
    for column in REQUIRED:
        empty = np.flatnonzero(table[column].str.strip() == "")
        if len(empty):
            raise DataError(f"{path}, line {table.index[empty[0]] + 2}: empty '{column}'. Fill it in or drop the line.")
    table["image"] = [str(path.parent / image) for image in table["image"]]
    if "condition" not in table:
        table["condition"] = (table.groupby(["subject", "label"]).cumcount() + 1).map("map-{:03d}".format)
    if "split" not in table:
        table["split"] = ""
    negated = table.get("negated", pd.Series("false", index=table.index)).str.lower()
    wrong = table.index[~negated.isin(["true", "false"])]
    if len(wrong):
        raise DataError(f"{path}, line {wrong[0] + 2}: negated is '{negated[wrong[0]]}'. Write true or false.")
    table["negated"] = negated == "true"
    return table[["image", "subject", "label", "condition", "negated", "split"]].reset_index(drop=True)


def read(image: str, options: Options, seed: int, root: str | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (values, affine, sha256) of one map."""
    return read_map(image)


def kind(options: Options) -> str:
    """Return what these data are called wherever they show."""
    return "sample sheet"
