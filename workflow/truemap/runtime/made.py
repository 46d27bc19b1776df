"""The record of what results were made from. It lives with the results, in `results/.snakemake/`.

Snakemake's own notes (settings, code, checksums of inputs) are linked there from `.snakemake/`, so that they go where
the results go. They hang on time stamps. So each output has a file under `made/` besides, written by the job that made
it: the checksums of what it holds and of what it was made from. A start compares these with what is there, by content.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from truemap.runtime.files import checksum, signature, write_json

RESULTS = Path("results")
RECORD = RESULTS / ".snakemake"
#: Signatures of outputs that were compared with their checksums: those need no reading again.
VERIFIED = RECORD / "verified.json"
#: Folders of Snakemake's that are kept with the results: its notes on what is made, and on what is being made.
KEPT = ("metadata", "incomplete")
#: Folder under `made/` of outputs that are not in results/.
OUTSIDE = ".outside"
#: Time stamps that differ by less are of one moment; ns.
TICK = 10_000_000
#: Outputs that are made again because their inputs are others (see `value`), for jobs here and on other machines.
REMADE = "TRUEMAP_REMADE"

#: Of one output: the ``job`` that made it (a token), its ``sha256`` (once it is whole), the job's first output ``of``;
#: of that one also ``inputs`` (path -> sha256) and the ``value`` that stands for them in Snakemake's notes.
Entry = dict[str, Any]


def place(output: str | Path) -> Path:
    """Return where the entry of an output is."""
    output = Path(output)
    inside = output.relative_to(RESULTS) if output.is_relative_to(RESULTS) else Path(OUTSIDE, *output.parts)
    return RECORD / "made" / inside.with_name(f"{inside.name}.json")


def read_entry(output: str | Path) -> Entry | None:
    """Return the entry of an output, None where there is none that can be read."""
    try:
        entry = json.loads(place(output).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return entry if isinstance(entry, dict) and "job" in entry else None


def verified() -> dict[str, list]:
    """Return output -> signature and sha256 that were seen together; none of what cannot be read."""
    try:
        found = json.loads(VERIFIED.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def contents(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return the sha256 of inputs: as the job that made one found it, where it is as it was left, or of the file."""
    seen, found = verified(), {}
    for path in map(str, paths):
        known, now = (read_entry(path) or {}).get("sha256"), signature(path)
        as_left = known and now and (seen.get(path) == [*now, known] or _left(path, now))
        found[path] = str(known) if as_left else checksum(path)
    return found


def value(entry: Entry | None, remade: bool) -> str:
    """Return what stands for a job's inputs in Snakemake's notes: it changes when the job is to be made again.

    The token of the job whose outputs are replaced, for the first time or a former time that this happened; so it is
    another one each time, and stays the same in between.
    """
    if not entry:
        return ""
    return entry["job"] if remade and "sha256" in entry else entry.get("value", "")


def short(output: str | Path) -> str:
    """Return what an output is called in `REMADE`."""
    return hashlib.sha256(str(output).encode()).hexdigest()[:12]


def link(folder: Path = Path(".snakemake")) -> None:
    """Let Snakemake keep its notes with the results; notes that are elsewhere are moved there.

    Raises
    ------
    OSError
        If the folders cannot be written.
    """
    for name in KEPT:
        home, here = (RECORD / name).absolute(), folder / name
        home.mkdir(parents=True, exist_ok=True)
        if here.is_symlink():
            if here.readlink() == home:
                continue
            here.unlink()
        elif here.is_dir():
            for note in [path for path in here.rglob("*") if path.is_file()]:
                target = home / note.relative_to(here)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    shutil.move(note, target)
            shutil.rmtree(here)
        folder.mkdir(exist_ok=True)
        here.symlink_to(home)


def note(output: str, name: str) -> Path:
    """Return where Snakemake has its note of an output, under one of `KEPT` (as its FilePersistence names them)."""
    code = urlsafe_b64encode(output.encode()).decode()
    parts = [code[start : start + 254] for start in range(0, len(code), 254)]
    return RECORD.joinpath(name, *(f"@{part}" for part in parts[:-1]), parts[-1])


def _left(output: str, now: list[int] | None) -> bool:
    """Return whether nobody wrote an output since its job ended: Snakemake set its time stamp then, and noted it."""
    try:
        end = json.loads(note(output, "metadata").read_text(encoding="utf-8")).get("endtime") or 0
    except (OSError, ValueError):
        return False
    return now is not None and abs(now[1] - end * 1e9) < TICK and abs(now[2] - now[1]) < TICK


def _failed(output: str) -> bool:
    """Return whether a job was to make an output again and ended before it noted so, by itself or with Snakemake."""
    if note(output, "incomplete").is_file():
        return True
    try:
        started = json.loads(note(output, "metadata").read_text(encoding="utf-8")).get("starttime") or 0
        # Snakemake notes failed jobs as it does others.
        return started > place(output).stat().st_mtime
    except (OSError, ValueError):
        return False


class Record:
    """All entries, as a start finds them.

    Attributes
    ----------
    entries : dict
        Output -> entry.
    verified : dict
        As of `verified`: of outputs as they were last compared, and of other files that were read since.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        made = RECORD / "made"
        for folder, _, names in os.walk(made):
            for name in names:
                inside = Path(folder, name.removesuffix(".json")).relative_to(made)
                outside = inside.parts[0] == OUTSIDE
                output = str(Path(*inside.parts[1:]) if outside else RESULTS / inside)
                if name.endswith(".json") and (entry := read_entry(output)):
                    self.entries[output] = entry
        self.verified = verified()

    def settled(self, output: str) -> str | None:
        """Return the sha256 that an output has by its job; None where a job has not finished it, or there was none."""
        entry = self.entries.get(output)
        if entry is None or "sha256" not in entry:
            return None
        first = self.entries.get(entry["of"])
        return entry["sha256"] if first and first["job"] == entry["job"] and "sha256" in first else None

    def replaced(self) -> list[str]:
        """Return the outputs that are not what their job wrote. Files are read only where their signature changed.

        Outputs of the future, by a clock that was wrong, are set to now: Snakemake fails all jobs that read them.
        """
        found, before = [], dict(self.verified)
        for output in self.entries:
            wanted, now = self.settled(output), signature(output)
            if now and now[1] > time.time_ns():
                os.utime(output)
                now = signature(output)
            if wanted is None or now is None:
                self.verified.pop(output, None)
            elif self.verified.get(output) != [*now, wanted]:
                if checksum(output) == wanted:
                    self.verified[output] = [*now, wanted]
                else:
                    found.append(output)
        if self.verified != before:
            self.keep()
        return found

    def keep(self) -> None:
        """Write what was compared for the next start."""
        write_json(VERIFIED, self.verified)

    def settle(self) -> None:
        """Take the outputs of jobs that have just ended as they were left: they were read when they were written."""
        for output in self.entries:
            wanted, now = self.settled(output), signature(output)
            if wanted and now and self.verified.get(output, [None])[-1] != wanted and _left(output, now):
                self.verified[output] = [*now, wanted]
        self.keep()

    def others(self, output: str) -> list[str]:
        """Return the inputs of a job, by its first output, that are other ones than those it read."""
        entry = self.entries.get(output)
        if entry is None or self.settled(output) is None:
            return []
        # Another rule's first output, if it made these before, is another one.
        return [path for path, was in entry.get("inputs", {}).items() if self._now(path) not in (None, was)]

    def _now(self, path: str) -> str | None:
        """Return an input's sha256 as it is; None where it is to be made first, and the job after it.

        Of one that is not there, and whose job failed or has other inputs by now, it is empty: Snakemake makes what is
        missing only for a job that is to be made itself, and what was made from the former one would stay.
        """
        now = signature(path)
        if path in self.entries:
            settled = self.settled(path)
            if now is None and (settled is None or _failed(path) or self.others(self.entries[path]["of"])):
                return ""
            return settled
        if now is None:
            return None
        if self.verified.get(path, [])[:-1] != now:
            self.verified[path] = [*now, checksum(path)]
        return self.verified[path][-1]


def strangers(outputs: Iterable[str]) -> list[str]:
    """Return those outputs that are there and of which nobody noted what they were made from."""
    return [o for o in outputs if not any(note(o, name).is_file() for name in KEPT) and Path(o).is_file()]
