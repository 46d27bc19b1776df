"""Read, check, z-score and store one shard of a split's maps."""

from functools import partial

from truemap.job import job, log
from truemap.methods import method
from truemap.samples import read, shard
from truemap.volumes import read_grid, write_volumes

with job(snakemake) as settings:
    source, options = method("datasets", settings["source"])
    rows = shard(read(snakemake.input.samples), settings["split"], settings["shard"], settings["shards"])
    write_volumes(
        snakemake.output.maps,
        snakemake.output.table,
        rows,
        partial(source.read, options=options, seed=settings["seed"]),
        read_grid(snakemake.input.grid),
        settings["standardize"],
        settings["precision"],
    )
    log.info("%d maps", len(rows))
