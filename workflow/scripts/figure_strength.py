"""Draw agreement and accuracy against the strength of training."""

import pandas as pd

from truemap.data.conditions import set_shown
from truemap.data.samples import read
from truemap.figures import strength, style
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    summary = pd.read_parquet(snakemake.input.summary)
    curves = pd.concat(map(pd.read_parquet, snakemake.input.histories))
    histories = curves.groupby(["model", "candidate", "epoch"], as_index=False).mean()
    conditions = set_shown(summary["conditions"], settings["conditions"])
    shown = style.one_truth(summary, settings["truth"], conditions)
    rows = strength.drawn_strengths(shown, settings["swept"], histories, settings["attack"])
    kind, unit = style.note(summary["data"].iloc[0], conditions), style.unit_of(read(snakemake.input.samples))
    note = f"{kind}; {strength.foot(rows, unit)}"
    figure = strength.strength_figure(rows, settings["swept"])
    style.save(figure, list(snakemake.output), note, settings["style"]["dpi"], rows)
