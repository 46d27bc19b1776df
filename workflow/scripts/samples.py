"""List a dataset's maps, split them by subject and check the list."""

from truemap.job import job, log
from truemap.methods import method
from truemap.samples import assign_splits, check, write

with job(snakemake) as settings:
    source, options = method("datasets", settings["source"])
    samples = source.index(options, settings["seed"], settings["root"])
    samples = assign_splits(samples, settings["split"], settings["seed"])
    check(samples)
    log.info(
        "%d maps, %d classes: %s", len(samples), samples["label"].nunique(), samples["split"].value_counts().to_dict()
    )
    write(snakemake.output[0], samples)
