"""Draw the grid of training and saliency, and write it as a table."""

import pandas as pd

from truemap.data.conditions import set_shown
from truemap.figures import grid, style
from truemap.figures.grid_table import grid_page
from truemap.runtime.files import write_text
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    summary, comparisons = pd.read_parquet(snakemake.input.summary), pd.read_parquet(snakemake.input.comparisons)
    conditions = set_shown(summary["conditions"], settings["conditions"])
    measures = pd.read_parquet(snakemake.input.metrics[0]) if snakemake.input.metrics else None
    page = grid_page(summary, settings["attack"], settings["group"], conditions, measures)
    write_text(snakemake.output.table, page)
    shown, tests = (style.one_truth(table, settings["truth"], conditions) for table in (summary, comparisons))
    for criterion in ("informative", "pairwise"):
        figure = grid.grid_figure(
            shown, tests, criterion, settings["entries"], settings["references"], settings["attack"],
            settings["style"]["sequential"],
        )  # fmt: skip
        paths = [path for path in snakemake.output if f"grid-{criterion}" in path]
        style.save(figure, paths, style.note(summary["data"].iloc[0], conditions), settings["style"]["dpi"])
