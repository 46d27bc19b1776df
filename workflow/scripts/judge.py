"""Judge the published claims that a dataset has numbers for."""

import pandas as pd

from truemap.evaluation.angle_summary import of_angles
from truemap.evaluation.claims import judge, read_claims
from truemap.evaluation.dimension import of_dimension
from truemap.evaluation.fragility_pairs import of_attacks
from truemap.evaluation.influence import of_influences
from truemap.evaluation.measures import measure_units, of_measures
from truemap.evaluation.statistics import trends
from truemap.evaluation.units import share_units
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    files, swept = snakemake.input, settings.pop("swept")
    summary, comparisons = ([pd.read_parquet(path)] for path in (files.summary, files.comparisons))
    units = []
    if files.measured:
        units.append(measure_units(pd.concat(map(pd.read_parquet, files.measured))))
        found = of_measures(units[0], pd.read_parquet(files.reliability[0]), swept)
        for tables, table in zip((summary, comparisons), found, strict=True):
            tables.append(table.assign(dataset=snakemake.wildcards.dataset))
    if files.attacked:
        found = of_attacks(pd.read_parquet(files.attacked[0]), pd.read_parquet(files.attacked_pairs[0]))
        for tables, table in zip((summary, comparisons), found, strict=True):
            tables.append(table)
    if files.dimension:
        comparisons.append(of_dimension(pd.read_parquet(files.dimension[0])))
    if files.influences:
        found = of_influences(pd.read_parquet(files.influences[0]), pd.read_parquet(files.influence_pairs[0]))
        for tables, table in zip((summary, comparisons), found, strict=True):
            tables.append(table)
    if files.angles:
        summary.append(of_angles(pd.read_parquet(files.angles[0])))
    if swept:
        predictions = pd.concat(map(pd.read_parquet, files.predictions)).query("split == 'test'").assign(method="")
        units.append(share_units(predictions, "correct", "accuracy", ["all"]))
        comparisons.append(trends(pd.concat(units), swept).assign(dataset=snakemake.wildcards.dataset))
    numbers = pd.concat(summary), pd.concat(comparisons)
    claims = judge(read_claims(files.published), *numbers, snakemake.wildcards.dataset, settings)
    with whole(snakemake.output[0]) as path:
        claims.to_csv(path, sep="\t", index=False, lineterminator="\n")
