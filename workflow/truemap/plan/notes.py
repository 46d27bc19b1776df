"""What was found out from source files before, for as long as none of them differs by a byte.

To read all modules by their syntax takes longer than the rest of a start that has nothing to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from truemap.runtime.files import signature, write_json
from truemap.runtime.sourcecode import hashed, key_of

#: Beside Snakemake's own notes, so that what clears those clears these.
PLACE = Path(".snakemake/truemap/code.json")


class Notes:
    """Answers to questions about source files.

    Parameters
    ----------
    folders : iterable of path
        All that can be imported from them is what the answers hang on; the version of Python too.
    place : path, optional
        JSON file that keeps the answers for the next process; without one none are kept.
    """

    def __init__(self, folders: Iterable[Path], place: Path | None = None) -> None:
        self._place, self._folders = place, [*folders]
        self._signatures: dict[str, list[int] | None] = {}
        self._noted: dict[str, Any] = {}
        #: Source file, as `hashed` calls it -> its hash, of all that the answers were found from.
        self._files: dict[str, str] = {}
        self._answers: dict[str, Any] = {}
        if place is None:
            return
        self._key, self._signatures = self._state()
        with suppress(OSError, ValueError, KeyError, TypeError):
            self._noted = json.loads(place.read_bytes())
            if self._noted["key"] == self._key:
                self._files, self._answers = {**self._noted["files"]}, {**self._noted["answers"]}

    def get(self, question: str, find: Callable[[], Any]) -> Any:
        """Return the answer to a question, a value of JSON's types: as it was noted, or else as `find` finds it."""
        if question not in self._answers:
            self._answers[question] = find()
        return self._answers[question]

    def hashed(self) -> dict[str, tuple[str, list[int] | None]]:
        """Return `truemap.runtime.sourcecode.hashed`, as if all that the answers were found from had been read now."""
        read = hashed()
        self._files |= {path: digest for path, (digest, _) in read.items()}
        return {path: read.get(path, (digest, self._signatures.get(path))) for path, digest in self._files.items()}

    def keep(self) -> None:
        """Write what is new, so far. Where nothing can be written it is found again the next time.

        Where files were written since they were looked at, nobody can tell which of them the answers are of.
        """
        if self._place is None:
            return
        now = {"key": self._key, "files": self._files, "answers": self._answers}
        if now != self._noted and self._state() == (self._key, self._signatures):
            with suppress(OSError):
                write_json(self._place, now)

    def _state(self) -> tuple[str, dict[str, list[int] | None]]:
        """Return what the answers hang on, and the signature of each source file, by its name in `hashed`."""
        state = hashlib.sha256(repr(sys.version_info).encode())
        signatures: dict[str, list[int] | None] = {}
        for folder in self._folders:
            for place, name in _importable(folder):
                path = Path(place, name)
                if path.suffix == ".py" and path.is_file():
                    # Taken before it is read: what is written in between is noticed later.
                    signatures[key_of(path)] = signature(path)
                    name += hashlib.sha256(path.read_bytes()).hexdigest()
                state.update(f"\0{place}\0{name}".encode())
        return state.hexdigest(), signatures


def _importable(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and name of all source files in a folder, and of the folders that a name can lead into.

    Links are followed, as an import does, each to a folder once.
    """
    seen = set()
    for place, inner, files in os.walk(folder, followlinks=True):
        inner[:] = sorted(name for name in inner if name.isidentifier() and name != "__pycache__")
        if (real := os.path.realpath(place)) in seen:
            inner.clear()
        seen.add(real)
        yield from ((place, name) for name in [*inner, *sorted(name for name in files if name.endswith(".py"))])
