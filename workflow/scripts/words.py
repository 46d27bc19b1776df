"""Check words of the config that only the data, or matplotlib, know, before anything is trained."""

from truemap.figures.style import check_style
from truemap.files import write_text
from truemap.job import job
from truemap.samples import read
from truemap.volumes import read_grid
from truemap.words import check_words

with job(snakemake) as settings:
    style = settings.pop("style")
    check_words(read(snakemake.input.samples), read_grid(snakemake.input.grid).shape, **settings)
    check_style(style)
    write_text(snakemake.output[0], "The data have all classes and conditions that the config names.\n")
