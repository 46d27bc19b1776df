"""Subjects' folders on disk or in a bucket, asked in the same words."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from truemap.datasets.s3 import WORKERS, MissingError, each, fetch, listing, size, tags_below
from truemap.files import DataError
from truemap.job import progress


class Disk:
    """A tree of files."""

    def subjects(self, root: str) -> list[str]:
        """Return the names of the folders in `root` that hold MNINonLinear/."""
        if not Path(root).is_dir():
            raise DataError(f"{root}: no such folder. Set `root` to the folder that holds the subjects' folders.")
        return sorted(entry.name for entry in os.scandir(root) if Path(entry.path, "MNINonLinear").is_dir())

    def look(self, places: Iterable[str]) -> None:
        """Do nothing: to ask for one file is cheap."""

    def has(self, path: str) -> bool:
        """Return whether there is such a file."""
        return os.path.isfile(path)  # noqa: PTH113  (a Path for each of 24,125 maps takes longer)

    exists = has

    def text(self, path: str) -> str | None:
        """Return a text file's content, None where there is none."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None


class Bucket:
    """A tree in a bucket: objects are known by listing their folders."""

    def __init__(self, endpoint_url: str | None) -> None:
        self.endpoint_url = endpoint_url
        #: Objects that a listing showed -> their ETags.
        self.tags: dict[str, str] = {}

    def subjects(self, root: str) -> list[str]:
        """Return the names of the folders in `root` that hold MNINonLinear/."""
        names = self._folders(root)
        inside = each(lambda name: self._folders(f"{root}/{name}"), names, WORKERS)
        return sorted(name for name, held in zip(names, inside, strict=True) if "MNINonLinear" in held)

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
