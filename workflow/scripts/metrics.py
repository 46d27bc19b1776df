"""Summarise what metrics measured of a dataset's maps, and say how reliable they are."""

import pandas as pd

from truemap.evaluation.reliability import reliability
from truemap.evaluation.statistics import measure_summary
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    measured = pd.concat(map(pd.read_parquet, snakemake.input))
    summary = measure_summary(measured, settings["given"])
    for name, table in (("metrics", summary), ("reliability", reliability(measured))):
        table.insert(0, "data", settings["data"])
        table.insert(0, "dataset", snakemake.wildcards.dataset)
        with whole(snakemake.output[f"{name}_parquet"]) as path:
            table.to_parquet(path, index=False)
        with whole(snakemake.output[f"{name}_tsv"]) as path:
            table.to_csv(path, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
