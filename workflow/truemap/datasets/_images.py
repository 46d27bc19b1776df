"""Reading a dataset's images by the names that samples have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from truemap.datasets._contract import Source
from truemap.runtime.files import DataError, SourceError, reworded
from truemap.runtime.privacy import Scrubber


class Images:
    """A dataset's images by the names that samples have; errors have those names too.

    Parameters
    ----------
    table : DataFrame
        Of `read`.
    source : Source
    seed : int
    scrub : Scrubber
        Replaces paths and subjects in messages, once it has learned `public_names`.
    salt : str
        Goes into checksums where there are pseudonyms: the file's own says to all who have the file whose it is.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        source: Source,
        seed: int,
        scrub: Scrubber,
        salt: str = "",
    ) -> None:
        self._paths: Mapping[str, str] = dict(zip(table["image"], table["path"], strict=True))
        self._listed: Mapping[str, str] = dict(zip(table["image"], table["checksum"], strict=True))
        self._source, self._seed, self._scrub, self._salt = source, seed, scrub, salt

    def prepare(self, images: Sequence[str]) -> Sequence[str]:
        """Have the source fetch what it needs for these images, where it has to; return them.

        Raises
        ------
        DataError
            If that fails: a server that does not answer is no fault of a subject's, to be skipped.
        """
        try:
            self._source.prepare([self._paths[image] for image in images], self._source.options, self._seed)
        except DataError as error:
            raise reworded(error, self._scrub(str(error))) from None
        return images

    def __call__(self, image: str) -> tuple[np.ndarray, np.ndarray, str]:
        """Return (values, affine, sha256) of one image; sha256 of the salt and the file's own, where there is a salt.

        Raises
        ------
        DataError
            If the source cannot read it; a `SourceError` if that is no fault of the image's.
        """
        try:
            values, affine, checksum = self._source.read(
                self._paths[image], options=self._source.options, seed=self._seed
            )
        except DataError as error:
            raise reworded(error, self._scrub(str(error))) from None
        if checksum != self._listed[image]:
            raise SourceError(
                f"{image}: was changed after the samples were listed. Run again, and they are listed anew."
            )
        if self._salt:
            checksum = hashlib.sha256((self._salt + checksum).encode()).hexdigest()
        return values, affine, checksum
