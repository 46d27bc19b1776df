"""Means, standard errors and paired tests, with the subject as the unit where there are subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats import rankdata
from statsmodels.stats.multitest import multipletests

from truemap.config.names import LEAST_UNITS
from truemap.evaluation.units import ENTRY, FAMILY, UNIT, over_seeds
from truemap.numerics import pearson

#: What `pairs` is of trends, and strengths that a trend needs.
STRENGTHS, LEAST_STRENGTHS = "strengths", 3
#: Values whose sd is at most this share of their size are equal: what is left is rounding.
ROUNDING = 1e-12


def summarise(
    units: pd.DataFrame,
    confidence: float = 0.95,
    group: tuple[str, str] | None = None,
    limits: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Return mean, standard error and confidence interval of each entry, by seed and over seeds.

    A unit's values are averaged over seeds before units are counted: replicates are no extra subjects.

    Parameters
    ----------
    units : DataFrame
        Of `truemap.evaluation.units`.
    confidence : float
        Of the interval.
    group : (model, method), optional
        The entry whose mean others are given as a share of: the truth of the group of training subjects.
    limits : (float, float), optional
        What values can be; default: [0, 1] for shares of maps, [-1, 1] for correlations.

    Returns
    -------
    DataFrame
        ``criterion, conditions, truth, model, method, seed, n, mean, se, ci_low, ci_high, missing, share, reason``;
        seed is a number or ``mean``. The interval is Student's t, n - 1 degrees of freedom, clipped to what can be.
        One unit, or units that are all equal (every map classified rightly), tell of no spread: se and interval are
        null then, and `reason` says why. The share is null where the group's mean is not positive.
    """
    by_seed = units.assign(seed=units["seed"].astype(str))
    both = pd.concat([over_seeds(units).assign(seed="mean"), by_seed])
    rows = []
    for key, part in both.groupby([*FAMILY, *ENTRY, "seed"], sort=False):
        ends = within(key, limits)
        values = part["value"].dropna().to_numpy()
        reasons = {*part["reason"]} - {""}
        none = reasons.pop() if len(reasons) == 1 else "no unit has a value; the scores say why"
        rows.append((*key, *mean_interval(values, ends, confidence, none), int(part["missing"].sum())))
    columns = [*FAMILY, *ENTRY, "seed", "n", "mean", "se", "ci_low", "ci_high", "reason", "missing"]
    summary = pd.DataFrame(rows, columns=columns)
    reference = summary[(summary["model"] == group[0]) & (summary["method"] == group[1])] if group else summary[:0]
    means = reference[reference["seed"] == "mean"].set_index(FAMILY)["mean"].rename("share")
    summary = summary.join(means.where(means > 0), on=FAMILY)
    return summary.assign(share=summary["mean"] / summary["share"])[[*columns[:-2], "missing", "share", "reason"]]


def within(key: tuple[str, ...], limits: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return the least and the largest possible value in a family: of shares of maps, correlations, or as `limits` say.

    `key` begins with the family's `FAMILY`.
    """
    return limits or (0.0 if dict(zip(FAMILY, key, strict=False))["truth"] == "" else -1.0, 1.0)


def mean_interval(
    values: np.ndarray, within: tuple[float, float], confidence: float = 0.95, none: str = "no unit has a value"
) -> tuple[int, float, float, float, float, str]:
    """Return n, mean, standard error, both ends of the interval, and the reason where there is no interval.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Of units, none missing.
    within : (float, float)
        What values can be; the interval is clipped to it.
    none : str
        The reason where there are no values.
    """
    n = len(values)
    mean = values.mean() if n else np.nan
    if n < 2:
        reason = "one unit: no spread to see" if n else none
        return n, mean, np.nan, np.nan, np.nan, reason
    sd = values.std(ddof=1)
    if sd <= ROUNDING * np.abs(values).max():
        return n, mean, np.nan, np.nan, np.nan, f"all {n} units have the same value: no spread to see"
    half = stats.t.ppf(0.5 + confidence / 2, n - 1) * sd / np.sqrt(n)
    return n, mean, sd / np.sqrt(n), max(within[0], mean - half), min(within[1], mean + half), ""


def compare(units: pd.DataFrame, alpha: float = 0.05, reference: str | None = None) -> pd.DataFrame:
    """Return the two-sided paired t-test of every two entries of a family, Bonferroni-corrected within it.

    The correction multiplies p by the number of tests of the family that could be made, those with a p.

    Parameters
    ----------
    units : DataFrame
        Of `truemap.evaluation.units`.
    alpha : float
        A test is significant whose corrected p is below it.
    reference : str, optional
        Model name of references. Pairs with a reference are corrected by themselves, so that references do not
        weaken the tests between methods; `pairs` says which of both a row belongs to.

    Returns
    -------
    DataFrame
        ``criterion, conditions, truth, pairs, model_a, method_a, model_b, method_b, n, difference, t, df, p,
        p_bonferroni, significant, reason``; the difference is a - b. Where fewer than three units have both values, or
        all differences are equal (up to rounding; all zero too), there is no test: t, df and the p are null, and
        `reason` says why.
    """
    tables = []
    for key, family in over_seeds(units).groupby(FAMILY, sort=False):
        wide = family.pivot(index=UNIT, columns=ENTRY, values="value")
        wide = wide[list(family[ENTRY].drop_duplicates().itertuples(index=False, name=None))]
        a, b = np.triu_indices(wide.shape[1], 1)
        names = [np.array([*entry]) for entry in zip(*wide.columns, strict=True)]
        entries = {f"{part}_{side}": names[k][at] for side, at in (("a", a), ("b", b)) for k, part in enumerate(ENTRY)}
        with_reference = (entries["model_a"] == reference) | (entries["model_b"] == reference)
        pairs = np.where(with_reference, "references", "methods")
        tests = _paired(wide.to_numpy()[:, a], wide.to_numpy()[:, b])
        tables.append(pd.DataFrame(dict(zip(FAMILY, key, strict=True)) | {"pairs": pairs} | entries | tests))
    return _corrected(tables, alpha)


def _corrected(tables: list[pd.DataFrame], alpha: float = 0.05) -> pd.DataFrame:
    """Return tests put together, Bonferroni-corrected within each family and kind of pairs."""
    columns = [*FAMILY, "pairs", "model_a", "method_a", "model_b", "method_b", "n", "difference", "t", "df", "p"]
    tests = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*columns, "reason"])
    tests["p_bonferroni"] = bonferroni(tests, [*FAMILY, "pairs"])
    tests["significant"] = tests["p_bonferroni"] < alpha
    return tests[[*columns, "p_bonferroni", "significant", "reason"]]


def bonferroni(tests: pd.DataFrame, family: Sequence[str], column: str = "p") -> pd.Series:
    """Return p times the number of tests of its family, at most 1; null where there is none, which does not count.

    Parameters
    ----------
    tests : DataFrame
        A row a test, each with an index of its own.
    family : sequence of str
        Columns that the tests of a family share.
    column : str
        Of the p.
    """
    corrected = pd.Series(np.nan, index=tests.index)
    for _, part in tests[tests[column].notna()].groupby([*family], sort=False):
        corrected[part.index] = multipletests(part[column], method="bonferroni")[1]
    return corrected


def trends(units: pd.DataFrame, swept: Mapping[str, tuple[str, float]]) -> pd.DataFrame:
    """Return how each criterion changes with the strength of training, over the candidates of each sweep.

    In each unit strength and value are correlated (Spearman; 0 where the value does not change). The mean correlation
    over units is tested against 0 by a t-test, Bonferroni-corrected over the sweeps of a family.

    Parameters
    ----------
    units : DataFrame
        Of `truemap.evaluation.units`.
    swept : mapping
        Name of a candidate -> its model and its strength.

    Returns
    -------
    DataFrame
        The columns of `compare`: a is the model and the method, b is empty, `pairs` is `STRENGTHS`, and `difference` is
        the mean correlation.
    """
    own = over_seeds(units[units["model"].isin(list(swept))])
    own["strength"] = own["model"].map({name: value for name, (_, value) in swept.items()}).astype(float)
    own["model"] = own["model"].map({name: of for name, (of, _) in swept.items()})
    tables = []
    for (*key, model, method), part in own.groupby([*FAMILY, *ENTRY], sort=False):
        every = part.pivot(index=UNIT, columns="strength", values="value")
        wide = every.dropna()
        strengths, values = wide.columns.to_numpy(), wide.to_numpy()
        rho = pearson(np.tile(rankdata(strengths), (len(values), 1)), rankdata(values, axis=1))
        rho = np.where(np.ptp(values, axis=1) == 0, 0.0, rho) if len(strengths) >= LEAST_STRENGTHS else rho * np.nan
        entry = dict(zip(FAMILY, key, strict=True)) | {"pairs": STRENGTHS, "model_a": model, "method_a": method}
        tests = _paired(rho[:, None])
        if len(strengths) < LEAST_STRENGTHS:
            tests["reason"][:] = f"no test: a sweep of fewer than {LEAST_STRENGTHS} strengths"
        elif not len(values):
            none = ", ".join(f"{strength:g}" for strength in every.columns[every.isna().all()])
            where = f"at strength {none}" if none else "at every strength"
            tests["reason"][:] = f"no test: no unit has a value {where}"
        tables.append(pd.DataFrame(entry | {"model_b": "", "method_b": ""} | tests))
    return _corrected(tables)


def _paired(a: np.ndarray, b: np.ndarray | float = 0.0) -> dict[str, np.ndarray]:
    """Return n, mean of a - b, t, df and p of each column, and the reason where there is no test."""
    differences = a - b
    found = np.isfinite(differences)
    n = found.sum(0)
    t, p, mean, sd = (np.full(len(n), np.nan) for _ in range(4))
    mean[n > 0] = np.nanmean(differences[:, n > 0], axis=0)
    some = n > 1
    sd[some] = np.nanstd(differences[:, some], axis=0, ddof=1)
    # Rounding is that of the values compared: where these are equal, it is all there is to their differences.
    size = np.where(found, np.maximum(np.abs(a), np.abs(b)), 0.0).max(0, initial=0.0)
    enough = n >= LEAST_UNITS
    tested = enough & (sd > ROUNDING * size)
    for complete in (True, False):
        # scipy leaves missing values out column by column, which takes long: only where there are any.
        some = tested & (found.all(0) == complete)
        if some.any():
            result = stats.ttest_1samp(differences[:, some], 0.0, axis=0, nan_policy="omit")
            t[some], p[some] = result.statistic, result.pvalue
    equal = np.where(
        np.abs(mean) <= ROUNDING * size, "no test: no unit differs", "no test: all units differ by the same"
    )
    reason = np.where(tested, "", np.where(enough, equal, "no test: fewer than three units have both values"))
    df = np.where(tested, n - 1.0, np.nan)
    return {"n": n, "difference": mean, "t": t, "df": df, "p": p, "reason": reason.astype(object)}
