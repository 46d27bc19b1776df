"""What samples call their images, and where those are: `private/{dataset}/images.tsv`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from truemap.data.designs import check_copies
from truemap.data.rows import has_subject, owners
from truemap.data.seen import Seen, look
from truemap.runtime.files import DataError, SourceError, joined, reworded, whole
from truemap.runtime.privacy import Scrubber, write_private

if TYPE_CHECKING:
    from truemap.datasets._contract import Source

#: An image's name in tables and messages, the source's own name for it (a path), and whom it is of.
COLUMNS = ("image", "path", "subject", "checksum")


def named(samples: pd.DataFrame) -> pd.Series:
    """Return what each row gets a pseudonym for: its subject, or its image where there are no subjects."""
    return owners(samples, samples["image"])


def called(samples: pd.DataFrame, names: Mapping[str, str]) -> pd.Series:
    """Return what each row's image is called: ``{pseudonym}/{label}/{condition}``."""
    return named(samples).map(names) + "/" + samples["label"] + "/" + samples["condition"]


def pseudonymise(samples: pd.DataFrame, names: Mapping[str, str] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the samples as they are published, and their table of images.

    Rows get the subject ``{pseudonym}``, and images the names that `called` gives them. Without names the samples stay
    as they are, and each image is its own path.

    Parameters
    ----------
    samples : DataFrame
        Checked samples (`truemap.data.samples.check`), with their splits and their images' ``checksum``.
    names : dict, optional
        Pseudonym of each of `named`.

    Raises
    ------
    DataError
        If two images get one name.
    """
    images = samples[["image", "subject", "checksum"]].assign(path=samples["image"])
    if names is None:
        return samples.drop(columns="checksum"), images
    image = called(samples, names)
    if image.duplicated().any():
        one = samples[image.duplicated()].iloc[0]
        raise DataError(f"{one['image']}: not the only {one['label']}/{one['condition']}. Use no '/' in labels.")
    subject = named(samples).map(names).where(has_subject(samples), "")
    return samples.drop(columns="checksum").assign(image=image, subject=subject), images.assign(image=image)


def identified(
    samples: pd.DataFrame,
    source: Source,
    seed: int,
    root: str | None,
    beside: Sequence[str],
    known: Seen | None,
) -> tuple[pd.DataFrame, Seen]:
    """Return the samples with the ``checksum`` of each image, and all that their list hangs on (`truemap.data.seen`).

    Parameters
    ----------
    samples : DataFrame
        As the source indexed them, with their splits; ``attrs`` may name more files, and hold the identities of remote
        ones.
    root : str, optional
        Folder of simulated subjects.
    beside : sequence of str
        More paths that the list hangs on.
    known : dict, optional
        What was found the last time.

    Raises
    ------
    DataError
        For copies (`truemap.data.designs.check_copies`), or simulated maps that are not those that were simulated.
    """
    source.prepare(samples["image"].tolist(), source.options, seed)
    files = {image: source.files(image, source.options) for image in samples["image"]}
    read = [*(path for paths in files.values() for path in paths), *samples.attrs.pop("beside", []), *beside]
    found = look(read, known, samples.attrs.pop("etags", {}))

    def checksum(image: str) -> str:
        sums = [found[path][1] for path in files[image]]
        return joined(sums) if sums and all(sums) else ""

    samples = samples.assign(checksum=samples["image"].map(checksum))
    checksums = dict(zip(samples["image"], samples["checksum"], strict=True))
    check_copies(samples, checksums)
    source.verify(checksums, source.options, root)
    return samples, found


def write(path: str | Path, images: pd.DataFrame) -> None:
    """Write images.tsv, sorted by image; its owner alone can read it."""
    with whole(path) as temporary:
        write_private(temporary, COLUMNS, images.sort_values("image")[list(COLUMNS)].to_numpy().tolist())


def read(path: str | Path) -> pd.DataFrame:
    """Read images.tsv."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def public_names(images: pd.DataFrame) -> dict[str, str]:
    """Return path -> image and subject -> pseudonym; empty where there are no pseudonyms."""
    hidden = images[images["image"] != images["path"]]
    names = {str(Path(path)): image for image, path in zip(hidden["image"], hidden["path"], strict=True)}
    names |= dict(zip(hidden["path"], hidden["image"], strict=True))
    people = hidden[has_subject(hidden)]
    return names | dict(zip(people["subject"], people["image"].str.split("/").str[0], strict=True))


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
