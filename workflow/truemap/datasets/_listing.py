"""From a source to the checked list of samples, and to what its names stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from truemap.data import seen, sources
from truemap.data.designs import check_copies, check_truth, warn_alike
from truemap.data.ingest import write_skipped
from truemap.data.samples import assign_splits, check, read_family, write
from truemap.data.seen import Seen, look
from truemap.datasets._contract import Source
from truemap.runtime.files import DataError, IncompleteSubjects, joined
from truemap.runtime.log import log
from truemap.runtime.privacy import Scrubber, pseudonyms


@dataclass
class Listing:
    """A dataset's samples as they are listed.

    Attributes
    ----------
    samples : DataFrame
        As the source names them.
    lacking : dict
        Subject that was left out -> one of its files that is not there, and the reason.
    names : dict or None
        What of `truemap.data.sources.named`, and of `lacking`, has which pseudonym; None where there are none.
    """

    samples: pd.DataFrame
    lacking: dict[str, tuple[str, str]]
    names: dict[str, str] | None = None


def list_samples(
    source: Source,
    settings: Mapping[str, Any],
    root: str | None,
    salt: str | None,
    scrub: Scrubber,
) -> Listing:
    """Ask the source for its samples, leave out subjects that lack maps where that is allowed, split and check them.

    Parameters
    ----------
    settings : mapping
        ``seed, split, family, on_bad_subject``.
    root : str, optional
        Folder of simulated subjects.
    salt : str, optional
        Of the pseudonyms, where there are some.
    scrub : Scrubber
        Learns all names.

    Raises
    ------
    DataError
        If the samples cannot be used.
    """
    try:
        listing = _indexed(source, settings, root)
    except DataError:
        # Not all that are called otherwise than HCP's people are known yet, and the message may name one.
        if salt:
            # Mistyped, an ID says as much.
            known = [*getattr(source.options, "exclude", [])]
            with suppress(DataError):
                known += source.subjects_of(source.options, root)
            scrub.learn(pseudonyms(salt, known))
        raise
    samples = listing.samples
    if salt:
        listing.names = pseudonyms(salt, [*sources.named(samples), *listing.lacking])
        scrub.learn(listing.names)
        scrub.learn(dict(zip(samples["image"], sources.called(samples, listing.names), strict=True)))
    for subject, (image, reason) in listing.lacking.items():
        log.warning("left out: subject %s, %s, the first is %s", subject, reason, image)
    people = samples["subject"].unique()
    excluded = [*getattr(source.options, "exclude", []), *listing.lacking]
    family = read_family(settings["family"], people, excluded) if settings["family"] else {}
    if family:
        log.info("%d of %d subjects are in %s", len(set(people) & set(family)), len(people), settings["family"])
    listing.samples = assign_splits(samples, settings["split"], settings["seed"], family)
    # First, as one label in two spellings is why a class may be missing from a split.
    warn_alike(listing.samples)
    check(listing.samples)
    if source.templates is None:
        check_truth(listing.samples[listing.samples["split"] == "test"])
    return listing


def _indexed(source: Source, settings: Mapping[str, Any], root: str | None) -> Listing:
    options = source.options
    try:
        return Listing(source.index(options, settings["seed"], root), {})
    except IncompleteSubjects as error:
        if settings["on_bad_subject"] == "stop":
            raise
        without = options.model_copy(update={"exclude": [*options.exclude, *error.lacking]})
        return Listing(source.index(without, settings["seed"], root), error.lacking)


def write_listing(
    listing: Listing,
    files: Any,
    source: Source,
    settings: Mapping[str, Any],
    root: str | None,
    scrub: Scrubber,
) -> None:
    """Write the samples, where they are, what was left out, and all that this was listed from (`truemap.data.seen`).

    Parameters
    ----------
    files : object
        Paths ``samples, images, skipped``.

    Raises
    ------
    DataError
        For copies (`truemap.data.designs.check_copies`).
    """
    place = Path(files.images).with_name(seen.NAME)
    beside = [image for image, _ in listing.lacking.values()]
    samples, found = identified(listing.samples, source, settings["seed"], root, beside, seen.read(place))
    public, paths = sources.pseudonymise(samples, listing.names)
    names = listing.names or {}
    write(files.samples, public)
    sources.write(files.images, paths)
    write_skipped(
        files.skipped,
        [(names.get(who, who), scrub(image), scrub(reason)) for who, (image, reason) in listing.lacking.items()],
    )
    seen.write(place, found)


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
    # Images that are made from one file are its parts, and no copies of each other.
    parts = samples["image"].map(lambda image: tuple(files[image]))
    check_copies(samples[~parts.duplicated()], checksums)
    source.verify(checksums, source.options, root)
    return samples, found
