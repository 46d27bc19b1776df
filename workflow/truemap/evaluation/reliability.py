"""Whether a measure of maps is reliable at all, in the senses of psychometrics (Tomsett et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from truemap.numerics import pearson

#: Ways to explain, and maps, below which nothing is said.
LEAST_METHODS, LEAST_MAPS = 2, 3
FEW = f"fewer than {LEAST_METHODS} ways to explain, or {LEAST_MAPS} maps, have values"
EQUAL = "the values are all equal"
COLUMNS = ["model", "seed", "reliability", "metric", "measure", "other_metric", "other_measure", "methods", "maps"]


def reliability(table: pd.DataFrame) -> pd.DataFrame:
    """Return how far maps, ways to explain and measures agree, for each network and measure.

    - ``inter-rater``: Krippendorff's alpha of the maps, each of which ranks the ways to explain.
    - ``inter-method``: Spearman's correlation over maps, averaged over every two ways to explain.
    - ``internal consistency``: the same of two measures of one metric (MoRF and LeRF), averaged over ways to explain.
    - ``between labels``: the same of one measure under two labels of the config: with other draws its test-retest
      reliability, with other baselines what hangs on these.

    Values are turned so that larger is better. Maps without a value for any way to explain are left out.

    Parameters
    ----------
    table : DataFrame
        ``model, seed, method, metric, sample, measure, value, direction``.

    Returns
    -------
    DataFrame
        ``model, seed, reliability, metric, measure, other_metric, other_measure, methods, maps, value, reason``.
    """
    better = table.assign(value=table["value"] * np.where(table["direction"] == "lower", -1.0, 1.0))
    rows = []
    for network, part in better.groupby(["model", "seed"], sort=False):
        wide = part.pivot(index="sample", columns=["metric", "measure", "method"], values="value").sort_index(axis=1)
        found = {key: wide[key] for key in dict.fromkeys(zip(part["metric"], part["measure"], strict=True))}
        for key, values in found.items():
            complete = values.dropna().to_numpy()
            for kind, of in (("inter-rater", agreement), ("inter-method", _between_columns)):
                rows.append((*network, kind, *key, "", "", *_described(complete, of)))
        for one, two in combinations(found, 2):
            kind = {(True, False): "internal consistency", (False, True): "between labels"}.get(
                (one[0] == two[0], one[1] == two[1])
            )
            if kind:
                both = pd.concat([found[one], found[two]], axis=1).dropna().to_numpy()
                rows.append((*network, kind, *one, *two, *_described(both, _between_halves, of_two=True)))
    return pd.DataFrame(rows, columns=[*COLUMNS, "value", "reason"])


def agreement(values: np.ndarray) -> float:
    """Return Krippendorff's alpha of raters (rows) that rank units (columns); NaN if no unit differs from another.

    alpha = 1 - D_o / D_e, where D_o is the mean squared difference of two raters' ranks of one unit, and D_e that of
    any two ranks. Without ties this is alpha for ordinal data, as every rank is given equally often. 1 is agreement, 0
    what chance gives.
    """
    ranks = rankdata(values, axis=1)
    raters, count = len(ranks), ranks.size
    if np.ptp(ranks) == 0:
        return np.nan
    observed = ranks.var(axis=0).mean() * raters / (raters - 1)
    return 1 - observed / (ranks.var() * count / (count - 1))


def _between_columns(values: np.ndarray) -> float:
    """Return the mean Spearman correlation of every two columns; columns that are constant are left out."""
    one, two = np.triu_indices(values.shape[1], 1)
    return _mean_correlation(values[:, one], values[:, two])


def _between_halves(values: np.ndarray) -> float:
    """Return the mean Spearman correlation of each column of the first half with that of the second."""
    return _mean_correlation(*np.split(values, 2, axis=1))


def _mean_correlation(one: np.ndarray, two: np.ndarray) -> float:
    found = pearson(rankdata(one.T, axis=1), rankdata(two.T, axis=1))
    return float(np.nanmean(found)) if np.isfinite(found).any() else np.nan


def _described(
    values: np.ndarray, of: Callable[[np.ndarray], float], of_two: bool = False
) -> tuple[int, int, float, str]:
    """Return how many ways to explain and maps there are, what `of` gives for them, and why nothing, if so."""
    methods, maps = values.shape[1] // (2 if of_two else 1), len(values)
    if maps < LEAST_MAPS or (methods < LEAST_METHODS and not of_two):
        return methods, maps, np.nan, FEW
    value = of(values)
    return methods, maps, value, "" if np.isfinite(value) else EQUAL
