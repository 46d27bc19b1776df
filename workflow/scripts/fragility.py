"""Summarise what attacks on a dataset's maps came to, and test each against noise of random signs."""

import pandas as pd

from truemap.evaluation.fragility import fragility_summary
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    attacked = pd.concat(map(pd.read_parquet, snakemake.input), ignore_index=True)
    table = of_data(fragility_summary(attacked, settings["random"]), snakemake.wildcards.dataset, settings["data"])
    write_table(table, snakemake.output.parquet, snakemake.output.tsv)
