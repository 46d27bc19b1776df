"""Judge the published claims that a dataset has numbers for."""

import pandas as pd

from truemap.evaluation.claims import judge, read_claims
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    summary, comparisons = map(pd.read_parquet, (snakemake.input.summary, snakemake.input.comparisons))
    published = read_claims(snakemake.input.published)
    claims = judge(published, summary, comparisons, snakemake.wildcards.dataset, settings)
    with whole(snakemake.output[0]) as path:
        claims.to_csv(path, sep="\t", index=False, lineterminator="\n")
