"""What a module of this family must define: ``Options`` (`SourceOptions`), ``index`` and ``read``; the rest it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from truemap.config.registry import Method


class Index(Protocol):
    """Lists what there is."""

    def __call__(self, options: Any, seed: int, root: str | None = None) -> pd.DataFrame:
        """Return one row a map: ``image, subject, label, condition, negated, split``.

        `image` is the source's own name for it (a path), `subject` empty where there are no subjects, `split` empty
        where maps are to be split by subject. ``attrs`` may hold ``beside`` (paths of what else this hangs on) and
        ``etags`` (URL -> checksum of what is on a server).

        Parameters
        ----------
        root : str, optional
            Folder of simulated subjects, in place of the one that the options name.

        Raises
        ------
        DataError
            If something cannot be used; an `IncompleteSubjects` if that is maps of some subjects.
        """
        ...


class Read(Protocol):
    """Reads one map."""

    def __call__(self, image: str, options: Any, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Return (values, affine, sha256); no checksum ("") where the map is of no file.

        Raises
        ------
        DataError
            If the image cannot be read; a `SourceError` if that is no fault of the image's.
        """
        ...


class Prepare(Protocol):
    """Fetches what reading needs."""

    def __call__(self, images: Sequence[str], options: Any, seed: int) -> None:
        """Have these images at hand."""
        ...


class Files(Protocol):
    """Says where a map is."""

    def __call__(self, image: str, options: Any) -> Sequence[str]:
        """Return the files that a map is read from; none where it is made, and the same ones for parts of one file."""
        ...


class Verify(Protocol):
    """Compares maps with what they should be."""

    def __call__(self, checksums: Mapping[str, str], options: Any, root: str | None) -> None:
        """Raise DataError where files (image -> sha256) are not those that were simulated."""
        ...


class SubjectsOf(Protocol):
    """Names people."""

    def __call__(self, options: Any, root: str | None = None) -> Sequence[str]:
        """Return the subjects that are there, even where they cannot be used: no message may name them."""
        ...


class Templates(Protocol):
    """Knows the truth."""

    def __call__(self, options: Any) -> Mapping[str, np.ndarray]:
        """Return each class's template, of a map's shape."""
        ...


def at_hand(images: Sequence[str], options: Any, seed: int) -> None:
    """Do nothing: `Prepare` of a source whose images are there."""


def no_files(image: str, options: Any) -> Sequence[str]:
    """Return nothing: `Files` of a source that makes its maps."""
    return ()


def as_they_are(checksums: Mapping[str, str], options: Any, root: str | None) -> None:
    """Do nothing: `Verify` of a source that simulates none."""


def nobody(options: Any, root: str | None = None) -> Sequence[str]:
    """Return nothing: `SubjectsOf` of a source without people."""
    return ()


@dataclass(frozen=True)
class Source(Method):
    """Where maps come from.

    Attributes
    ----------
    templates : callable or None
        None where the truth is to be computed from the maps.
    """

    index: Index
    read: Read
    prepare: Prepare = at_hand
    files: Files = no_files
    verify: Verify = as_they_are
    subjects_of: SubjectsOf = nobody
    templates: Templates | None = None

    @property
    def mean(self) -> str:
        """What a class's mean is called in figures."""
        return "template" if self.templates else "mean map"
