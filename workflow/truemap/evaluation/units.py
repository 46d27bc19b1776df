"""Values of units: test subjects, or images where there are no subjects. Replicates and maps are no units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, BY_DESIGN, NETWORK, NO_NETWORK
from truemap.data.conditions import in_set
from truemap.data.rows import owners

#: What a mean or a test is of: a family of comparisons shares these.
FAMILY = ["criterion", "conditions", "truth"]
#: What is compared within a family.
ENTRY = ["model", "method"]
UNIT = "unit"


def agreement_units(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one value a unit from the scores of single maps.

    A sample's pairwise values are averaged over its incorrect classes first (section 3.3), then a subject's
    samples are averaged; where there are no subjects each sample is a unit.

    Parameters
    ----------
    scores : DataFrame
        ``model, seed, method, sample, subject, criterion, conditions, truth, r, reason``.

    Returns
    -------
    DataFrame
        ``criterion, conditions, truth, model, method, seed, unit, value, missing, reason``; `missing` counts null r,
        but for those that the set of conditions or the truth leaves out by design (`truemap.config.names.BY_DESIGN`).
        The reason is the first why a unit without a value has none.
    """
    keys = [*FAMILY, *ENTRY, "seed", "subject", "sample"]
    missing = scores["r"].isna() & ~scores["reason"].str.startswith(BY_DESIGN)
    samples = scores.assign(missing=missing.astype(int)).groupby(keys, sort=False)
    found = samples.agg(value=("r", "mean"), missing=("missing", "sum"), reason=("reason", "first"))
    return to_units(found.reset_index())


def share_units(
    table: pd.DataFrame, right: str, criterion: str, sets: Sequence[str], chosen: Sequence[str] = ()
) -> pd.DataFrame:
    """Return each unit's share of maps that are right, in the columns of `agreement_units` (truth empty).

    Parameters
    ----------
    table : DataFrame
        ``model, seed, method, sample, subject, condition, negated`` and the column `right` of test maps.
    criterion : str
        What the share is called: ``accuracy``, ``robust_accuracy``.
    sets : sequence of str
        The dataset's (`truemap.data.conditions.condition_sets`); `table` may hold a part of its maps.
    chosen : sequence of str
        See `truemap.data.conditions.in_set`.
    """
    table = table.assign(criterion=criterion, truth="", value=table[right].astype(float), missing=0, reason="")
    return to_units(pd.concat([table[in_set(table, name, chosen)].assign(conditions=name) for name in sets]))


def without_network(
    units: pd.DataFrame, models: Sequence[str], attacks: Iterable[str], network: bool = False
) -> pd.DataFrame:
    """Return what models lack that are maps from elsewhere, as null values in the form of `agreement_units`.

    These are accuracies, robust ones too, and the agreement of each of their methods with the network.

    Parameters
    ----------
    units : DataFrame
        Of `agreement_units`.
    network : bool
        Whether the maps of other models are compared with their networks.
    """
    own = units[units["model"].isin(models)]
    shares = [("accuracy", ""), *(("robust_accuracy", attack) for attack in attacks)]
    null = {"value": np.nan, "missing": 0, "reason": NO_NETWORK}
    models_units = own.drop_duplicates(["conditions", "model", "seed", UNIT]).assign(truth="", **null)
    lacking = [models_units.assign(criterion=criterion, method=method) for criterion, method in shares]
    if network:
        of_methods = own.drop_duplicates(["conditions", *ENTRY, "seed", UNIT]).assign(truth=NETWORK, **null)
        lacking += [of_methods.assign(criterion=criterion) for criterion in (NETWORK, f"{NETWORK}{ABSOLUTE}")]
    return pd.concat(lacking)


def to_units(samples: pd.DataFrame) -> pd.DataFrame:
    """Return one value a unit, in the columns of `agreement_units`, from those of single maps and their subjects."""
    unit = owners(samples, "sample " + samples["sample"].astype(str))
    keys = [*FAMILY, *ENTRY, "seed", UNIT]
    return (
        samples.assign(unit=unit)
        .groupby(keys, sort=False)
        .agg(value=("value", "mean"), missing=("missing", "sum"), reason=("reason", "first"))
        .reset_index()
    )


def over_seeds(units: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each unit over the seeds of an entry: replicates are no extra units."""
    keys = [*FAMILY, *ENTRY, UNIT]
    of_units = {"value": ("value", "mean"), "missing": ("missing", "sum"), "reason": ("reason", "first")}
    return units.groupby(keys, sort=False).agg(**of_units).reset_index()
