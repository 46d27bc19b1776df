"""Which measure of maps predicts which truth, and what it costs to follow it.

Measures (`truemap.metrics`) are made without any truth; here they meet both truths, that of the data and that of the
network. What is compared is never pooled: values are ranked among items of one group, training seed and subject.

=========== ============================ =====================================
across      a group is                   its items are
=========== ============================ =====================================
methods     a model                      ways to explain it
trainings   a way to explain             models of the config
strengths   a way to explain and a model the candidates of its `sweep`
maps        a model and a way to explain single maps
=========== ============================ =====================================

A measure is of the map of a sample's own class, and so are the truths that it is compared with: no pairwise criteria.
Values are turned so that larger is what the measure calls better: tau > 0 says that the truer is called better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from truemap.data.rows import owners
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
#: The truths that sentences and figures are about: the first of each one's criteria that there are.
TRUTHS = {
    "the data's truth": [("informative", "leave_out"), ("informative", "full")],
    "the network's truth": [("network", "network")],
}
ALPHA = 0.05
#: The mean over groups, beside each of them.
ALL = "all"
TRUTH, MEASURE = ["criterion", "truth"], ["metric", "measure", "direction"]
COLUMNS = [
    "across", "methods", *TRUTH, *MEASURE, "group", "statistic", "value", "ci_low", "ci_high", "p", "items", "units",
    "trainings", "reason",
]  # fmt: skip
FEW = {
    "methods": f"fewer than {LEAST_ITEMS} ways to explain a model have values, or all are equal",
    "trainings": f"fewer than {LEAST_ITEMS} models explained alike have values, or all are equal",
    "strengths": f"fewer than {LEAST_ITEMS} candidates of a sweep have values, or all are equal",
    "maps": f"fewer than {LEAST_MAPS} maps have values, or all are equal",
}


def joined(
    measured: pd.DataFrame, scores: pd.DataFrame, predictions: pd.DataFrame, conditions: str = "all"
) -> pd.DataFrame:
    """Return each measured map's values beside its agreement with each truth; maps without one of both are left out.

    Accuracy is a measure too, so that following it can be compared: that of the subject's test maps, or of all images.

    Parameters
    ----------
    measured : DataFrame
        ``model, seed, method, metric, sample, subject, measure, value, direction`` (`truemap.metrics._measure`).
    scores : DataFrame
        ``model, seed, method, sample, label, target, criterion, conditions, truth, r``.
    predictions : DataFrame
        ``model, seed, subject, correct`` of test maps.
    conditions : str
        The condition set whose scores count; all conditions where it was not made.

    Returns
    -------
    DataFrame
        ``criterion, truth, metric, measure, direction, model, method, seed, unit, sample, x, y``, in an order that does
        not hang on the inputs'; `x` is the measure, larger is better, `y` the agreement.
    """
    map_of = ["model", "seed", "method", "sample"]
    shares = predictions.groupby(["model", "seed", "subject"])["correct"].mean().rename("value")
    own = measured.drop_duplicates([*map_of, "subject"])[[*map_of, "subject"]]
    accuracy = own.join(shares, on=shares.index.names)
    accuracy = accuracy.assign(metric="accuracy", measure="accuracy", direction="higher")
    measured = pd.concat([measured[accuracy.columns], accuracy])
    measured = measured.assign(
        x=measured["value"] * np.where(measured["direction"] == "lower", -1.0, 1.0),
        unit=owners(measured, "sample " + measured["sample"].astype(str)),
    )
    conditions = conditions if conditions in set(scores["conditions"]) else "all"
    own_class = (scores["target"] == scores["label"]) & (scores["conditions"] == conditions)
    truths = scores.loc[own_class, [*map_of, *TRUTH, "r"]].rename(columns={"r": "y"})
    columns = [*TRUTH, *MEASURE, "model", "method", "seed", "unit", "sample"]
    both = measured.dropna(subset="x").merge(truths.dropna(subset="y"), on=map_of)
    return both[[*columns, "x", "y"]].sort_values(columns, ignore_index=True)


def predict(
    table: pd.DataFrame, swept: Iterable[str] = (), guided: Iterable[str] = (), seed: int = 0, draws: int = DRAWS
) -> pd.DataFrame:
    """Return how well each measure predicts each truth.

    - ``kendall_tau_b`` and ``spearman``: rank correlation across a group's items, within a seed and subject; the mean
      over subjects and seeds, and, where the group is ``all``, over groups.
    - ``auc_worst_quarter``: across maps, the chance that the measure calls a map of the worst quarter worse than one of
      the rest; 0.5 is chance.
    - ``regret``: the truth lost by taking the item with the best mean of the measure rather than the truest one, within
      a seed; ``regret_at_random`` by taking any, ``regret_relative`` the ratio of both (0: nothing lost, 1: as good as
      chance), ``regret_held_out`` by taking what the measure says of the other seeds. Where several are best, the mean
      of them counts.

    The interval (95 %) is of a bootstrap over subjects and seeds, both drawn anew together; of n so many as n - 1 are
    drawn, which makes the variance of a mean unbiased where there are few seeds (Rao & Wu 1988). It speaks of other
    subjects and trainings. The p speaks of the items, which are the same ones for each subject: the truth's items are
    exchanged, alike in all groups, seeds and subjects, and the largest absolute tau over all measures counts (max-T of
    Westfall & Young 1993), so that it is corrected for their number.

    Parameters
    ----------
    table : DataFrame
        Of `joined`.
    swept : iterable of str
        Candidates of sweeps, ``model--candidate``.
    guided : iterable of str
        Ways to explain that everything is repeated without (`methods` is ``not guided`` there).
    seed : int

    Returns
    -------
    DataFrame
        The columns `COLUMNS`. A null value has a reason.
    """
    swept, guided = set(swept), set(guided)
    parts = []
    choices = {"all": table, "not guided": table[~table["method"].isin(guided)]}
    for methods, chosen in choices.items():
        if methods != "all" and len(chosen) == len(table):
            continue
        of_sweep = chosen["model"].isin(swept)
        models, candidates = chosen[~of_sweep], chosen[of_sweep]
        parent = candidates["model"].str.split("--").str[0]
        named = {
            "methods": models.assign(group=models["model"], item=models["method"]),
            "trainings": models.assign(group=models["method"], item=models["model"]),
            "strengths": candidates.assign(group=parent + "/" + candidates["method"], item=candidates["model"]),
            "maps": models.assign(group=models["model"] + "/" + models["method"], item=models["sample"]),
        }
        for across, rows in named.items():
            for key, part in rows.groupby(TRUTH, sort=True):
                found = pd.DataFrame(_of_truth(across, part, seed, draws))
                parts.append(found.assign(across=across, methods=methods, **dict(zip(TRUTH, key, strict=True))))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def answers(prediction: pd.DataFrame) -> pd.DataFrame:
    """Return one plain sentence a measure: whether it predicts the data's truth here, the network's, or neither.

    Across ways to explain, all of them; the data's truth is the one that leaves the map out, where there is one, the
    network's the signed one. What counts as predicting says `predicted`.

    Returns
    -------
    DataFrame
        ``metric, measure, direction, predicts, sentence``.
    """
    tau = prediction[
        (prediction["across"] == "methods")
        & (prediction["methods"] == "all")
        & (prediction["group"] == ALL)
        & (prediction["statistic"] == TAU)
        & (prediction["metric"] != "accuracy")
    ]
    truths = {name: rows_of(tau, name).set_index(MEASURE) for name in TRUTHS}
    rows = []
    for key in tau[MEASURE].drop_duplicates().itertuples(index=False, name=None):
        said, found = [], []
        for name, of_truth in truths.items():
            row = of_truth.loc[key].to_dict() if key in of_truth.index else None
            said.append(f"{name} {_said(row)}")
            if verdict := predicted(row) if row else 0:
                found.append(name if verdict > 0 else f"{name}, the wrong way round")
        words = f"predicts {'; '.join(found)}" if found else "predicts neither truth"
        sentence = f"{key[1]} ({key[2]} is called better) {words} here: {', '.join(said)}."
        rows.append((*key, "; ".join(found) or "neither", sentence))
    return pd.DataFrame(rows, columns=[*MEASURE, "predicts", "sentence"])


def rows_of(prediction: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one of `TRUTHS`: of the first of its criteria that there are."""
    for truth in TRUTHS[name]:
        rows = prediction[(prediction[TRUTH] == list(truth)).all(axis=1)]
        if len(rows):
            return rows
    return prediction[:0]


def predicted(row: Mapping[str, Any]) -> int:
    """Return 1 or -1 where a row of tau says that its truth is predicted, rightly or the wrong way round; else 0.

    Its p is below `ALPHA`, and the interval on one side of 0.
    """
    one_sided = row["ci_low"] > ROUNDING or row["ci_high"] < -ROUNDING
    return int(np.sign(row["value"])) if one_sided and row["p"] < ALPHA else 0


def _said(row: Mapping[str, Any] | None) -> str:
    """Return the numbers in words."""
    if row is None:
        return "was not asked for"
    if np.isnan(row["value"]):
        return f"is open ({row['reason']})"
    ends = "no interval" if np.isnan(row["ci_low"]) else f"95% interval [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"tau = {row['value']:.2f} ({ends}, p = {row['p']:.2g})"


@dataclass(frozen=True)
class _Values:
    """A measure's values and the truth's in one group: rows (seed, unit), columns items; NaN where there are none.

    Of single maps: a row each, and one column.
    """

    x: np.ndarray
    y: np.ndarray
    seeds: np.ndarray
    units: np.ndarray
    items: np.ndarray


class _Weights:
    """How often each seed and unit is drawn: n - 1 of n, with replacement; where there is one, it stays."""

    def __init__(self, seeds: int, units: int, seed: int, draws: int) -> None:
        random = np.random.default_rng(derive_seed(seed, "prediction", "bootstrap"))
        self.seeds, self.units = (
            random.multinomial(n - 1, np.full(n, 1 / n), size=draws) if n > 1 else np.ones((draws, 1), dtype=int)
            for n in (seeds, units)
        )


def _of_truth(across: str, part: pd.DataFrame, seed: int, draws: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of one truth: of each measure, of all groups and of each."""
    keys = [*MEASURE, "group", "seed", "unit", "item"]
    # A subject's maps of one item are averaged; maps are items of their own.
    means = part.groupby(keys, sort=True)[["x", "y"]].mean().reset_index()
    seeds, units, items = (np.unique(means[name]) for name in ("seed", "unit", "item"))
    weights = _Weights(len(seeds), len(units), seed, draws)
    found: dict[tuple[str, ...], dict[str, _Values]] = {}
    places = [
        np.searchsorted(names, means[name]) for names, name in ((seeds, "seed"), (units, "unit"), (items, "item"))
    ]
    sides = [means[name].to_numpy() for name in "xy"]
    for (*measure, group), at in means.groupby(keys[:4], sort=True).indices.items():
        of_seeds, of_units, of_items = (place[at] for place in places)
        if across == "maps":
            x, y = (side[at][:, None] for side in sides)
            values = _Values(x, y, of_seeds, of_units, of_items[:0])
        else:
            lines, line = np.unique(of_seeds * len(units) + of_units, return_inverse=True)
            own, column = np.unique(of_items, return_inverse=True)
            x, y = np.full((2, len(lines), len(own)), np.nan)
            x[line, column], y[line, column] = (side[at] for side in sides)
            values = _Values(x, y, lines // len(units), lines % len(units), own)
        found.setdefault(tuple(measure), {})[group] = values
    p = {} if across == "maps" else _permuted(found, len(items), seed, draws)
    for measure, groups in found.items():
        described = dict(zip(MEASURE, measure, strict=True))
        results = {group: _statistics(across, values, weights) for group, values in groups.items()}
        for statistic in next(iter(results.values())):
            of_groups = {group: result[statistic] for group, result in results.items()}
            rows = {ALL: _mean(list(of_groups.values())), **of_groups}
            if statistic == RELATIVE:
                # Of the means over groups: a group where all are about as true weighs little.
                means = [_mean([result[name] for result in results.values()]) for name in (REGRET, AT_RANDOM)]
                rows[ALL] = _divided(*means)
            for group, drawn in rows.items():
                values = list(groups.values()) if group == ALL else [groups[group]]
                row = {**described, "group": group, "statistic": statistic, **_interval(drawn, values)}
                row["p"] = p.get(measure, np.nan) if statistic == TAU and group == ALL else np.nan
                null = np.isnan(row["value"])
                alone = statistic == HELD_OUT and row["trainings"] == 1
                yield {**row, "reason": ("one seed: no other to choose by" if alone else FEW[across]) if null else ""}


def _interval(drawn: np.ndarray, values: Sequence[_Values]) -> dict[str, Any]:
    """Return the value, which stands first of what was drawn, with its interval and of how many it is."""
    units, trainings = (len(np.unique(np.concatenate([getattr(v, n) for v in values]))) for n in ("units", "seeds"))
    low = high = np.nan
    if np.isfinite(drawn[0]) and units * trainings > 1:
        low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
    items = max(len(v.items) or len(v.x) // len(np.unique(v.seeds)) for v in values)
    size = {"items": items, "units": units, "trainings": trainings}
    return {"value": drawn[0], "ci_low": low, "ci_high": high, **size}


def _mean(drawn: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over groups that have a value, of each draw."""
    kept = [values for values in drawn if np.isfinite(values[0])]
    return _divided(np.nansum(kept, axis=0), np.isfinite(kept).sum(axis=0)) if kept else np.full_like(drawn[0], np.nan)


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _statistics(across: str, values: _Values, weights: _Weights) -> dict[str, np.ndarray]:
    """Return each statistic of one group and measure: the value itself, then one a draw, shape (1 + draws,)."""
    of_seeds = np.vstack([np.ones(weights.seeds.shape[1]), weights.seeds])
    of_units = np.vstack([np.ones(weights.units.shape[1]), weights.units])
    if across == "maps":
        return {AUC: _over_seeds(_auc_worst(values, of_units), values.seeds, of_seeds)}
    result = {}
    rows = of_seeds[:, values.seeds] * of_units[:, values.units]
    for name, found in zip((TAU, RHO), rank_correlations(values.x, values.y), strict=True):
        known = np.isfinite(found)
        result[name] = _divided(rows[:, known] @ found[known], rows[:, known].sum(axis=1))
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
        result.append(np.where(few, np.nan, _divided((a * b).sum(axis=1), size)))
    return result[0], result[1]


def _permuted(
    found: dict[tuple[str, ...], dict[str, _Values]], count: int, seed: int, draws: int
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
            a, b = (_divided(side, np.sqrt((side * side).sum(axis=1, keepdims=True))) for side in sides)
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
    return _divided(total, weight)


def _regrets(values: _Values, of_seeds: np.ndarray, of_units: np.ndarray) -> dict[str, np.ndarray]:
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
        RELATIVE: _divided(result[REGRET], result[AT_RANDOM]),
        HELD_OUT: result[HELD_OUT],
    }


def _item_means(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each item over rows that have it, shape (draws, items)."""
    return _divided(weights @ np.nan_to_num(values), weights @ np.isfinite(values).astype(np.float64))


def _lost(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return by how much y at the largest x is below the largest y, for each row; NaN where items are too few."""
    missing = np.isnan(x) | np.isnan(y)
    enough = (~missing).sum(axis=1) >= LEAST_ITEMS
    x, y = np.where(missing, -np.inf, x), np.where(missing, -np.inf, y)
    largest = x.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # where there is none at all
        best = (x >= largest - ROUNDING * np.abs(largest)) & ~missing
    chosen = _divided(np.where(best, y, 0.0).sum(axis=1), best.sum(axis=1))
    return np.where(enough, y.max(axis=1, initial=-np.inf) - chosen, np.nan)


def _auc_worst(values: _Values, of_units: np.ndarray) -> dict[int, np.ndarray]:
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
    return _divided(right, weights[:, worst].sum(axis=1) * weights[:, rest].sum(axis=1))
