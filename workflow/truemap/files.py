"""Files that are whole or not there, and the error that bad input ends with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DataError(ValueError):
    """Input that cannot be used; the message names the file, the reason and the remedy."""


class IncompleteSubjects(DataError):
    """Some subjects lack files; without them the others can be used.

    Attributes
    ----------
    subjects : list of str
        By the source's own names.
    """

    def __init__(self, message: str, subjects: Iterable[str]) -> None:
        super().__init__(message)
        self.subjects = list(subjects)


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends without an error.

    The temporary name keeps the suffixes (writers choose formats by them) and is removed on failure.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".partial-{os.getpid()}-{final.name}")
    try:
        yield temporary
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON whole, keys in the order given, floats exactly (repr)."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
