"""Draw how far maps can be changed, and say in words what protects them."""

import pandas as pd

from truemap.data.conditions import set_shown
from truemap.data.grid import read_grid
from truemap.evaluation.dimension import dimension_answers
from truemap.evaluation.fragility_answers import fragility_answers
from truemap.evaluation.results import of_data, write_table
from truemap.figures import before_after, fragility, style
from truemap.figures.fragility_page import fragility_page
from truemap.runtime.files import write_text
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    summary, pairs = pd.read_parquet(snakemake.input.summary), pd.read_parquet(snakemake.input.pairs)
    asked, done, dataset = settings["asked"], settings["done"], snakemake.wildcards.dataset
    conditions = set_shown(summary.loc[summary["conditions"] != "", "conditions"], asked["conditions"])
    truth = style.truth_shown(summary, asked["truth"])
    answers = fragility_answers(summary, pairs, {**asked, "truth": truth, "conditions": conditions})
    if snakemake.input.dimension:
        answers = pd.concat([answers, dimension_answers(pd.read_parquet(snakemake.input.dimension[0]), asked)])
    write_table(of_data(answers, dataset, settings["data"]), snakemake.output.answers)
    rows = fragility.drawn_fragility(summary, truth, conditions)
    write_table(rows, snakemake.output.tsv)
    for panel in fragility.PANELS:
        figure = fragility.fragility_figure(rows, panel, asked["labels"], asked["random"], done["unit"])
        paths = [path for path in snakemake.output if path.endswith((f"-{panel}.png", f"-{panel}.svg"))]
        note = f"{style.note(settings['data'], conditions)}; {fragility.foot(rows, panel)}"
        style.save(figure, paths, note, settings["style"]["dpi"])
    attacked, grid = pd.concat(map(pd.read_parquet, snakemake.input.attacked)), read_grid(snakemake.input.grid)
    maps = before_after.drawn_maps(attacked, map(pd.read_parquet, snakemake.input.example), grid, truth, conditions)
    figure = before_after.before_after_figure(maps, asked["labels"], settings["style"]["colormap"])
    note = f"{settings['data']}; {before_after.foot(maps)}"
    table = of_data(maps.drop(columns=["picture", "place"]), dataset, settings["data"])
    style.save(figure, style.files_of(snakemake.output, "fragility-maps"), note, settings["style"]["dpi"], table)
    page = fragility_page(answers, rows, done, dataset, settings["data"])
    write_text(snakemake.output.page, page)
