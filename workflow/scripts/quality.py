"""Tabulate the quality of a dataset's maps, and list the subjects that were skipped."""

from truemap.data.grid import read_grid
from truemap.data.quality import quality_table, read_skipped, warn_copies
from truemap.data.volumes import read_volumes
from truemap.evaluation.results import write_table
from truemap.figures.quality_page import quality_page
from truemap.runtime.files import write_text
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    table = quality_table(volumes, read_grid(snakemake.input.grid))
    write_table(table, snakemake.output.tsv)
    skipped = read_skipped([snakemake.input.incomplete, *snakemake.input.skipped])
    page = quality_page(table, skipped, snakemake.wildcards.dataset, settings["data"])
    write_text(snakemake.output.html, page)
    warn_copies(table)
    log.info("%d maps, %d of them flagged", len(table), (table["flags"] != "").sum())
