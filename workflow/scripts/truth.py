"""Compute the class means of each test subject, from which truth maps are differences."""

import numpy as np

from truemap.config.registry import method
from truemap.data.grid import block_means
from truemap.data.volumes import read_volumes
from truemap.datasets._contract import Source
from truemap.evaluation.truth import write_class_means
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    source = method("datasets", settings["source"], Source)
    templates = None
    if source.templates:
        fine, blocks = source.templates(source.options), settings["downsample"]
        templates = {label: block_means(values, np.eye(4), blocks)[0] for label, values in fine.items()}
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    with whole(snakemake.output[0]) as path:
        write_class_means(path, volumes, templates, settings["chosen"], settings["data"])
