"""Tables of results as they are written: Parquet for programs, TSV for people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from truemap.runtime.files import whole


def of_data(table: pd.DataFrame, dataset: str, data: str) -> pd.DataFrame:
    """Return a table with, in front, the dataset's name and what its data are called wherever they show."""
    entry = pd.DataFrame({"dataset": dataset, "data": data}, index=table.index)
    return pd.concat([entry, table], axis=1)


def write_table(table: pd.DataFrame, *paths: str | Path) -> None:
    """Write a table to each path, whole: Parquet or, with numbers of six digits, TSV, by the path's ending."""
    for path in paths:
        with whole(path) as temporary:
            if temporary.suffix == ".parquet":
                table.to_parquet(temporary, index=False)
            else:
                table.to_csv(temporary, sep="\t", index=False, float_format="%.6g", lineterminator="\n")


def read_table(path: str | Path) -> pd.DataFrame:
    """Return a table that `write_table` wrote as TSV: null is what is empty, not what is called NA or None."""
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""])
