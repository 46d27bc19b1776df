"""Say of each network trained on permuted labels whether it learnt them, and how alike its maps are."""

import pandas as pd

from truemap.evaluation.results import of_data, write_table
from truemap.evaluation.twins import twin_table
from truemap.runtime.files import read_json
from truemap.runtime.job import job

with job(snakemake) as settings:
    files = snakemake.input
    found = [read_json(path)["accuracy"] for path in files.descriptions]
    twins = pd.DataFrame([{**twin, **accuracy} for twin, accuracy in zip(settings["twins"], found, strict=True)])
    table = twin_table(twins, pd.concat(map(pd.read_parquet, files.measured)))
    write_table(of_data(table, snakemake.wildcards.dataset, settings["data"]), *snakemake.output)
