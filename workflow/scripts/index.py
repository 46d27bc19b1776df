"""Write the first page: what came out, of all datasets whose results stand, those of other configs too."""

import json
from pathlib import Path

import pandas as pd

from truemap.evaluation.results import read_table
from truemap.figures.digest import FORMAT
from truemap.figures.index_page import index_page
from truemap.runtime.files import write_text
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    files = snakemake.input
    found = {path: json.loads(Path(path).read_text(encoding="utf-8")) for path in sorted({*files.own, *files.standing})}
    outdated = [*settings["outdated"], *(path for path, told in found.items() if told["format"] != FORMAT)]
    for path in outdated:
        log.warning("%s is older than what it was made from, and left out: run its config again", path)
    claims = pd.read_csv(files.claims, sep="\t", dtype=str, keep_default_na=False)
    told = [told for path, told in found.items() if path not in outdated]
    tables = {Path(path).parent.name: read_table(path) for path in sorted({*files.times, *files.standing_times})}
    page = index_page(told, claims, tables, outdated, Path(files.citation).read_text(encoding="utf-8"))
    write_text(snakemake.output[0], page)
    log.info("%s: %d datasets, %.1f MB", snakemake.output[0], len(told), len(page.encode()) / 1e6)
