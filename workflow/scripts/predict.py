"""Say which measure of a dataset's maps predicts which truth, and what it costs to follow it."""

import pandas as pd

from truemap.evaluation.held_out import items_of
from truemap.evaluation.prediction import anchor_table, answers, joined, predict
from truemap.evaluation.results import of_data, write_table
from truemap.runtime.job import job

with job(snakemake) as settings:
    files = snakemake.input
    predictions = pd.concat(map(pd.read_parquet, files.predictions)).query("split == 'test'")
    table, anchors = (
        joined(*(pd.concat(map(pd.read_parquet, paths)) for paths in both), accuracies, settings["conditions"])
        for both, accuracies in (
            ((files.measured, files.scores), predictions),
            ((files.anchors, files.anchor_scores), None),
        )
    )
    prediction = predict(table, settings["swept"], settings["guided"], settings["seed"], anchors=anchors)
    outputs = snakemake.output
    for found, paths in (
        (prediction, [outputs.parquet, outputs.tsv]),
        (answers(prediction), [outputs.answers]),
        (anchor_table(table, anchors), [outputs.anchors]),
        (items_of(table, set(settings["swept"]), settings["alike"]), [outputs.ways]),
    ):
        write_table(of_data(found, snakemake.wildcards.dataset, settings["data"]), *paths)
