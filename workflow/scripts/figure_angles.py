"""Draw histograms of angles of directions, beside random ones."""

import pandas as pd

from truemap.evaluation.results import of_data
from truemap.figures import angles, style
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    table = pd.concat(map(pd.read_parquet, snakemake.input), ignore_index=True)
    drawn = angles.drawn_angles(table)
    figure = angles.angles_figure(drawn, settings["labels"])
    note = f"{settings['data']}; {angles.foot(table, drawn)}"
    rows = of_data(drawn, snakemake.wildcards.dataset, settings["data"])
    style.save(figure, style.files_of(snakemake.output, "angles"), note, settings["style"]["dpi"], rows)
