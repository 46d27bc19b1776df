"""Compute the class means of each test subject, from which truth maps are differences."""

from truemap.config.methods import method
from truemap.data.volumes import read_volumes
from truemap.evaluation.truth import write_class_means
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    source, options = method("datasets", settings["source"])
    templates = source.templates(options) if hasattr(source, "templates") else None
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    with whole(snakemake.output[0]) as path:
        write_class_means(path, volumes, templates, settings["chosen"])
