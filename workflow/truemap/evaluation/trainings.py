"""Trainings are a sample too: what means and differences are worth beyond the networks that were trained.

A paired t-test over subjects speaks of the networks that were trained, and of no other training. With three seeds or
more both are sampled, subjects and trainings, and cross: each network meets each subject. The variance of a mean is
then that of a bootstrap over subjects plus that of one over trainings (a two-level bootstrap), n - 1 of n drawn,
which has a closed form and needs no draws:

.. math:: v = s_u^2 / U + s_t^2 / T

with s_u the sd over U units of their means over trainings, s_t that over T trainings of their means over units. What
units and trainings have together (interaction) counts twice in it, so that it is rather too large than too small (Owen
2007, "The pigeonhole bootstrap"). Intervals and p are Student's t with Welch and Satterthwaite's degrees of freedom:
with three trainings that differ much, two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from truemap.config.names import REFERENCE
from truemap.evaluation.statistics import ROUNDING, bonferroni, within
from truemap.evaluation.units import ENTRY, FAMILY, UNIT

#: Trainings from which on their spread is told.
LEAST_TRAININGS = 3
SUMMARY = ["trainings", "sd_trainings", "se_two_level", "ci_low_two_level", "ci_high_two_level"]
COMPARISONS = [
    "trainings_a", "trainings_b", "se_two_level", "df_two_level", "ci_low_two_level", "ci_high_two_level",
    "p_two_level", "p_two_level_bonferroni", "significant_two_level",
]  # fmt: skip


def two_level(levels: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a mean whose variance is the sum of several levels'.

    Parameters
    ----------
    levels : sequence of (variance, degrees of freedom)
        Of the mean, by each level that is sampled.

    Returns
    -------
    se, df : float
        ``df = v^2 / sum(v_i^2 / df_i)`` (Satterthwaite 1946); NaN where there is no spread at all.
    """
    total = sum(variance for variance, _ in levels)
    parts = sum(variance**2 / df for variance, df in levels)
    return float(np.sqrt(total)), float(total**2 / parts) if parts > 0 else np.nan


def with_trainings(
    summary: pd.DataFrame,
    units: pd.DataFrame,
    confidence: float = 0.95,
    limits: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Return the summary with the spread between trainings, where a model has three or more; else as it is.

    Parameters
    ----------
    summary, units : DataFrame
        Of `truemap.evaluation.statistics.summarise`, and what it was made from.
    limits : (float, float), optional
        As there.

    Returns
    -------
    DataFrame
        Beside the summary's columns `SUMMARY`, in rows over seeds: the number of trainings, the sd of their means, and
        the two-level standard error and interval (clipped to what can be); null where there are fewer trainings, or all
        values are equal.
    """
    keys, rows = [*FAMILY, *ENTRY], {}
    for key, part in units.groupby(keys, sort=False):
        wide = part.pivot_table(index=UNIT, columns="seed", values="value", sort=False)
        if wide.shape[1] >= LEAST_TRAININGS and len(wide) > 1:
            levels = [level(wide.mean(axis=k).to_numpy()) for k in (1, 0)]
            se, df = two_level(levels)
            mean = wide.mean(axis=1).mean()
            if se <= ROUNDING * abs(mean):  # all equal: no spread to see
                continue
            half = stats.t.ppf(0.5 + confidence / 2, df) * se
            low, high = within(key, limits)
            ends = max(low, mean - half), min(high, mean + half)
            rows[*key, "mean"] = (wide.shape[1], wide.mean(axis=0).std(ddof=1), se, *ends)
    if not rows:
        return summary
    found = pd.DataFrame(list(rows.values()), pd.MultiIndex.from_tuples(rows, names=[*keys, "seed"]), SUMMARY)
    return summary.join(found.astype({"trainings": "Int64"}), on=found.index.names)


def compare_trainings(
    tests: pd.DataFrame, units: pd.DataFrame, alpha: float = 0.05, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the paired tests with two-level ones beside, where a model has three trainings or more; else as they are.

    Trainings of two models are independent samples; two methods of one model share them. References have none.

    Parameters
    ----------
    tests, units : DataFrame
        Of `truemap.evaluation.statistics.compare`, and what it was made from.

    Returns
    -------
    DataFrame
        Beside the tests' columns `COMPARISONS`; null where one of both has fewer trainings. Corrected as others are.
    """
    if not (units.groupby(ENTRY)["seed"].nunique() >= LEAST_TRAININGS).any():
        return tests
    parts = []
    for key, part in tests.groupby(FAMILY, sort=False):
        own = units[(units[FAMILY] == list(key)).all(axis=1)]
        of_units = own.pivot_table(index=UNIT, columns=ENTRY, values="value", sort=False).cov()
        of_trainings = own.pivot_table(index=ENTRY, columns="seed", values="value", sort=False)
        parts.append(part.assign(**_tested(part, of_units, of_trainings.loc[of_units.index], confidence)))
    found = pd.concat(parts).loc[tests.index]
    found["p_two_level_bonferroni"] = bonferroni(found, [*FAMILY, "pairs"], "p_two_level")
    found["significant_two_level"] = found["p_two_level_bonferroni"] < alpha
    return found[[*tests.columns, *COMPARISONS]]


def _tested(
    part: pd.DataFrame, of_units: pd.DataFrame, of_trainings: pd.DataFrame, confidence: float
) -> dict[str, np.ndarray]:
    """Return the columns of one family's tests but for the correction.

    Parameters
    ----------
    of_units : DataFrame
        Covariance of every two entries over units.
    of_trainings : DataFrame
        Means of the same entries (rows) of each seed.
    """
    place = {entry: number for number, entry in enumerate(of_units.index)}
    covariance, means = of_units.to_numpy(), of_trainings.to_numpy()
    counts = np.isfinite(means).sum(axis=1)
    rows = []
    for row in part.itertuples(index=False):
        sides = [(row.model_a, row.method_a), (row.model_b, row.method_b)]
        sampled = [place[entry] for entry in sides if entry[0] != REFERENCE and entry in place]
        numbers = [counts[place[entry]] if entry[0] != REFERENCE and entry in place else 0 for entry in sides]
        if np.isnan(row.p) or not sampled or counts[sampled].min() < LEAST_TRAININGS:
            rows.append((*numbers, *[np.nan] * 5))
            continue
        a, b = (place[entry] for entry in sides)
        of_both = covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]
        # Methods of one model explain the same trainings.
        samples = [means[a] - means[b]] if row.model_a == row.model_b else list(means[sampled])
        se, df = two_level([(float(of_both / row.n), row.n - 1), *(level(values) for values in samples)])
        half = stats.t.ppf(0.5 + confidence / 2, df) * se
        p = 2 * stats.t.sf(abs(row.difference) / se, df)
        rows.append((*numbers, se, df, row.difference - half, row.difference + half, p))
    names = [name for name in COMPARISONS if name not in ("p_two_level_bonferroni", "significant_two_level")]
    return dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))


def level(means: np.ndarray) -> tuple[float, int]:
    """Return the variance of the mean of independent values, and its degrees of freedom."""
    known = means[np.isfinite(means)]
    return float(known.var(ddof=1) / len(known)), len(known) - 1
