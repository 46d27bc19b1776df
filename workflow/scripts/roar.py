"""Put the curves of accuracy against the share of removed voxels together."""

import pandas as pd

from truemap.evaluation.results import of_data, write_table
from truemap.evaluation.roar import roar_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    table = roar_table(pd.concat(map(pd.read_parquet, snakemake.input)))
    write_table(of_data(table, snakemake.wildcards.dataset, settings["data"]), *snakemake.output)
