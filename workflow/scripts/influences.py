"""Summarise what attacks left of influences in a dataset; test them against random signs, and trainings."""

import pandas as pd

from truemap.evaluation.influence import influence_tables
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    tables = influence_tables(pd.concat(map(pd.read_parquet, snakemake.input), ignore_index=True), settings["top"])
    paths = (snakemake.output.parquet, snakemake.output.tsv), (snakemake.output.pairs, snakemake.output.pairs_tsv)
    for table, files in zip(tables, paths, strict=True):
        write_table(of_data(table, snakemake.wildcards.dataset, settings["data"]), *files)
