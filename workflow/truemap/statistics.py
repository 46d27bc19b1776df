"""Means, standard errors and paired tests, with the subject as the unit where there are subjects."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

#: What a mean or a test is of: a family of comparisons shares these.
FAMILY = ["criterion", "conditions"]
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
        ``model, seed, method, sample, subject, criterion, conditions, r``.

    Returns
    -------
    DataFrame
        ``criterion, conditions, model, method, seed, unit, value, missing``; `missing` counts null r.
    """
    keys = [*FAMILY, *ENTRY, "seed", "subject", "sample"]
    samples = (
        scores.groupby(keys, sort=False)["r"].agg(value="mean", missing=lambda r: int(r.isna().sum())).reset_index()
    )
    return _to_units(samples)


def accuracy_units(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return each unit's accuracy, in the columns of `agreement_units` (criterion ``accuracy``, method empty).

    Parameters
    ----------
    predictions : DataFrame
        ``model, seed, sample, subject, negated, correct`` of the test split.
    """
    table = predictions.assign(criterion="accuracy", method="", value=predictions["correct"].astype(float), missing=0)
    sets = [table.assign(conditions="all")]
    if table["negated"].any():
        sets.append(table[~table["negated"]].assign(conditions="no_negated"))
    return _to_units(pd.concat(sets))


def _to_units(samples: pd.DataFrame) -> pd.DataFrame:
    unit = samples["subject"].where(samples["subject"] != "", "sample " + samples["sample"].astype(str))
    keys = [*FAMILY, *ENTRY, "seed", UNIT]
    return (
        samples.assign(unit=unit)
        .groupby(keys, sort=False)
        .agg(value=("value", "mean"), missing=("missing", "sum"))
        .reset_index()
    )


def summarise(units: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return mean, standard error and confidence interval of each entry, by seed and over seeds.

    A unit's values are averaged over seeds before units are counted: replicates are no extra subjects.

    Returns
    -------
    DataFrame
        ``criterion, conditions, model, method, seed, n, mean, se, ci_low, ci_high, missing``; seed is a
        number or ``mean``. The interval is Student's t, n - 1 degrees of freedom.
    """
    by_seed = units.assign(seed=units["seed"].astype(str))
    both = pd.concat([_over_seeds(units).assign(seed="mean"), by_seed])
    rows = []
    for key, part in both.groupby([*FAMILY, *ENTRY, "seed"], sort=False):
        values = part["value"].dropna().to_numpy()
        n = len(values)
        mean = values.mean() if n else np.nan
        se = values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
        half = stats.t.ppf(0.5 + confidence / 2, n - 1) * se if n > 1 else np.nan
        rows.append((*key, n, mean, se, mean - half, mean + half, int(part["missing"].sum())))
    columns = [*FAMILY, *ENTRY, "seed", "n", "mean", "se", "ci_low", "ci_high", "missing"]
    return pd.DataFrame(rows, columns=columns)


def compare(units: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Return the two-sided paired t-test of every two entries of a family, Bonferroni-corrected within it.

    Returns
    -------
    DataFrame
        ``criterion, conditions, model_a, method_a, model_b, method_b, n, difference, t, df, p,
        p_bonferroni, significant``; the difference is a - b. Entries that do not differ in any unit have p = 1.
    """
    averaged = _over_seeds(units)
    columns = [*FAMILY, "model_a", "method_a", "model_b", "method_b", "n", "difference", "t", "df", "p"]
    frames = []
    for key, family in averaged.groupby(FAMILY, sort=False):
        entries = family.groupby(ENTRY, sort=False)
        wide = pd.DataFrame({entry: part.set_index(UNIT)["value"] for entry, part in entries})
        rows = [(*key, *a, *b, *_paired(wide[a], wide[b])) for a, b in itertools.combinations(wide.columns, 2)]
        frame = pd.DataFrame(rows, columns=columns)
        tested = frame["p"].notna()
        frame["p_bonferroni"] = np.nan
        if tested.any():
            corrected = multipletests(frame.loc[tested, "p"], method="bonferroni")[1]
            frame.loc[tested, "p_bonferroni"] = corrected
        frames.append(frame.assign(significant=frame["p_bonferroni"] < alpha))
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled or frames[:1], ignore_index=True)


def _over_seeds(units: pd.DataFrame) -> pd.DataFrame:
    keys = [*FAMILY, *ENTRY, UNIT]
    return units.groupby(keys, sort=False).agg(value=("value", "mean"), missing=("missing", "sum")).reset_index()


def _paired(a: pd.Series, b: pd.Series) -> tuple[int, float, float, float, float]:
    both = a.notna() & b.notna()
    n = int(both.sum())
    if n < 2:
        return n, float((a - b)[both].mean()), np.nan, np.nan, np.nan
    difference = (a[both] - b[both]).to_numpy()
    if np.all(difference == 0):
        return n, 0.0, 0.0, n - 1.0, 1.0
    result = stats.ttest_rel(a[both], b[both])
    return n, float(difference.mean()), float(result.statistic), float(result.df), float(result.pvalue)
