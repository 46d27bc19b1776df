"""Say which measure of a dataset's maps predicts which truth, and what it costs to follow it."""

import pandas as pd

from truemap.evaluation.prediction import answers, joined, predict
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    files = snakemake.input
    measured, scores = (pd.concat(map(pd.read_parquet, paths)) for paths in (files.measured, files.scores))
    predictions = pd.concat(map(pd.read_parquet, files.predictions)).query("split == 'test'")
    table = joined(measured, scores, predictions, settings["conditions"])
    prediction = predict(table, settings["swept"], settings["guided"], settings["seed"])
    said = answers(prediction)
    for found in (prediction, said):
        found.insert(0, "data", settings["data"])
        found.insert(0, "dataset", snakemake.wildcards.dataset)
    with whole(snakemake.output.parquet) as path:
        prediction.to_parquet(path, index=False)
    for found, output in ((prediction, snakemake.output.tsv), (said, snakemake.output.answers)):
        with whole(output) as path:
            found.to_csv(path, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
