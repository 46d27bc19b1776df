"""Average the training maps of each class, for methods and references that need a background."""

from truemap.background import write_background
from truemap.files import whole
from truemap.job import job
from truemap.volumes import read_volumes

with job(snakemake) as settings:
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    with whole(snakemake.output[0]) as path:
        write_background(path, volumes, settings["chosen"])
