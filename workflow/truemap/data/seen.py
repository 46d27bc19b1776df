"""What the samples of a dataset were listed from, and maps from elsewhere: every file and folder read, by content.

Such files are no inputs that Snakemake could know: a list of them is made first, from them. The lists are
``private/{dataset}/seen.tsv`` and ``private/{dataset}/seen/{model}/{method}.tsv``, and each start compares them with
what is there.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from truemap.runtime.files import checksum, signature, whole
from truemap.runtime.privacy import write_private

#: What the list is called, in a dataset's private folder.
NAME = "seen.tsv"
COLUMNS = ("path", "signature", "checksum")
#: Files hashed at a time: more than one keeps a network's disk busy.
WORKERS = 4
#: Path (a folder's ends with "/") -> its signature, None where it is not there, and its checksum (a folder's is of the
#: names of the folders in it).
Seen = dict[str, tuple[list[int] | None, str]]


def list_of(dataset: str, *maps: str) -> Path:
    """Return where a dataset's list is; with model and method, that of these maps from elsewhere."""
    return Path("private", dataset, "seen", *maps).with_suffix(".tsv")


def look(paths: Iterable[str], known: Seen | None = None, remote: Mapping[str, str] | None = None) -> Seen:
    """Return the signature and checksum of files and folders; what has its known signature is not read.

    Signatures are taken first: a file that is written meanwhile is read again the next time.

    Parameters
    ----------
    paths : iterable of str
    known : dict, optional
        Of a former look.
    remote : mapping, optional
        Checksums of what is on a server.
    """
    known, remote = known or {}, remote or {}
    found: dict[str, tuple[list[int] | None, Any]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for path in dict.fromkeys(paths):
            if "://" in path:
                found[path] = None, remote.get(path, "")
                continue
            now = signature(path)
            if path in known and known[path][0] == now:
                found[path] = now, known[path][1]
            else:
                found[path] = now, pool.submit(_checksum, path) if now else ""
        return {path: (now, sum_ if isinstance(sum_, str) else sum_.result()) for path, (now, sum_) in found.items()}


def changed(before: Seen, now: Seen) -> list[str]:
    """Return what holds something else than before."""
    return [path for path, (_, was) in before.items() if now[path][1] != was]


def write(path: str | Path, seen: Seen) -> None:
    """Write the list; its owner alone can read it."""
    rows = [(name, " ".join(map(str, found or [])), was) for name, (found, was) in seen.items()]
    with whole(path) as temporary:
        write_private(temporary, COLUMNS, rows)


def read(path: str | Path) -> Seen | None:
    """Return a list that `write` wrote, None where there is none that can be read."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t"))[1:]
        return {name: (list(map(int, found.split())) or None, was) for name, found, was in rows}
    except (FileNotFoundError, ValueError):
        return None


def _checksum(path: str) -> str:
    if not path.endswith("/"):
        # Who reads a folder by the name of a file says so; here it is no file.
        return "" if Path(path).is_dir() else checksum(path)
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
