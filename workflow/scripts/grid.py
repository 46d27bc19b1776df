"""Find the grid and brain mask that all maps of a dataset share."""

from truemap import images
from truemap.job import job, log
from truemap.methods import method
from truemap.privacy import Scrubber
from truemap.samples import first_of_train, read
from truemap.volumes import first_grid, reading_nan, write_grid

#: Training subjects that are tried, where bad ones are skipped: if all are bad, there is more amiss.
TRIES = 10

scrub = Scrubber()
with job(snakemake, scrub) as settings:
    source, options = method("datasets", settings["source"])
    paths = images.read(snakemake.input.images)
    scrub.learn(images.public_names(paths), snakemake.input.images)
    maps = images.Images(paths, source, options, settings["seed"], scrub)
    tries = TRIES if settings["on_bad_subject"] == "skip" else 1
    subjects = first_of_train(read(snakemake.input.samples), tries)
    read_image = reading_nan(maps, settings["nan"])
    grid = first_grid((maps.prepare(subject) for subject in subjects), read_image, settings["mask"])
    log.info("grid %s, %d voxels in the brain", grid.shape, grid.mask.sum())
    write_grid(snakemake.output[0], grid)
