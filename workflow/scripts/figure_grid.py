"""Draw the grid of training and saliency, and write it as a table."""

import pandas as pd

from truemap.figures import grid, style
from truemap.figures.grid_table import grid_page
from truemap.files import write_text
from truemap.job import job

with job(snakemake) as settings:
    style.start()
    summary, comparisons = pd.read_parquet(snakemake.input.summary), pd.read_parquet(snakemake.input.comparisons)
    write_text(snakemake.output.table, grid_page(summary, settings["attack"], settings["group"]))
    shown = style.one_truth(summary, settings["truth"])
    tests = style.one_truth(comparisons, settings["truth"])
    for criterion in ("informative", "pairwise"):
        figure = grid.grid_figure(
            shown, tests, criterion, settings["entries"], settings["references"], settings["attack"],
            settings["style"]["sequential"],
        )  # fmt: skip
        paths = [path for path in snakemake.output if f"grid-{criterion}" in path]
        style.save(figure, paths, summary["data"].iloc[0], settings["style"]["dpi"])
