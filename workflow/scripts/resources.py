"""Sum up time and memory by rule, for the report."""

from pathlib import Path

from truemap.files import write_text
from truemap.job import job
from truemap.resources import resource_table

with job(snakemake) as settings:
    files = sorted(path for name in settings["datasets"] for path in Path("results/benchmarks", name).glob("*.tsv"))
    table = resource_table(files).round(1)
    write_text(snakemake.output.tsv, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    style = "<style>body{font:14px sans-serif}td,th{padding:2px 8px;text-align:right}</style>"
    write_text(
        snakemake.output.html, f'<!doctype html><meta charset="utf-8">{style}{table.to_html(index=False, border=0)}'
    )
