"""List a dataset's maps, split them by subject and check the list."""

from contextlib import suppress
from pathlib import Path

from truemap import images, seen
from truemap.files import DataError, IncompleteSubjects
from truemap.job import job, log
from truemap.methods import method
from truemap.privacy import Scrubber, pseudonyms, read_salt
from truemap.samples import assign_splits, check, read_family, write
from truemap.store import write_skipped

scrub = Scrubber()
with job(snakemake, scrub) as settings:
    salt = read_salt() if settings["pseudonyms"] else None
    if salt:
        scrub.guess(salt, Path(snakemake.output.images).with_name("subjects.tsv"))
    source, options = method("datasets", settings["source"])
    lacking = {}
    try:
        try:
            samples = source.index(options, settings["seed"], settings["root"])
        except IncompleteSubjects as error:
            if settings["on_bad_subject"] == "stop":
                raise
            lacking = error.lacking
            options = options.model_copy(update={"exclude": [*options.exclude, *lacking]})
            samples = source.index(options, settings["seed"], settings["root"])
    except DataError:
        # Not all that are called otherwise than HCP's people are known yet, and the message may name one.
        if salt and hasattr(source, "subjects_of"):
            with suppress(DataError):
                scrub.learn(pseudonyms(salt, source.subjects_of(options, settings["root"])))
        raise
    names = pseudonyms(salt, [*images.named(samples), *lacking]) if salt else None
    if names:
        scrub.learn(names)
        scrub.learn(dict(zip(samples["image"], images.called(samples, names), strict=True)))
    for subject, (image, reason) in lacking.items():
        log.warning("left out: subject %s, %s, the first is %s", subject, reason, image)
    people = samples["subject"].unique()
    family = read_family(settings["family"], people) if settings["family"] else {}
    if family:
        log.info("%d of %d subjects are in %s", len(set(people) & set(family)), len(people), settings["family"])
    samples = assign_splits(samples, settings["split"], settings["seed"], family)
    check(samples)
    log.info(
        "%d maps, %d classes: %s", len(samples), samples["label"].nunique(), samples["split"].value_counts().to_dict()
    )
    if hasattr(source, "prepare"):
        source.prepare(samples["image"].tolist(), options, settings["seed"])
    files = images.sources(samples, source, options)
    beside = [*samples.attrs.pop("beside", []), *(image for image, _ in lacking.values())]
    place = seen.list_of(snakemake.wildcards.dataset)
    read = [*(path for paths in files.values() for path in paths), *beside]
    found = seen.look(read, seen.read(place), samples.attrs.pop("etags", {}))
    samples = samples.assign(checksum=images.checksums(samples, files, found))
    if hasattr(source, "verify"):
        source.verify(dict(zip(samples["image"], samples["checksum"], strict=True)), options, settings["root"])
    public, paths = images.pseudonymise(samples, names)
    write(snakemake.output.samples, public)
    images.write(snakemake.output.images, paths)
    write_skipped(
        snakemake.output.skipped,
        [(names[who] if names else who, scrub(image), scrub(reason)) for who, (image, reason) in lacking.items()],
    )
    seen.write(place, found)
