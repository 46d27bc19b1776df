"""Orders of items by two values each, how far they agree, and what a choice by the one loses of the other.

Arrays alone; what is compared with what says `truemap.evaluation.prediction`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from truemap.numerics import derive_seed

#: Bootstrap draws, and permutations.
DRAWS = 1000
#: Items below which there is no order to speak of, and maps below which there is no worst quarter.
LEAST_ITEMS, LEAST_MAPS = 3, 8
#: Share of their size by which values that are equal may differ.
ROUNDING = 1e-9
#: The share of a group's maps that count as bad.
WORST = 0.25
#: Correlations of ranks, then what follows from a choice: the truth lost, and the same by chance and by other seeds.
TAU, RHO, AUC = "kendall_tau_b", "spearman", "auc_worst_quarter"
REGRET, AT_RANDOM, RELATIVE, HELD_OUT = "regret", "regret_at_random", "regret_relative", "regret_held_out"


@dataclass(frozen=True)
class Values:
    """A measure's values and the truth's in one group of items.

    Attributes
    ----------
    x, y : ndarray, shape (rows, items)
        The measure, larger is better, and the truth, a row a seed and unit; NaN where there are none. Of single maps: a
        row each, and one column.
    seeds, units : ndarray of int, shape (rows,)
        Numbers of each row's seed and unit.
    items : ndarray of int, shape (items,)
        Numbers of the items; none of single maps.
    """

    x: np.ndarray
    y: np.ndarray
    seeds: np.ndarray
    units: np.ndarray
    items: np.ndarray


class Weights:
    """How often each seed and unit is drawn: n - 1 of n, with replacement; where there is one, it stays."""

    def __init__(self, seeds: int, units: int, seed: int, draws: int) -> None:
        random = np.random.default_rng(derive_seed(seed, "prediction", "bootstrap"))
        self.seeds, self.units = (
            random.multinomial(n - 1, np.full(n, 1 / n), size=draws) if n > 1 else np.ones((draws, 1), dtype=int)
            for n in (seeds, units)
        )


def mean_of(drawn: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over groups that have a value, of each draw."""
    kept = [values for values in drawn if np.isfinite(values[0])]
    return divided(np.nansum(kept, axis=0), np.isfinite(kept).sum(axis=0)) if kept else np.full_like(drawn[0], np.nan)


def divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b; NaN where b is not above 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of what was drawn, behind the value itself; NaN where there is no value."""
    low, high = np.nanquantile(drawn[1:], [0.025, 0.975]) if np.isfinite(drawn[0]) else (np.nan, np.nan)
    return float(low), float(high)


def of_group(across: str, values: Values, weights: Weights) -> dict[str, np.ndarray]:
    """Return each statistic of one group and measure: the value itself, then one a draw, shape (1 + draws,)."""
    of_seeds = np.vstack([np.ones(weights.seeds.shape[1]), weights.seeds])
    of_units = np.vstack([np.ones(weights.units.shape[1]), weights.units])
    if across == "maps":
        return {AUC: _over_seeds(_auc_worst(values, of_units), values.seeds, of_seeds)}
    result = {}
    rows = of_seeds[:, values.seeds] * of_units[:, values.units]
    for name, found in zip((TAU, RHO), rank_correlations(values.x, values.y), strict=True):
        known = np.isfinite(found)
        result[name] = divided(rows[:, known] @ found[known], rows[:, known].sum(axis=1))
    return {**result, **_regrets(values, of_seeds, of_units)}


def signs(values: np.ndarray) -> np.ndarray:
    """Return the sign of each value minus each other one of its row, shape (rows, items, items), int8.

    0 where one of both is NaN, or they differ by rounding: means of equal values over unequally many maps do.
    """
    one, other = values[:, :, None], values[:, None, :]
    apart = np.abs(one - other) > ROUNDING * np.maximum(np.abs(one), np.abs(other))
    return np.where(apart, np.sign(one - other), 0.0).astype(np.int8)


def rank_correlations(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Kendall's tau-b and Spearman's rho of each pair of rows, over the items that both have.

    With s_ij the sign of x_i - x_j, and t_ij that of y:

    .. math:: \\tau_b = \\frac{\\sum s_{ij} t_{ij}}{\\sqrt{\\sum s_{ij}^2 \\sum t_{ij}^2}}

    and rho is the same of the row sums of s and t, which are twice the mean ranks about their mean.

    Parameters
    ----------
    x, y : ndarray, shape (rows, items)

    Returns
    -------
    two of ndarray, shape (rows,)
        NaN where fewer than `LEAST_ITEMS` items have both, or all are equal.
    """
    missing = np.isnan(x) | np.isnan(y)
    s, t = (signs(np.where(missing, np.nan, values)) for values in (x, y))
    few = (~missing).sum(axis=1) < LEAST_ITEMS
    result = []
    for a, b in ((s.reshape(len(s), -1), t.reshape(len(t), -1)), (s.sum(axis=2), t.sum(axis=2))):
        a, b = a.astype(np.float64), b.astype(np.float64)
        size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        result.append(np.where(few, np.nan, divided((a * b).sum(axis=1), size)))
    return result[0], result[1]


def permuted(
    found: dict[tuple[str, ...], dict[str, Values]], count: int, seed: int, draws: int
) -> dict[tuple[str, ...], float]:
    """Return each measure's p: how often the largest |tau| of any measure is as large with the items exchanged.

    tau is that of `rank_correlations`, but that each side is divided by its own size: the same, unless single rows lack
    items.
    """
    random = np.random.default_rng(derive_seed(seed, "prediction", "permutation"))
    keys = random.random((draws, count))
    taus = {}
    for measure, groups in found.items():
        of_groups = []
        for values in groups.values():
            n = len(values.items)
            sides = [signs(side).reshape(len(side), -1).astype(np.float64) for side in (values.x, values.y)]
            a, b = (divided(side, np.sqrt((side * side).sum(axis=1, keepdims=True))) for side in sides)
            known = np.isfinite(a[:, 0]) & np.isfinite(b[:, 0])
            if n < LEAST_ITEMS or not known.any():
                continue
            # The products of all pairs with all pairs, once; a permutation picks from them.
            products = a[known].T @ b[known] / known.sum()
            orders = np.vstack([np.arange(n), np.argsort(keys[:, values.items], axis=1)])
            pairs = (orders[:, :, None] * n + orders[:, None, :]).reshape(len(orders), -1)
            of_groups.append(products[np.arange(n * n), pairs].sum(axis=1))
        if of_groups:
            taus[measure] = np.abs(np.mean(of_groups, axis=0))
    if not taus:
        return {}
    largest = np.max([tau[1:] for tau in taus.values()], axis=0)
    # What differs by rounding is equal: a permutation may be none.
    return {measure: (1 + (largest >= tau[0] - 1e-9).sum()) / (1 + draws) for measure, tau in taus.items()}


def _over_seeds(of_seeds: dict[int, np.ndarray], seeds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean over seeds of what is known of each, a number a draw."""
    total, weight = np.zeros(len(weights)), np.zeros(len(weights))
    for seed in np.unique(seeds):
        known = np.isfinite(of_seeds[seed])
        total += np.where(known, weights[:, seed] * np.where(known, of_seeds[seed], 0.0), 0.0)
        weight += np.where(known, weights[:, seed], 0.0)
    return divided(total, weight)


def _regrets(values: Values, of_seeds: np.ndarray, of_units: np.ndarray) -> dict[str, np.ndarray]:
    """Return the truth lost by following a measure, at random, their ratio, and by what other seeds say."""
    seeds = np.unique(values.seeds)
    means = {}
    for seed in seeds:
        own = values.seeds == seed
        weights = of_units[:, values.units[own]].astype(np.float64)
        means[seed] = [_item_means(weights, side[own]) for side in (values.x, values.y)]
    lost: dict[str, dict[int, np.ndarray]] = {REGRET: {}, AT_RANDOM: {}, HELD_OUT: {}}
    for seed in seeds:
        x, y = means[seed]
        others = [means[other][0] for other in seeds if other != seed]
        lost[REGRET][seed] = _lost(x, y)
        lost[AT_RANDOM][seed] = _lost(np.where(np.isnan(x), np.nan, 0.0), y)
        lost[HELD_OUT][seed] = _lost(np.mean(others, axis=0), y) if others else np.full(len(x), np.nan)
    result = {name: _over_seeds(of, values.seeds, of_seeds) for name, of in lost.items()}
    return {
        REGRET: result[REGRET],
        AT_RANDOM: result[AT_RANDOM],
        RELATIVE: divided(result[REGRET], result[AT_RANDOM]),
        HELD_OUT: result[HELD_OUT],
    }


def _item_means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each item over rows that have it, shape (draws, items)."""
    return divided(weights @ np.nan_to_num(values), weights @ np.isfinite(values).astype(np.float64))


def _lost(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return by how much y at the largest x is below the largest y, for each row; NaN where items are too few."""
    missing = np.isnan(x) | np.isnan(y)
    enough = (~missing).sum(axis=1) >= LEAST_ITEMS
    x, y = np.where(missing, -np.inf, x), np.where(missing, -np.inf, y)
    largest = x.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # where there is none at all
        best = (x >= largest - ROUNDING * np.abs(largest)) & ~missing
    chosen = divided(np.where(best, y, 0.0).sum(axis=1), best.sum(axis=1))
    return np.where(enough, y.max(axis=1, initial=-np.inf) - chosen, np.nan)


def _auc_worst(values: Values, of_units: np.ndarray) -> dict[int, np.ndarray]:
    """Return for each seed the AUC of the worst quarter of its maps by truth, for each draw of units."""
    result = {}
    for seed in np.unique(values.seeds):
        own = values.seeds == seed
        x, y = values.x[own, 0], values.y[own, 0]
        result[seed] = worst_auc(x, y, of_units[:, values.units[own]].astype(np.float64))
    return result


def worst_auc(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the chance that x is lower for a map of the worst quarter by y than for another; ties count half.

    Parameters
    ----------
    x, y : ndarray, shape (maps,)
    weights : ndarray, shape (draws, maps)
        How often each map counts.

    Returns
    -------
    ndarray, shape (draws,)
        NaN where there are fewer than `LEAST_MAPS` maps, or all are equally true.
    """
    if len(x) < LEAST_MAPS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.full(len(weights), np.nan)
    worst = y <= np.quantile(y, WORST)
    rest = ~worst
    order = np.argsort(x[rest], kind="stable")
    above = np.cumsum(weights[:, rest][:, order][:, ::-1], axis=1)[:, ::-1]
    above = np.hstack([above, np.zeros((len(weights), 1))])
    strictly = above[:, np.searchsorted(x[rest][order], x[worst], side="right")]
    at_least = above[:, np.searchsorted(x[rest][order], x[worst], side="left")]
    right = (weights[:, worst] * (strictly + at_least) / 2).sum(axis=1)
    return divided(right, weights[:, worst].sum(axis=1) * weights[:, rest].sum(axis=1))
