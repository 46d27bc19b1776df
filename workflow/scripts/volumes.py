"""Read, check, z-score and store one shard of a split's maps."""

from truemap.config.registry import method
from truemap.data import sources
from truemap.data.grid import read_grid
from truemap.data.ingest import write_volumes
from truemap.data.reading import reading
from truemap.data.samples import read, shard
from truemap.datasets._contract import Source
from truemap.datasets._images import Images
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.privacy import Scrubber, read_salt

scrub = Scrubber()
with job(snakemake, scrub) as settings:
    source = method("datasets", settings["source"], Source)
    paths = sources.read(snakemake.input.images)
    names = sources.public_names(paths)
    scrub.learn(names, snakemake.input.images)
    maps = Images(paths, source, settings["seed"], scrub, read_salt() if names else "")
    rows = shard(read(snakemake.input.samples), settings["split"], settings["shard"], settings["shards"])
    maps.prepare(rows["image"].tolist())
    stored = write_volumes(
        snakemake.output.maps,
        snakemake.output.table,
        snakemake.output.skipped,
        rows,
        reading(maps, settings["nan"], settings["downsample"]),
        read_grid(snakemake.input.grid),
        settings["standardize"],
        settings["precision"],
        settings["on_bad_subject"],
    )
    log.info("%d of %d maps", stored, len(rows))
