"""Summarise what metrics measured of a dataset's maps, and say how reliable they are."""

import pandas as pd

from truemap.evaluation.measures import measure_summary
from truemap.evaluation.reliability import reliability
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    measured = pd.concat(map(pd.read_parquet, snakemake.input))
    summary = measure_summary(measured, settings["given"])
    for name, table in (("metrics", summary), ("reliability", reliability(measured))):
        table = of_data(table, snakemake.wildcards.dataset, settings["data"])
        write_table(table, snakemake.output[f"{name}_parquet"], snakemake.output[f"{name}_tsv"])
