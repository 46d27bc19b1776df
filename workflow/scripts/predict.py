"""Say which measure of a dataset's maps predicts which truth, and what it costs to follow it."""

import pandas as pd

from truemap.evaluation.prediction import answers, joined, predict
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    files = snakemake.input
    measured, scores = (pd.concat(map(pd.read_parquet, paths)) for paths in (files.measured, files.scores))
    predictions = pd.concat(map(pd.read_parquet, files.predictions)).query("split == 'test'")
    table = joined(measured, scores, predictions, settings["conditions"])
    prediction = predict(table, settings["swept"], settings["guided"], settings["seed"])
    outputs = snakemake.output
    for found, paths in ((prediction, [outputs.parquet, outputs.tsv]), (answers(prediction), [outputs.answers])):
        write_table(of_data(found, snakemake.wildcards.dataset, settings["data"]), *paths)
