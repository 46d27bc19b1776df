"""Compare attacked maps with those of the same subjects in fewer voxels."""

import pandas as pd

from truemap.evaluation.dimension import dimension
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    finer, coarser = (
        pd.concat(map(pd.read_parquet, files)) for files in (snakemake.input.own, snakemake.input.coarser)
    )
    table = dimension(finer, coarser).assign(coarser_dataset=settings["coarser"])
    write_table(of_data(table, snakemake.wildcards.dataset, settings["data"]), *snakemake.output)
