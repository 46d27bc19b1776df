"""Summarise what metrics measured of a dataset's maps."""

import pandas as pd

from truemap.evaluation.statistics import measure_summary
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    table = measure_summary(pd.concat(map(pd.read_parquet, snakemake.input)), settings["given"])
    table.insert(0, "data", settings["data"])
    table.insert(0, "dataset", snakemake.wildcards.dataset)
    with whole(snakemake.output.parquet) as path:
        table.to_parquet(path, index=False)
    with whole(snakemake.output.tsv) as path:
        table.to_csv(path, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
