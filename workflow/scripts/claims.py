"""Gather the claims of all datasets whose results stand, those of other configs too."""

import pandas as pd

from truemap.evaluation.claims import gathered, read_claims
from truemap.figures.claims_page import claims_page
from truemap.runtime.files import whole, write_text
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    files = snakemake.input
    own_and_others = sorted({*files.own, *files.standing})
    judged = [pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in own_and_others]
    claims = gathered(read_claims(files.published), judged)
    for verdict, count in claims["verdict"].value_counts().items():
        log.info("%3d %s", count, verdict)
    for path in settings["outdated"]:
        log.warning("%s is older than what it was judged by, and left out: run its config again", path)
    with whole(snakemake.output.tsv) as path:
        claims.to_csv(path, sep="\t", index=False, lineterminator="\n")
    write_text(snakemake.output.html, claims_page(claims, settings["outdated"]))
