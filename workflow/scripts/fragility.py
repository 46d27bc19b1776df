"""Summarise what attacks on a dataset's maps came to; test them against random signs, and against each other."""

import pandas as pd

from truemap.evaluation.fragility import fragility_summary
from truemap.evaluation.fragility_pairs import fragility_pairs
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    attacked = pd.concat(map(pd.read_parquet, snakemake.input), ignore_index=True)
    for table, *paths in (
        (fragility_summary(attacked, settings["random"]), snakemake.output.parquet, snakemake.output.tsv),
        (fragility_pairs(attacked), snakemake.output.pairs, snakemake.output.pairs_tsv),
    ):
        write_table(of_data(table, snakemake.wildcards.dataset, settings["data"]), *paths)
