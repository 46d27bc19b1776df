"""Pseudonyms: results and logs say `sub-` and a hash where a person's ID would stand; `private/` says who that is."""

from __future__ import annotations

import csv
import hashlib
import logging
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from truemap.runtime.files import DataError, whole
from truemap.runtime.log import log

#: The secret that pseudonyms hang on. Another one gives the same people other names, and so other results to the last
#: digits, as samples are sorted by name.
SALT = Path("private/salt")
#: Hex digits of a pseudonym.
DIGITS = 8
#: How HCP numbers people: what is taken for an ID where it is not known yet who there is.
HCP_ID = r"(?<![\d.])\d{6}(?!\d)"


def read_salt(path: str | Path = SALT) -> str:
    """Return the salt; draw one where there is none. A file that is there is never written.

    Raises
    ------
    DataError
        If the file is empty.
    """
    path = Path(path)
    shut(path)
    if not path.exists():
        _draw(path, secrets.token_hex(32) + "\n")
    for _ in range(20):
        if salt := path.read_text(encoding="utf-8").strip():
            return salt
        # Where there are no links the file is there before its content is.
        time.sleep(0.02)
    raise DataError(f"{path}: empty. Put back the old salt, or delete the file to give everybody a new name.")


def _draw(path: Path, salt: str) -> None:
    """Write a new salt; of two jobs at a time the first one's stays, and both read that."""
    temporary = path.with_name(f".partial-{secrets.token_hex(8)}-{path.name}")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.write_text(salt, encoding="utf-8")
        try:
            # A link, unlike a rename, replaces nothing.
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        except OSError:
            # exFAT, SMB and many a FUSE have no hard links.
            with suppress(FileExistsError):
                path.touch(mode=0o600, exist_ok=False)
                path.write_text(salt, encoding="utf-8")
    finally:
        temporary.unlink(missing_ok=True)


def shut(path: str | Path) -> None:
    """Make the folders of a private file, up to the one called `private`, their owner's alone.

    Snakemake makes them first, as open as the user's umask has it. It is said where others could read what is in them
    already, and where permissions cannot be set.
    """
    folders = Path(path).parents
    names = [folder.name for folder in folders]
    for folder in folders[: names.index(SALT.parent.name) + 1] if SALT.parent.name in names else folders[:1]:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not folder.stat().st_mode & 0o077:
            continue
        held = any(file.is_file() for file in folder.rglob("*"))
        with suppress(OSError):
            folder.chmod(0o700)
        if folder.stat().st_mode & 0o077:
            log.warning("%s: others may read this folder, and its permissions cannot be changed here. Move it.", folder)
        elif held:
            log.warning("%s: others could read this folder and what is in it; from now on its owner alone can.", folder)


def pseudonym(salt: str, subject: str, digits: int = DIGITS) -> str:
    """Return ``sub-`` and the first hex digits of sha256(salt + subject)."""
    return f"sub-{hashlib.sha256((salt + subject).encode()).hexdigest()[:digits]}"


def pseudonyms(salt: str, subjects: Iterable[str], digits: int = DIGITS) -> dict[str, str]:
    """Return subject -> pseudonym, all of one length: as many digits more as it takes that no two are equal."""
    subjects = sorted(set(subjects))
    names = {subject: pseudonym(salt, subject, digits) for subject in subjects}
    return names if len(set(names.values())) == len(subjects) else pseudonyms(salt, subjects, digits + 1)


def without_ids(text: str) -> str:
    """Return a text without numbers that may be IDs of HCP's people, for what is said before there are pseudonyms."""
    return re.sub(HCP_ID, "(ID)", text)


class Scrubber:
    """Replaces what names a person in a text; it knows nothing at first, so that texts stay as they are."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._replaced: dict[str, str] = {}
        self._salt: str | None = None
        self._where: str | Path = ""

    def guess(self, salt: str, where: str | Path) -> None:
        """Take every number of six digits for a subject of HCP, from now on.

        `note` then writes a table at `where`, with the columns pseudonym and subject.
        """
        self._salt, self._where = salt, where

    def learn(self, names: Mapping[str, str], where: str | Path = "") -> None:
        """Replace each key (a subject, a path) by its value from now on; `where` says who that is."""
        self._names.update({name: public for name, public in names.items() if name and name != public})
        self._where = where or self._where

    def __call__(self, text: str) -> str:
        """Return the text with public names."""
        secret = sorted((name for name in self._names if name in text), key=len, reverse=True)
        # Public names first, to stay as they are: their digits may look like an ID.
        public = sorted({name for name in self._names.values() if name in text}, key=len, reverse=True)
        parts = [*map(re.escape, public), *map(_alone, secret), *([HCP_ID] if self._salt else [])]
        return re.sub("|".join(parts), self._public, text) if parts else text

    def note(self) -> str:
        """Return where to look up whom the names in the texts so far stand for; empty where none was replaced."""
        if not self._replaced:
            return ""
        if self._salt:
            with whole(self._where) as temporary:
                write_private(temporary, ("pseudonym", "subject"), sorted(self._replaced.items()))
        return f"Names of subjects and files are pseudonyms here; {self._where} says what they stand for."

    def _public(self, match: re.Match[str]) -> str:
        word = match[0]
        if self._salt and word not in self._names and re.fullmatch(HCP_ID, word):
            self._names[word] = pseudonym(self._salt, word)
        public = self._names.get(word, word)
        if public != word:
            self._replaced[public] = word
        return public


def _alone(name: str) -> str:
    """Return an expression for the name where it is no part of a longer word (of a longer number, if it is one)."""
    if name.isdecimal():
        return rf"(?<!\d){name}(?!\d)"
    return rf"(?<![0-9A-Za-z]){re.escape(name)}(?![0-9A-Za-z])"


def write_private(path: str | Path, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a TSV table that its owner alone can read, in a folder that is its owner's alone."""
    shut(path)
    Path(path).touch(mode=0o600)
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([columns, *rows])


class ScrubbingFormatter(logging.Formatter):
    """Writes log lines and tracebacks with public names."""

    def __init__(self, text: str, scrub: Scrubber) -> None:
        super().__init__(text)
        self.scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback where there is one."""
        return self.scrub(super().format(record))
