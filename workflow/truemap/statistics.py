"""Means, standard errors and paired tests, with the subject as the unit where there are subjects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from truemap.conditions import condition_sets, in_set

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
        ``model, seed, method, sample, subject, criterion, conditions, truth, r``.

    Returns
    -------
    DataFrame
        ``criterion, conditions, truth, model, method, seed, unit, value, missing``; `missing` counts null r.
    """
    keys = [*FAMILY, *ENTRY, "seed", "subject", "sample"]
    samples = (
        scores.groupby(keys, sort=False)["r"].agg(value="mean", missing=lambda r: int(r.isna().sum())).reset_index()
    )
    return _to_units(samples)


def share_units(table: pd.DataFrame, right: str, criterion: str, chosen: Sequence[str] = ()) -> pd.DataFrame:
    """Return each unit's share of maps that are right, in the columns of `agreement_units` (truth empty).

    Parameters
    ----------
    table : DataFrame
        ``model, seed, method, sample, subject, condition, negated`` and the column `right` of test maps.
    criterion : str
        What the share is called: ``accuracy``, ``robust_accuracy``.
    chosen : sequence of str
        See `truemap.conditions.in_set`.
    """
    table = table.assign(criterion=criterion, truth="", value=table[right].astype(float), missing=0)
    sets = condition_sets(table["negated"], chosen)
    return _to_units(pd.concat([table[in_set(table, name, chosen)].assign(conditions=name) for name in sets]))


def _to_units(samples: pd.DataFrame) -> pd.DataFrame:
    unit = samples["subject"].where(samples["subject"] != "", "sample " + samples["sample"].astype(str))
    keys = [*FAMILY, *ENTRY, "seed", UNIT]
    return (
        samples.assign(unit=unit)
        .groupby(keys, sort=False)
        .agg(value=("value", "mean"), missing=("missing", "sum"))
        .reset_index()
    )


def summarise(units: pd.DataFrame, confidence: float = 0.95, group: tuple[str, str] | None = None) -> pd.DataFrame:
    """Return mean, standard error and confidence interval of each entry, by seed and over seeds.

    A unit's values are averaged over seeds before units are counted: replicates are no extra subjects.

    Parameters
    ----------
    group : (model, method), optional
        The entry whose mean others are given as a share of: the truth of the group of training subjects.

    Returns
    -------
    DataFrame
        ``criterion, conditions, truth, model, method, seed, n, mean, se, ci_low, ci_high, missing, share``; seed is
        a number or ``mean``. The interval is Student's t, n - 1 degrees of freedom.
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
    summary = pd.DataFrame(rows, columns=columns)
    reference = summary[(summary["model"] == group[0]) & (summary["method"] == group[1])] if group else summary[:0]
    means = reference[reference["seed"] == "mean"].set_index(FAMILY)["mean"].rename("share")
    return summary.join(means, on=FAMILY).assign(share=lambda table: table["mean"] / table["share"])


def compare(units: pd.DataFrame, alpha: float = 0.05, reference: str | None = None) -> pd.DataFrame:
    """Return the two-sided paired t-test of every two entries of a family, Bonferroni-corrected within it.

    Parameters
    ----------
    reference : str, optional
        Model name of references. Pairs with a reference are corrected by themselves, so that references do not
        weaken the tests between methods; `pairs` says which of both a row belongs to.

    Returns
    -------
    DataFrame
        ``criterion, conditions, truth, pairs, model_a, method_a, model_b, method_b, n, difference, t, df, p,
        p_bonferroni, significant``; the difference is a - b. Entries that do not differ in any unit have p = 1.
    """
    tables = []
    for key, family in _over_seeds(units).groupby(FAMILY, sort=False):
        wide = family.pivot(index=UNIT, columns=ENTRY, values="value")
        wide = wide[list(family[ENTRY].drop_duplicates().itertuples(index=False, name=None))]
        a, b = np.triu_indices(wide.shape[1], 1)
        names = [np.array([*entry]) for entry in zip(*wide.columns, strict=True)]
        entries = {f"{part}_{side}": names[k][at] for side, at in (("a", a), ("b", b)) for k, part in enumerate(ENTRY)}
        with_reference = (entries["model_a"] == reference) | (entries["model_b"] == reference)
        pairs = np.where(with_reference, "references", "methods")
        tests = _paired(wide.to_numpy()[:, a] - wide.to_numpy()[:, b])
        tables.append(pd.DataFrame(dict(zip(FAMILY, key, strict=True)) | {"pairs": pairs} | entries | tests))
    columns = [*FAMILY, "pairs", "model_a", "method_a", "model_b", "method_b", "n", "difference", "t", "df", "p"]
    tests = pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    tests["p_bonferroni"] = np.nan
    for _, part in tests[tests["p"].notna()].groupby([*FAMILY, "pairs"], sort=False):
        tests.loc[part.index, "p_bonferroni"] = multipletests(part["p"], method="bonferroni")[1]
    return tests.assign(significant=tests["p_bonferroni"] < alpha)


def _over_seeds(units: pd.DataFrame) -> pd.DataFrame:
    keys = [*FAMILY, *ENTRY, UNIT]
    return units.groupby(keys, sort=False).agg(value=("value", "mean"), missing=("missing", "sum")).reset_index()


def _paired(differences: np.ndarray) -> dict[str, np.ndarray]:
    """Return n, mean difference, t, df and p of each column; fewer than two units have neither t nor p."""
    n = np.isfinite(differences).sum(0)
    enough = n > 1
    t, p, mean = (np.full(len(n), np.nan) for _ in range(3))
    mean[n > 0] = np.nanmean(differences[:, n > 0], axis=0)
    moving = enough & (np.nan_to_num(differences) != 0).any(0)
    for complete in (True, False):
        # scipy leaves missing values out column by column, which takes long: only where there are any.
        some = moving & (np.isfinite(differences).all(0) == complete)
        if some.any():
            result = stats.ttest_1samp(differences[:, some], 0.0, axis=0, nan_policy="omit")
            t[some], p[some] = result.statistic, result.pvalue
    t[enough & ~moving], p[enough & ~moving] = 0.0, 1.0
    return {"n": n, "difference": mean, "t": t, "df": np.where(enough, n - 1.0, np.nan), "p": p}
