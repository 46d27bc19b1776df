"""List a dataset's maps, split them by subject and check the list."""

from pathlib import Path

from truemap import images
from truemap.files import IncompleteSubjects
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
    incomplete, reason = [], ""
    try:
        samples = source.index(options, settings["seed"], settings["root"])
    except IncompleteSubjects as error:
        if settings["on_bad_subject"] == "stop":
            raise
        incomplete, reason = error.subjects, str(error)
        options = options.model_copy(update={"exclude": [*options.exclude, *incomplete]})
        samples = source.index(options, settings["seed"], settings["root"])
    names = pseudonyms(salt, [*images.named(samples), *incomplete]) if salt else None
    scrub.learn(names or {})
    for subject in incomplete:
        log.warning("left out: subject %s lacks maps", subject)
    people = samples["subject"].unique()
    family = read_family(settings["family"], people) if settings["family"] else {}
    if family:
        log.info("%d of %d subjects are in %s", len(set(people) & set(family)), len(people), settings["family"])
    samples = assign_splits(samples, settings["split"], settings["seed"], family)
    check(samples)
    log.info(
        "%d maps, %d classes: %s", len(samples), samples["label"].nunique(), samples["split"].value_counts().to_dict()
    )
    public, paths = images.pseudonymise(samples, names)
    write(snakemake.output.samples, public)
    images.write(snakemake.output.images, paths)
    left_out = [names[subject] if names else subject for subject in incomplete]
    write_skipped(snakemake.output.skipped, [(subject, "", scrub(reason)) for subject in left_out])
