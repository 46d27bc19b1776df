"""Find the grid and brain mask that all maps of a dataset share."""

from functools import partial

from truemap.job import job, log
from truemap.methods import method
from truemap.samples import read
from truemap.volumes import find_grid, write_grid

with job(snakemake) as settings:
    source, options = method("datasets", settings["source"])
    samples = read(snakemake.input.samples)
    first = samples[samples["split"] == "train"]
    first = first[first["subject"] == first["subject"].iloc[0]].iloc[:25]
    grid = find_grid(
        first["image"].tolist(), partial(source.read, options=options, seed=settings["seed"]), settings["mask"]
    )
    log.info("grid %s, %d voxels in the brain", grid.shape, grid.mask.sum())
    write_grid(snakemake.output[0], grid)
