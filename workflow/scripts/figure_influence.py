"""Draw which training maps a prediction hangs on before and after an attack, and say what attacks came to."""

import pandas as pd

from truemap.data.grid import read_grid
from truemap.evaluation.influence import influence_answers
from truemap.evaluation.results import of_data, write_table
from truemap.figures import influence, style
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    files, look = snakemake.input, settings["style"]
    summary, pairs, example = map(pd.read_parquet, (files.summary, files.pairs, files.example[0]))
    answers = influence_answers(summary, pairs, settings)
    write_table(of_data(answers, snakemake.wildcards.dataset, settings["data"]), snakemake.output.answers)
    grid = read_grid(files.grid)
    figure = influence.influence_figure(example, summary, grid, settings["labels"], settings["top"], look["colormap"])
    table = of_data(influence.drawn_influence(example, summary), snakemake.wildcards.dataset, settings["data"])
    note = f"{settings['data']}; {influence.foot(example, summary, grid, settings['labels'])}"
    style.save(figure, style.files_of(snakemake.output, "influence"), note, look["dpi"], table)
