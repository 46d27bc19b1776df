"""Files that are whole or not there, and the error that bad input ends with."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DataError(ValueError):
    """Input that cannot be used; the message names the file, the reason and the remedy."""


def spelling(path: str | Path) -> str:
    """Return what about a path that is not there no system reads as it is meant, as the end of a message."""
    parts = str(path).split("/")
    if "~" in parts:
        return " '~' is not read as your home folder: write it out."
    if any(re.fullmatch("[a-z0-9]{2,}:", part) for part in parts):
        return " What is on a server is not fetched: download it, and name the file."
    if "$" in str(path):
        return " Variables of the shell are not read: write out what '$' stands for."
    return " Write / between folders, not \\." if "\\" in str(path) else ""


class SourceError(DataError):
    """What data come from does not answer as it should: no fault of a subject's, so none is skipped for it."""


def reworded(error: DataError, message: str) -> DataError:
    """Return an error with another message that says as much of whose fault it is."""
    return SourceError(message) if isinstance(error, SourceError) else DataError(message)


class IncompleteSubjects(DataError):
    """Some subjects lack files; without them the others can be used.

    Attributes
    ----------
    lacking : dict of str to (str, str)
        Subject, by the source's own name -> one of its files that is not there, and the reason to leave it out.
    """

    def __init__(self, message: str, lacking: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(message)
        self.lacking = dict(lacking)


#: Asked before a file gets its final name; raises where this process is to write no more (`truemap.runtime.work`).
guards: list[Callable[[], None]] = []


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends without an error.

    The temporary name keeps the suffixes (writers choose formats by them) and is removed on failure; what a process
    left that was killed on this machine is removed by the next one that writes the same file.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    start, end = f".partial-{platform.node()}-", f"-{final.name}"
    for left in final.parent.glob(f"{glob.escape(start)}*{glob.escape(end)}"):
        number = left.name.removeprefix(start).removesuffix(end)
        if number.isdecimal() and not _lives(int(number)):
            left.unlink(missing_ok=True)
    temporary = final.with_name(f"{start}{os.getpid()}{end}")
    try:
        yield temporary
        for allowed in guards:
            allowed()
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signature(path: str | Path) -> list[int] | None:
    """Return what changes when a file is written or exchanged: size, mtime, ctime (ns), inode; None if it is not there.

    A time stamp can be set back by anybody, the time of the inode's last change by nobody.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  (a Path for each of 24,125 maps takes longer)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def checksum(path: str | Path) -> str:
    """Return the sha256 of a file's bytes, as hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def joined(checksums: list[str]) -> str:
    """Return one checksum for what is read from several files; that of a single file is its own."""
    return checksums[0] if len(checksums) == 1 else hashlib.sha256("".join(checksums).encode()).hexdigest()


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
