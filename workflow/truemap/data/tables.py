"""Tables that people write: TSV files, read exactly or refused by the line that cannot be."""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.config.options import composed, suggest
from truemap.runtime.files import DataError

#: What other programs put between cells, by what errors call it.
SEPARATORS = {",": "commas", ";": "semicolons", "|": "bars", " ": "blanks"}
#: Unicode's categories of what does not show in a text, or stands for no character.
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
#: More of the kind in other categories: fillers and joiners, the selectors of variants, and U+FFFD, which stands where
#: a program lost a letter.
LOST = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\ufffd]")


def read_tsv(
    path: str | Path, kind: str, remedy: str, private: bool = False, paths: Collection[str] = ()
) -> pd.DataFrame:
    """Return a file's rows as text, blank lines left out; the line of a row is its index + 2.

    Cells are stripped of white space (of all that Unicode knows), composed (NFC), and runs of white space in them are
    one blank: what looks the same is the same.

    Parameters
    ----------
    path : path
        UTF-8, or UTF-16 with its mark (what Excel calls "Unicode text").
    kind : str
        What errors call it.
    remedy : str
        How the error of a file that cannot be read ends.
    private : bool
        Whether no error may show any of the content.
    paths : collection of str
        Columns whose cells are only stripped: the name of a file is what its disk says, composed or not.

    Raises
    ------
    DataError
        If the file cannot be read, its first line is no header, or a line has more or fewer cells than that, quotes
        that do not pair, a character that does not show, or begins with '#'. The message names the line.
    """
    (_, header), *lines = _lines(path, _decoded(path, kind, remedy, private))
    header = [composed(name) for name in header]
    while header and not header[-1]:
        header.pop()
    _check_header(path, header)
    rows = {}
    for line, cells in lines:
        if not any(cells):
            continue
        if cells[0].startswith("#"):
            raise DataError(f"{path}, line {line}: begins with '#', and comments are not read. Delete the line.")
        if len(cells) < len(header) or any(cells[len(header) :]):
            size = "fewer" if len(cells) < len(header) else "more"
            raise DataError(
                f"{path}, line {line}: has {size} cells than the header ({len(cells)}, not {len(header)}). Write one "
                "cell a column, a tab between them, and name every column."
            )
        rows[line - 2] = [cell if name in paths else composed(cell) for name, cell in zip(header, cells, strict=False)]
    return pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), dtype=int), columns=header, dtype=str)


def alike(words: Iterable[str]) -> list[list[str]]:
    """Return groups of different words that only differ by case, width, kind of dash or blank, or leading zeros."""
    groups: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        groups.setdefault(plain(word), []).append(word)
    return [group for group in groups.values() if len(group) > 1]


def plain(word: str) -> str:
    """Return what two words have in common that people may take for one."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    dashed = "".join("-" if c in "_ \u2212" or unicodedata.category(c) == "Pd" else c for c in folded)
    return re.sub(r"(?<![\d.,])0+(?=\d)", "", dashed)


def require_columns(path: str | Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise DataError where a column is missing; the message names the nearest one there is."""
    for column in columns:
        if column not in table:
            raise DataError(f"{path}: has no column '{column}'{suggest(column, table.columns)} Add it to the header.")


def require_cells(path: str | Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise DataError where a cell of these columns is empty; the message names the line."""
    for column in columns:
        empty = np.flatnonzero(table[column] == "")
        if len(empty):
            raise DataError(f"{path}, line {table.index[empty[0]] + 2}: empty '{column}'. Fill it in or drop the line.")


def _decoded(path: str | Path, kind: str, remedy: str, private: bool) -> str:
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        reason = type(error).__name__ if private else error
        raise DataError(f"{path}: cannot be read as a TSV {kind} ({reason}). {remedy}") from None
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(re.split(rb"\r\n|\n|\r", raw[: error.start]))
        raise DataError(
            f"{path}, line {line}: cannot be read as a TSV {kind}, as it is no UTF-8 text. Save it as UTF-8 text with "
            "tabs (in Excel: Unicode text)."
        ) from None
    if not text.strip():
        raise DataError(f"{path}: cannot be read as a TSV {kind}, as it is empty. {remedy}")
    return text


def _lines(path: str | Path, text: str) -> list[tuple[int, list[str]]]:
    """Return number and stripped cells of each line; a quoted cell ends in the line where it begins."""
    lines = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter="\t", strict=True), [])]
        except csv.Error:
            cells = ['"']
        if any(cell.startswith('"') for cell in cells):
            raise DataError(
                f"{path}, line {number}: quotes that do not pair in this line. Write cells without quotes, tabs and "
                "line breaks in them."
            )
        for place, cell in enumerate(cells, 1):
            for character in cell:
                if unicodedata.category(character) in HIDDEN or LOST.match(character):
                    name = unicodedata.name(character, "a control character")
                    raise DataError(
                        f"{path}, line {number}, cell {place}: holds U+{ord(character):04X} ({name}), which does not "
                        "show or stands for a lost letter. Write the cell anew."
                    )
        lines.append((number, cells))
    return lines


def _check_header(path: str | Path, header: list[str]) -> None:
    """Refuse a first line that is no header. The message shows none of it, as it may be a line of private cells."""
    if not header or header[0].startswith("#"):
        raise DataError(f"{path}, line 1: blank, or begins with '#'. The first line must be the header, without '#'.")
    if len(header) == 1:
        for separator, name in SEPARATORS.items():
            if separator in header[0]:
                raise DataError(
                    f"{path}, line 1: has no tab; cells seem to be separated by {name}. Separate them by tabs (save as "
                    "tab-separated text)."
                )
    for number, name in enumerate(header, 1):
        if not name:
            raise DataError(f"{path}, line 1: column {number} has no name. Name every column.")
        if name in header[: number - 1]:
            raise DataError(
                f"{path}, line 1: columns {header.index(name) + 1} and {number} have one name. Drop or rename one."
            )
