"""What measures of maps came to, in the form of what agreement came to: units, summaries, comparisons."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from truemap.config.names import NO_NETWORK
from truemap.evaluation.statistics import compare, summarise
from truemap.evaluation.trainings import SUMMARY, compare_trainings, with_trainings
from truemap.evaluation.units import ENTRY, FAMILY, UNIT, to_units

#: A family is a measure of maps; which way is better and whose measure it is hang on it alone.
OF_MEASURE = {"measure": "criterion", "metric": "conditions", "direction": "truth"}
#: What values can be: anything, by what is measured.
LIMITS = (-np.inf, np.inf)


def measure_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return one value a unit and measure, in the columns of `agreement_units`: see `OF_MEASURE`.

    Parameters
    ----------
    table : DataFrame
        ``model, seed, method, metric, sample, subject, measure, value, direction, reason`` of single maps.
    """
    return to_units(table.rename(columns=OF_MEASURE).assign(missing=table["value"].isna().astype(int)))


def measure_summary(table: pd.DataFrame, given: Iterable[Sequence[str]] = (), confidence: float = 0.95) -> pd.DataFrame:
    """Return mean, standard error and interval of each measure of networks' maps, by seed and over seeds.

    Parameters
    ----------
    table : DataFrame
        ``model, seed, method, metric, explained, sample, subject, measure, value, direction, reason``.
    given : iterable of (model, method)
        Maps from elsewhere: they get a null row a measure, as there is no network to ask.

    Returns
    -------
    DataFrame
        ``metric, measure, direction, model, method, seed, maps, explained, n, mean, se, ci_low, ci_high, missing,
        reason``; of `explained` maps so many were measured (`maps`). n counts subjects (samples, where there are none).
        The interval is Student's t, as in `summarise`, and not clipped. With three trainings or more the columns of
        `truemap.evaluation.trainings.with_trainings` too.
    """
    units = [measure_units(table)]
    for model, method in given:
        null = {"model": model, "method": method, "seed": 0, UNIT: "", "value": np.nan, "missing": 0}
        units.append(units[0][FAMILY].drop_duplicates().assign(**null, reason=NO_NETWORK))
    names, of_all = {name: column for column, name in OF_MEASURE.items()}, pd.concat(units, ignore_index=True)
    found = with_trainings(summarise(of_all, confidence, limits=LIMITS), of_all, confidence, LIMITS)
    found = found.rename(columns=names)
    counted = table.groupby(["metric", "model", "method"])
    counts = pd.DataFrame({"maps": counted["sample"].nunique(), "explained": counted["explained"].first()})
    found = found.join(counts, on=counts.index.names).fillna({"maps": 0, "explained": 0})
    found = found.astype({"maps": int, "explained": int})
    first = ["metric", "measure", "direction", *ENTRY, "seed", "maps", "explained", "n", "mean", "se"]
    return found[[*first, "ci_low", "ci_high", "missing", "reason", *found.columns.intersection(SUMMARY, sort=False)]]


def of_measures(
    units: pd.DataFrame, reliable: pd.DataFrame, swept: Collection[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what measures of maps came to, in the form of a dataset's summary and comparisons.

    Parameters
    ----------
    units : DataFrame
        Of `measure_units`.
    reliable : DataFrame
        See `truemap.evaluation.reliability.reliability`. Its kinds are criteria; the method is the measure, and of two
        measures (or labels) both, with a slash between.
    swept : collection of str
        Candidates of sweeps, which are not compared.
    """
    finalists = units[~units["model"].isin(swept)]
    summary = with_trainings(summarise(units, limits=LIMITS), units, limits=LIMITS)
    method = reliable["measure"].where(
        reliable["other_measure"] == "", reliable["measure"] + "/" + reliable["other_measure"]
    )
    named = reliable.assign(criterion=reliable["reliability"], conditions=reliable["metric"], method=method)
    named["reason"] = named["reason"].replace("", "no interval: one value a network")
    means = named.groupby(["criterion", "conditions", "model", "method"], sort=False)
    of_kinds = means.agg(mean=("value", "mean"), reason=("reason", "first")).reset_index().assign(truth="", seed="mean")
    return pd.concat([summary, of_kinds]), compare_trainings(compare(finalists), finalists)
