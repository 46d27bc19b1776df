"""What samples call their images, and where those are: `private/{dataset}/images.tsv`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from truemap.data.rows import has_subject, owners
from truemap.runtime.files import DataError, whole
from truemap.runtime.privacy import write_private

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
