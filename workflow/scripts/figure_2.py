"""Figure 2: mean agreement of each method, with standard errors."""

import pandas as pd

from truemap.figures import bars, style
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    summary = pd.read_parquet(snakemake.input.summary)
    shown = summary[summary["truth"] == style.truth_shown(summary, settings["truth"])]
    foot = f"{summary['data'].iloc[0]}; {bars.units(shown, settings['entries'])}"
    for panel, criterion in (("a", "informative"), ("b", "pairwise")):
        figure = bars.agreement_bars(
            shown, criterion, settings["entries"], settings["style"]["bars"], settings["references"],
            settings["conditions"],
        )  # fmt: skip
        paths = [path for path in snakemake.output if f"figure-2{panel}" in path]
        style.save(figure, paths, foot, settings["style"]["dpi"])
