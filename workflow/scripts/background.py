"""Average the training maps of each class, for methods and references that need a background."""

from truemap.data.background import write_background
from truemap.data.volumes import read_volumes
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    with whole(snakemake.output[0]) as path:
        write_background(path, volumes, settings["chosen"])
