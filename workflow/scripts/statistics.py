"""Summarise agreement and accuracy of all models and references of a dataset, and test every pair."""

import pandas as pd

from truemap.config.names import REFERENCE
from truemap.data.conditions import condition_sets
from truemap.evaluation.results import of_data, write_table
from truemap.evaluation.statistics import compare, summarise
from truemap.evaluation.trainings import compare_trainings, with_trainings
from truemap.evaluation.units import agreement_units, share_units, without_network
from truemap.runtime.job import job

with job(snakemake) as settings:
    files = snakemake.input
    # By file: the scores of single maps may be millions.
    scores = (agreement_units(pd.read_parquet(path)) for path in [*files.scores, *files.references])
    units = [pd.concat(scores, ignore_index=True)]
    if settings["given"]:
        units.append(without_network(units[0], settings["given"], settings["attacks"], "network" in settings))
    if files.predictions:
        predictions = pd.concat(map(pd.read_parquet, files.predictions)).query("split == 'test'").assign(method="")
        # Of all test maps: those that were attacked may hold no negated one.
        sets = condition_sets(predictions["negated"], settings["chosen"])
        units.append(share_units(predictions, "correct", "accuracy", sets, settings["chosen"]))
    if files.robustness:
        attacked = pd.concat(map(pd.read_parquet, files.robustness))
        units.append(share_units(attacked, "robust", "robust_accuracy", sets, settings["chosen"]))
    units = pd.concat(units, ignore_index=True)
    group = (REFERENCE, settings["group"]) if settings["group"] else None
    # Candidates of a sweep are no finalists: they are summed up, not tested.
    finalists = units[~units["model"].isin(settings["swept"])]
    write_table(of_data(units, snakemake.wildcards.dataset, settings["data"]), snakemake.output.units)
    for name, table in (
        ("summary", with_trainings(summarise(units, group=group), units)),
        ("comparisons", compare_trainings(compare(finalists, reference=REFERENCE), finalists)),
    ):
        table = of_data(table, snakemake.wildcards.dataset, settings["data"])
        write_table(table, snakemake.output[f"{name}_parquet"], snakemake.output[f"{name}_tsv"])
