"""Figure 2: mean agreement of each method, with standard errors, what differs, and what was published."""

import pandas as pd

from truemap.data.samples import read
from truemap.evaluation.claims import read_claims
from truemap.figures import bars, style
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    summary, tests = pd.read_parquet(snakemake.input.summary), pd.read_parquet(snakemake.input.comparisons)
    truth = style.truth_shown(summary, settings["truth"])
    published = bars.published_means(read_claims(snakemake.input.published), snakemake.wildcards.dataset)
    rows = bars.drawn_bars(
        summary[summary["truth"] == truth], tests[tests["truth"] == truth], published, settings["entries"],
        settings["references"], settings["conditions"],
    )  # fmt: skip
    note = f"{summary['data'].iloc[0]}; {bars.foot(rows, style.unit_of(read(snakemake.input.samples)))}"
    for name, panels in (("2a", "a"), ("2b", "b"), ("2", "ab")):
        figure = bars.agreement_bars(rows, settings["entries"], settings["style"]["bars"], panels)
        paths = style.files_of(snakemake.output, f"figure-{name}")
        style.save(figure, paths, note, settings["style"]["dpi"], rows[rows["panel"].isin(list(panels))])
