"""Subjects' folders on disk or in a bucket, asked in the same words."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from truemap.config.options import nearest
from truemap.datasets._s3 import WORKERS, MissingError, each, fetch, listing, size, tags_below
from truemap.runtime.files import DataError
from truemap.runtime.log import progress

#: How HCP numbers people (S1200; lifespan studies), and what simulated subjects are called.
ID = re.compile(r"\d{6}|HC[A-Z]\d{7}_V\d+_MR|sim-\d{4,}")
#: The folder that holds a subject's maps.
MAPS = "MNINonLinear"


def check_excluded(where: str, known: Collection[str], exclude: Iterable[str]) -> None:
    """Refuse a name to be excluded that nobody has: mistyped, it would keep the person in.

    Raises
    ------
    DataError
        With the nearest name; the others are not listed, as they may be people's IDs.
    """
    for number, name in enumerate(exclude, 1):
        if name not in known:
            raise DataError(
                f"exclude: {where} has no subject '{name}' (number {number} of the list){nearest(name, known)} Mend "
                "the name, or take it out where the subject is gone."
            )


def kept(base: str, folders: Mapping[str, str], exclude: Collection[str]) -> list[str]:
    """Return the names of the subjects' folders that are not excluded, none of them another one's copy.

    Parameters
    ----------
    base : str
        For messages.
    folders : mapping
        Name of each folder -> where it is, links followed.
    exclude : collection of str

    Raises
    ------
    DataError
        If a name in `exclude` is no folder's; or if a folder that is kept has no ID for a name where others have, is
        another one by a link, or is named like a copy of another one.
    """
    check_excluded(base, folders, exclude)
    numbered = any(map(ID.fullmatch, folders))
    owner = {where: name for name, where in folders.items() if where == f"{os.path.realpath(base)}/{name}"}
    for name in filter(ID.fullmatch, exclude):
        owner.setdefault(folders[name], name)
    names = [name for name in folders if name not in set(exclude)]
    for name in names:
        of = owner.setdefault(folders[name], name)
        fault = f"a link to {of}, another subject's folder" if of != name else ""
        if numbered and not ID.fullmatch(name):
            fault = fault or "a folder with maps whose name is no subject's ID, a copy perhaps"
        elif not numbered:
            like = next((other for other in folders if other in name and _word(other, name)), None)
            fault = fault or (f"named like a copy of {like}" if like else "")
        if fault:
            raise DataError(
                f"{base}/{name}: {fault}; it would count as one more person. Move it, or list it under `exclude`."
            )
    return names


def _word(name: str, text: str) -> bool:
    """Return whether a name is part of a longer text, but not of a word or number in it."""
    return name != text and re.search(rf"(?<![0-9A-Za-z]){re.escape(name)}(?![0-9A-Za-z])", text) is not None


def _people(names: Iterable[str], holding: Collection[str]) -> list[str]:
    """Return those of the folders that are subjects': those holding maps, and empty ones with a subject's name."""
    shapes = {re.sub(r"\d+", "0", name) for name in holding}
    # Where nobody has an ID, a folder is a subject's that is called like one with maps, but for its number.
    like = ID.fullmatch if any(map(ID.fullmatch, holding)) else lambda name: re.sub(r"\d+", "0", name) in shapes
    return sorted({*holding, *filter(lambda name: ID.fullmatch(name) or like(name), names)})


class Disk:
    """A tree of files."""

    def subjects(self, root: str) -> dict[str, str]:
        """Return the subjects' folders in `root`, as `kept` wants them."""
        if not Path(root).is_dir():
            raise DataError(f"{root}: no such folder. Set `root` to the folder that holds the subjects' folders.")
        names = [entry.name for entry in os.scandir(root) if entry.is_dir() or entry.is_symlink()]
        holding = [name for name in names if Path(root, name, MAPS).is_dir()]
        return {name: os.path.realpath(Path(root, name)) for name in _people(names, holding)}

    def look(self, places: Iterable[str]) -> None:
        """Do nothing: to ask for one file is cheap."""

    def has(self, path: str) -> bool:
        """Return whether there is such a file."""
        return os.path.isfile(path)  # noqa: PTH113  (a Path for each of 24,125 maps takes longer)

    exists = has

    def text(self, path: str) -> str | None:
        """Return a text file's content, None where there is none."""
        try:
            return Path(path).read_text(encoding="utf-8-sig", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None


class Bucket:
    """A tree in a bucket: objects are known by listing their folders."""

    def __init__(self, endpoint_url: str | None) -> None:
        self.endpoint_url = endpoint_url
        #: Objects that a listing showed -> their ETags.
        self.tags: dict[str, str] = {}

    def subjects(self, root: str) -> dict[str, str]:
        """Return the subjects' folders in `root`, as `kept` wants them."""
        names = self._folders(root)
        inside = each(lambda name: self._folders(f"{root}/{name}"), names, WORKERS)
        holding = [name for name, held in zip(names, inside, strict=True) if MAPS in held]
        return {name: f"{root}/{name}" for name in _people(names, holding)}

    def look(self, places: Iterable[str]) -> None:
        """List all objects below each of `places`, for `has`."""
        wanted = list(dict.fromkeys(places))
        found = each(lambda place: tags_below(place, self.endpoint_url), wanted, WORKERS)
        for _, tags in zip(progress(wanted, "folder"), found, strict=True):
            self.tags.update(tags)

    def has(self, path: str) -> bool:
        """Return whether a listing showed this object."""
        return path in self.tags

    def exists(self, path: str) -> bool:
        """Return whether the bucket has this object, listed or not."""
        return size(path, self.endpoint_url) is not None

    def text(self, path: str) -> str | None:
        """Return a text object's content, None where there is none."""
        try:
            return fetch(path, self.endpoint_url).decode("utf-8", "replace")
        except MissingError:
            return None

    def _folders(self, url: str) -> list[str]:
        pages = listing(url, self.endpoint_url, "/")
        return [entry["Prefix"].split("/")[-2] for page in pages for entry in page.get("CommonPrefixes", [])]
