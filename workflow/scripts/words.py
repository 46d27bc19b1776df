"""Check words of the config that only the data, or matplotlib, know, before anything is trained."""

from truemap.data.grid import read_grid
from truemap.data.samples import read
from truemap.data.words import check_words
from truemap.figures.style import check_style
from truemap.runtime.files import write_text
from truemap.runtime.job import job

with job(snakemake) as settings:
    style = settings.pop("style")
    check_words(read(snakemake.input.samples), read_grid(snakemake.input.grid).shape, **settings)
    check_style(style)
    write_text(snakemake.output[0], "The data have all classes and conditions that the config names.\n")
