"""Set the published numbers and orders beside ours."""

import pandas as pd

from truemap.evaluation.claims import judge, read_claims
from truemap.figures.claims_page import claims_page
from truemap.runtime.files import whole, write_text
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    published = read_claims(snakemake.input.published)
    summary = pd.concat([pd.read_parquet(path) for path in snakemake.input.summaries], ignore_index=True)
    comparisons = pd.concat([pd.read_parquet(path) for path in snakemake.input.comparisons], ignore_index=True)
    datasets = dict(zip(summary["dataset"], summary["data"], strict=True))
    claims = judge(published, summary, comparisons, datasets, settings["datasets"])
    for verdict, count in claims["verdict"].value_counts().items():
        log.info("%3d %s", count, verdict)
    with whole(snakemake.output.tsv) as path:
        claims.to_csv(path, sep="\t", index=False, lineterminator="\n")
    write_text(snakemake.output.html, claims_page(claims))
