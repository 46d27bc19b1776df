"""What samples must be so that their numbers mean something: maps that differ, and classes to compare."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import pandas as pd

from truemap.data.rows import has_subject
from truemap.data.tables import alike
from truemap.runtime.files import DataError
from truemap.runtime.log import log

#: Checksum of a file without content: no copy of another one but a map that cannot be used.
EMPTY = hashlib.sha256().hexdigest()
#: Groups of names that a warning shows.
SHOWN = 3


def check_files(samples: pd.DataFrame) -> None:
    """Refuse images that are one file: by the same name, another spelling of the path, or a link of either kind.

    Raises
    ------
    DataError
        With both images' names.
    """
    again = samples[samples["image"].duplicated()]
    if len(again):
        raise DataError(f"{again.iloc[0]['image']}: listed twice. Keep one of the lines.")
    files = samples["image"].map(_file)
    again = samples[files.duplicated(keep=False)]
    if len(again):
        one, other = again.loc[files[files == files[again.index[0]]].index[:2], "image"]
        raise DataError(f"{one} and {other}: the same file, by two names or a link. Keep one of them.")


def _file(image: str) -> tuple[int, int] | str:
    """Return what is equal for two names of one file: its number on its device, or else its resolved path."""
    try:
        status = os.stat(image)  # noqa: PTH116  (a Path for each of 24,125 maps takes longer)
    except (OSError, ValueError):
        return os.path.realpath(image)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(image)


def check_copies(samples: pd.DataFrame, checksums: Mapping[str, str]) -> None:
    """Refuse equal content under two subjects or in two splits; warn where a subject has one content twice.

    Parameters
    ----------
    samples : DataFrame
        With their splits.
    checksums : mapping
        Image -> its checksum; "" (or none) where it is of no file, as that of a synthetic image.

    Raises
    ------
    DataError
        With both images' names.
    """
    rows = samples.assign(checksum=samples["image"].map(dict(checksums)))
    rows = rows[rows["checksum"].notna() & ~rows["checksum"].isin(["", EMPTY])]
    rows = rows[rows["checksum"].duplicated(keep=False)].sort_values(["checksum", "image"])
    first = rows.groupby("checksum")[["image", "subject", "split"]].transform("first")
    for column, places in (("subject", "two subjects"), ("split", "two splits")):
        apart = rows[rows[column] != first[column]]
        if len(apart):
            one, other = first.loc[apart.index[0], "image"], apart.iloc[0]["image"]
            raise DataError(
                f"{one} and {other}: identical content (equal checksums) of {places}, {len(apart)} such copies in all. "
                "Find out whose map it is and leave out the other."
            )
    # A source may make a map and its sign flip from one file.
    twice = rows[rows.duplicated(["checksum", "negated"], keep=False)].sort_values(["checksum", "negated", "image"])
    if len(twice):
        one, other = twice["image"].iloc[:2]
        log.warning(
            "%d maps have the same content as another map of their subject, the first ones %s and %s (classes %s)",
            len(twice), one, other, " and ".join(twice["label"].iloc[:2]),
        )  # fmt: skip


def check_truth(test: pd.DataFrame, what: str = "maps") -> None:
    """Refuse test maps that no truth can be made of; warn where there is none for some.

    A subject's truth is what differs between the means of its own classes (McClure et al. 2020, section 2.2.2). Not for
    sources that know the templates.

    Parameters
    ----------
    test : DataFrame
        ``subject, label, negated`` of each test map.
    what : str
        What errors and warnings call these rows.

    Raises
    ------
    DataError
        If no test subject has maps of two classes.
    """
    test = test[has_subject(test)]
    if test.empty:
        return
    classes = test.groupby("subject")["label"].nunique()
    single = test["subject"].map(classes) < 2
    if single.all():
        raise DataError(
            f"none of the {len(classes)} test subjects has {what} of two classes, so there is no truth to compare "
            "with: it is the difference between class means of one subject, and classes that are groups of subjects "
            "(patients, controls) have none. Give test subjects maps of at least two classes each."
        )
    if single.any():
        log.warning(
            "%d of %d test subjects have %s of one class only: for them there is no truth, and no score",
            (classes < 2).sum(), len(classes), what,
        )  # fmt: skip
    unscored = sorted(set(test["label"]) - set(test.loc[~single, "label"]))
    if unscored:
        log.warning("no truth for class %s: no test subject has %s of another class too", ", ".join(unscored), what)
    plain = test[~test["negated"].astype(bool)]
    if len(plain) < len(test) and not (plain.groupby("subject")["label"].nunique() > 1).any():
        log.warning("without negated maps no test subject has maps of two classes: `no_negated` has no truth")
    if (test.groupby(["subject", "label"]).size() < 2).all():
        log.warning("no test subject has two maps of one class: there is no truth without the map that is explained")


def warn_alike(samples: pd.DataFrame) -> None:
    """Warn of labels, subjects and conditions that people may take for one (`truemap.data.tables.alike`)."""
    for column in ("label", "subject", "condition"):
        groups = alike(samples[column].unique())
        if groups:
            log.warning(
                "%d %ss look like others but count by themselves: %s%s. Write them alike if they are one.",
                sum(map(len, groups)),
                column,
                "; ".join(" and ".join(f"'{word}'" for word in group) for group in groups[:SHOWN]),
                "; ..." * (len(groups) > SHOWN),
            )
