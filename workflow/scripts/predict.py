"""Say which measure of a dataset's maps predicts which truth, and what it costs to follow it."""

import pandas as pd

from truemap.evaluation.answers import answers, without_values
from truemap.evaluation.held_out import items_of
from truemap.evaluation.prediction import anchor_table, joined, predict
from truemap.evaluation.results import of_data, write_table
from truemap.evaluation.two_truths import two_truths
from truemap.runtime.job import job

with job(snakemake) as settings:
    files = snakemake.input
    predictions = pd.concat(map(pd.read_parquet, files.predictions)).query("split == 'test'")
    measured = pd.concat(map(pd.read_parquet, files.measured))
    # Of own classes, which alone are compared.
    scores = pd.concat(pd.read_parquet(path).query("target == label") for path in files.scores)
    # None, where all metrics ask for a twin.
    known, known_scores = (
        pd.concat(map(pd.read_parquet, paths)) if paths else alike[:0]
        for paths, alike in ((files.anchors, measured), (files.anchor_scores, scores))
    )
    conditions, swept = settings["conditions"], set(settings["swept"])
    table = joined(measured, scores, predictions, conditions)
    anchors = joined(known, known_scores, None, conditions)
    truths = two_truths(scores[~scores["model"].isin(swept)], known_scores, conditions)
    prediction = predict(table, swept, settings["guided"], settings["seed"], anchors=anchors)
    outputs = snakemake.output
    for found, paths in (
        (prediction, [outputs.parquet, outputs.tsv]),
        (pd.concat([answers(prediction), without_values(measured)]), [outputs.answers]),
        (truths, [outputs.truths]),
        (anchor_table(table, anchors), [outputs.anchors]),
        (items_of(table, swept, settings["alike"]), [outputs.ways]),
    ):
        write_table(of_data(found, snakemake.wildcards.dataset, settings["data"]), *paths)
