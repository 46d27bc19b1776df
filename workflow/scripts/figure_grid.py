"""Draw the grid of training and saliency, and write it as a table."""

import pandas as pd

from truemap.data.conditions import set_shown
from truemap.data.samples import read
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
    unit, kind = style.unit_of(read(snakemake.input.samples)), style.note(summary["data"].iloc[0], conditions)
    entries, attack, sequential = settings["entries"], settings["attack"], settings["style"]["sequential"]
    for criterion in ("informative", "pairwise"):
        figure = grid.grid_figure(shown, tests, criterion, entries, settings["references"], attack, sequential)
        note = f"{kind}; {grid.foot(shown, tests, criterion, unit)}"
        table = grid.drawn_grid(shown, criterion, entries, attack)
        paths = style.files_of(snakemake.output, f"grid-{criterion}")
        style.save(figure, paths, note, settings["style"]["dpi"], table)
