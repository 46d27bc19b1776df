"""Tabulate the quality of a dataset's maps, and list the subjects that were skipped."""

from truemap.files import whole, write_text
from truemap.job import job, log
from truemap.methods import method
from truemap.quality import quality_page, quality_table, read_skipped
from truemap.volumes import read_grid, read_volumes

with job(snakemake) as settings:
    source, options = method("datasets", settings["source"])
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    table = quality_table(volumes, read_grid(snakemake.input.grid))
    with whole(snakemake.output.tsv) as path:
        table.to_csv(path, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    skipped = read_skipped([snakemake.input.incomplete, *snakemake.input.skipped])
    page = quality_page(table, skipped, snakemake.wildcards.dataset, source.kind(options))
    write_text(snakemake.output.html, page)
    log.info("%d maps, %d of them flagged", len(table), (table["flags"] != "").sum())
