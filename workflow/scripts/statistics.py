"""Summarise agreement and accuracy of all models of a dataset, and test every pair."""

import pandas as pd

from truemap.files import whole
from truemap.job import job
from truemap.methods import method
from truemap.statistics import accuracy_units, agreement_units, compare, summarise

with job(snakemake) as settings:
    source, options = method("datasets", settings["source"])
    entries = settings["entries"]
    scores = [
        pd.read_parquet(path).assign(model=entry["model"], seed=entry["seed"], method=entry["method"])
        for path, entry in zip(snakemake.input.scores, entries, strict=True)
    ]
    predictions = [
        pd.read_parquet(path).query("split == 'test'").assign(model=entry["model"], seed=entry["seed"])
        for path, entry in zip(snakemake.input.predictions, settings["models"], strict=True)
    ]
    units = pd.concat([agreement_units(pd.concat(scores)), accuracy_units(pd.concat(predictions))])
    for name, table in (("summary", summarise(units)), ("comparisons", compare(units))):
        table.insert(0, "data", source.kind(options))
        table.insert(0, "dataset", snakemake.wildcards.dataset)
        with whole(snakemake.output[f"{name}_parquet"]) as path:
            table.to_parquet(path, index=False)
        with whole(snakemake.output[f"{name}_tsv"]) as path:
            table.to_csv(path, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
