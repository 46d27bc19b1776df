"""List a dataset's maps, split them by subject and check the list."""

from contextlib import suppress
from pathlib import Path

from truemap.config.methods import method
from truemap.data import seen
from truemap.data import sources as images
from truemap.data.designs import check_truth, warn_alike
from truemap.data.ingest import write_skipped
from truemap.data.samples import assign_splits, check, read_family, write
from truemap.runtime.files import DataError, IncompleteSubjects
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.privacy import Scrubber, pseudonyms, read_salt

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
            # Mistyped, an ID says as much.
            known = [*options.exclude]
            with suppress(DataError):
                known += source.subjects_of(options, settings["root"])
            scrub.learn(pseudonyms(salt, known))
        raise
    names = pseudonyms(salt, [*images.named(samples), *lacking]) if salt else None
    if names:
        scrub.learn(names)
        scrub.learn(dict(zip(samples["image"], images.called(samples, names), strict=True)))
    for subject, (image, reason) in lacking.items():
        log.warning("left out: subject %s, %s, the first is %s", subject, reason, image)
    people = samples["subject"].unique()
    excluded = getattr(options, "exclude", [])
    family = read_family(settings["family"], people, excluded) if settings["family"] else {}
    if family:
        log.info("%d of %d subjects are in %s", len(set(people) & set(family)), len(people), settings["family"])
    samples = assign_splits(samples, settings["split"], settings["seed"], family)
    check(samples)
    warn_alike(samples)
    if not hasattr(source, "templates"):
        check_truth(samples[samples["split"] == "test"])
    log.info(
        "%d maps, %d classes: %s", len(samples), samples["label"].nunique(), samples["split"].value_counts().to_dict()
    )
    place = seen.list_of(snakemake.wildcards.dataset)
    beside = [image for image, _ in lacking.values()]
    samples, found = images.identified(samples, source, options, settings, beside, seen.read(place))
    public, paths = images.pseudonymise(samples, names)
    write(snakemake.output.samples, public)
    images.write(snakemake.output.images, paths)
    write_skipped(
        snakemake.output.skipped,
        [(names[who] if names else who, scrub(image), scrub(reason)) for who, (image, reason) in lacking.items()],
    )
    seen.write(place, found)
