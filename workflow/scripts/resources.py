"""Sum up time and memory by rule, for the report."""

from pathlib import Path

from truemap.data.about import dataset_description
from truemap.figures.resources import left_over, resource_page, resource_table
from truemap.runtime.files import write_json, write_text
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    # A job that Snakemake was told not to run again, or whose file somebody removed, has none.
    measured = [path for path in map(Path, settings["benchmarks"]) if path.is_file()]
    table = resource_table(measured).round(1).assign(data=settings["data"])
    write_text(snakemake.output.tsv, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    write_json(snakemake.output.about, dataset_description(snakemake.wildcards.dataset, settings["data"]))
    leftovers = left_over(settings["figures"])
    if leftovers:
        log.warning("%d figures are left from another config, the first is %s", len(leftovers), leftovers[0])
    write_text(snakemake.output.html, resource_page(table, leftovers, snakemake.wildcards.dataset))
