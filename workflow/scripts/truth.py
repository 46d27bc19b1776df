"""Compute the class means of each test subject, from which truth maps are differences."""

from truemap.files import whole
from truemap.job import job
from truemap.methods import method
from truemap.truth import write_class_means
from truemap.volumes import read_volumes

with job(snakemake) as settings:
    source, options = method("datasets", settings["source"])
    templates = source.templates(options) if hasattr(source, "templates") else None
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    with whole(snakemake.output[0]) as path:
        write_class_means(path, volumes, templates, settings["chosen"])
