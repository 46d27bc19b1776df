"""Tables that people write: TSV files, read as text and checked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.files import DataError
from truemap.options import suggest


def read_tsv(path: str | Path, kind: str, remedy: str, private: bool = False) -> pd.DataFrame:
    """Return a file's rows as text, blank lines left out; the line of a row is its index + 2.

    Parameters
    ----------
    path : path
    kind : str
        What errors call it.
    remedy : str
        How the error of a file that cannot be read ends.
    private : bool
        Whether that error must not say more of the content than its kind.

    Raises
    ------
    DataError
        If the file cannot be read, or a line has more cells than the header.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8", skip_blank_lines=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = type(error).__name__ if private else error
        raise DataError(f"{path}: cannot be read as a TSV {kind} ({reason}). {remedy}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: lines have more cells than the header. Name every column.")
    return table[(table != "").any(axis=1)]


def require_columns(path: str | Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise DataError where a column is missing; the message names the nearest one there is."""
    for column in columns:
        if column not in table:
            raise DataError(f"{path}: has no column '{column}'{suggest(column, table.columns)} Add it to the header.")


def require_cells(path: str | Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise DataError where a cell of these columns is empty; the message names the line."""
    for column in columns:
        empty = np.flatnonzero(table[column].str.strip() == "")
        if len(empty):
            raise DataError(f"{path}, line {table.index[empty[0]] + 2}: empty '{column}'. Fill it in or drop the line.")
