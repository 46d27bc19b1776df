"""Find the grid and brain mask that all maps of a dataset share."""

from truemap.config.registry import method
from truemap.data import sources
from truemap.data.about import described, sidecar
from truemap.data.grid import write_grid
from truemap.data.reading import reading
from truemap.data.samples import first_of_train, read
from truemap.data.shared_grid import first_grid
from truemap.datasets._contract import Source
from truemap.datasets._images import Images
from truemap.runtime.files import write_json
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.privacy import Scrubber

#: Training subjects that are tried, where bad ones are skipped: if all are bad, there is more amiss.
TRIES = 10
#: What the image holds.
MASK = "brain mask"

scrub = Scrubber()
with job(snakemake, scrub) as settings:
    source = method("datasets", settings["source"], Source)
    paths = sources.read(snakemake.input.images)
    scrub.learn(sources.public_names(paths), snakemake.input.images)
    maps = Images(paths, source, settings["seed"], scrub)
    tries = TRIES if settings["on_bad_subject"] == "skip" else 1
    subjects = first_of_train(read(snakemake.input.samples), tries)
    read_image = reading(maps, settings["nan"], settings["downsample"])
    prepared = (maps.prepare(subject) for subject in subjects)
    grid = first_grid(prepared, read_image, settings["mask"], settings["downsample"])
    log.info("grid %s, %d voxels in the brain", grid.shape, grid.mask.sum())
    write_grid(snakemake.output.mask, grid, described(MASK, settings["data"]))
    write_json(snakemake.output.about, sidecar(MASK, settings["data"]))
