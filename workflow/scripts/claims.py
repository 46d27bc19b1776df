"""Set the published numbers and orders beside ours."""

import pandas as pd

from truemap.evaluation.claims import gathered, judge, read_claims
from truemap.figures.claims_page import claims_page
from truemap.runtime.files import whole, write_text
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    published = read_claims(snakemake.input.published)
    summaries = map(pd.read_parquet, snakemake.input.summaries)
    comparisons = map(pd.read_parquet, snakemake.input.comparisons)
    datasets = settings["datasets"].items()
    parts = zip(datasets, summaries, comparisons, strict=True)
    claims = gathered(published, [judge(published, s, c, name, defined) for (name, defined), s, c in parts])
    for verdict, count in claims["verdict"].value_counts().items():
        log.info("%3d %s", count, verdict)
    with whole(snakemake.output.tsv) as path:
        claims.to_csv(path, sep="\t", index=False, lineterminator="\n")
    write_text(snakemake.output.html, claims_page(claims))
