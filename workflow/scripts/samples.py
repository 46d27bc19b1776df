"""List a dataset's maps, split them by subject and check the list."""

from pathlib import Path

from truemap.config.registry import method
from truemap.datasets._contract import Source
from truemap.datasets._listing import list_samples, write_listing
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.privacy import Scrubber, read_salt

scrub = Scrubber()
with job(snakemake, scrub) as settings:
    salt = read_salt() if settings["pseudonyms"] else None
    if salt:
        scrub.guess(salt, Path(snakemake.output.images).with_name("subjects.tsv"))
    source = method("datasets", settings["source"], Source)
    root = str(Path(snakemake.input.tree[0]).parent) if snakemake.input.tree else None
    listing = list_samples(source, settings, root, salt, scrub)
    counts = listing.samples["split"].value_counts().to_dict()
    log.info("%d maps, %d classes: %s", len(listing.samples), listing.samples["label"].nunique(), counts)
    write_listing(listing, snakemake.output, source, settings, root, scrub)
