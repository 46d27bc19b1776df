"""Summarise angles of directions in a dataset, test them against random directions, and say what came out."""

import pandas as pd

from truemap.evaluation.angle_summary import angle_answers, angle_summary
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    summary = angle_summary(pd.concat(map(pd.read_parquet, snakemake.input), ignore_index=True))
    answers, files = angle_answers(summary, settings["labels"]), snakemake.output
    for table, *paths in ((summary, files.parquet, files.tsv), (answers, files.answers)):
        write_table(of_data(table, snakemake.wildcards.dataset, settings["data"]), *paths)
