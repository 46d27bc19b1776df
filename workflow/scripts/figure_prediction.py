"""Draw which measure predicts which truth, and what following a measure costs."""

import pandas as pd

from truemap.evaluation.results import read_table
from truemap.figures import prediction, style
from truemap.figures.prediction_page import prediction_page
from truemap.runtime.files import write_text
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    found = pd.read_parquet(snakemake.input[0])
    for name, rows, figure in (
        ("tau", taus := prediction.drawn_taus(found), prediction.tau_figure(taus)),
        ("regret", regrets := prediction.drawn_regrets(found), prediction.regret_figure(regrets)),
    ):
        paths = style.files_of(snakemake.output, f"prediction-{name}")
        filled = "; filled: p < .05 (max-T over measures) and 0 outside the interval" if name == "tau" else ""
        note = f"{settings['data']}; {prediction.foot(rows)}{filled}"
        style.save(figure, paths, note, settings["style"]["dpi"], rows)
    files = snakemake.input
    answers, truths, anchors = map(read_table, (files.answers, files.truths, files.anchors))
    # A column of nothing is read as numbers.
    truths["method"] = truths["method"].astype(object).fillna("")
    page = prediction_page(answers, truths, anchors, settings["done"], snakemake.wildcards.dataset, settings["data"])
    write_text(snakemake.output.page, page)
