"""Say what is lost on each dataset by following what a measure says of another one."""

from pathlib import Path

import pandas as pd

from truemap.evaluation.held_out import held_out
from truemap.evaluation.results import write_table
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    items = {Path(path).parents[1].name: pd.read_parquet(path) for path in sorted(set(snakemake.input))}
    for path in settings["outdated"]:
        log.warning("%s is older than what it was made from, and left out: run its config again", path)
    write_table(held_out(items), snakemake.output[0])
