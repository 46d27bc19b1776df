"""Read, check, z-score and store one shard of a split's maps."""

from truemap import images
from truemap.job import job, log
from truemap.methods import method
from truemap.privacy import Scrubber, read_salt
from truemap.samples import read, shard
from truemap.store import write_volumes
from truemap.volumes import read_grid, reading_nan

scrub = Scrubber()
with job(snakemake, scrub) as settings:
    source, options = method("datasets", settings["source"])
    paths = images.read(snakemake.input.images)
    names = images.public_names(paths)
    scrub.learn(names, snakemake.input.images)
    maps = images.Images(paths, source, options, settings["seed"], scrub, read_salt() if names else "")
    rows = shard(read(snakemake.input.samples), settings["split"], settings["shard"], settings["shards"])
    maps.prepare(rows["image"].tolist())
    stored = write_volumes(
        snakemake.output.maps,
        snakemake.output.table,
        snakemake.output.skipped,
        rows,
        reading_nan(maps, settings["nan"]),
        read_grid(snakemake.input.grid),
        settings["standardize"],
        settings["precision"],
        settings["on_bad_subject"],
    )
    log.info("%d of %d maps", stored, len(rows))
