"""A sample sheet: any TSV of NIfTI maps on one grid, with their subjects and labels.

The format is one of this project.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from truemap.config.options import SourceOptions, suggest
from truemap.data.nifti import files_of, read_map
from truemap.data.tables import read_tsv, require_cells, require_columns
from truemap.runtime.files import DataError

REQUIRED = ("image", "subject", "label")
OPTIONAL = ("condition", "split", "negated")


class Options(SourceOptions):
    """A tab-separated sheet with a header."""

    sheet: str = Field(
        description="TSV with columns image (NIfTI, relative to the sheet), subject, label, and if wanted condition "
        "(default: numbered), split (train, validation or test; default: by subject) and negated (true where a map "
        "is another one times -1)"
    )

    def kind(self) -> str:
        """What these data are called."""
        return "sample sheet"


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return the sheet's rows, one a map.

    Raises
    ------
    DataError
        If the sheet cannot be read (`truemap.data.tables.read_tsv`), a column is missing or unknown, or a cell empty.
    """
    path = Path(options.sheet)
    table = read_tsv(path, "sheet", "Check `sheet` in the config.", paths=["image"])
    if table.empty:
        raise DataError(f"{path}: no lines below the header. List one map a line.")
    require_columns(path, table, REQUIRED)
    for column in table:
        if column not in REQUIRED + OPTIONAL:
            raise DataError(
                f"{path}: unknown column '{column}'{suggest(column, REQUIRED + OPTIONAL)} Rename or drop it."
            )
    require_cells(path, table, REQUIRED)
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


def read(image: str, options: Options, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (values, affine, sha256) of one map."""
    return read_map(image)


def files(image: str, options: Options) -> list[str]:
    """Return the files that a map is read from."""
    return [str(path) for path in files_of(image)]
