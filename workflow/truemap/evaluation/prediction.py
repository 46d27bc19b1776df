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
anchors     a model                      maps of which one knows what they are
series      a model                      the truth, degraded in known steps
=========== ============================ =====================================

A measure is of the map of a sample's own class, and so are the truths that it is compared with: no pairwise criteria.
Values are turned so that larger is what the measure calls better: tau > 0 says that the truer is called better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import NETWORK, OF_DATA, OF_NETWORK
from truemap.data.rows import owners
from truemap.evaluation.agreement import of_own_class
from truemap.evaluation.ranks import (
    AT_RANDOM,
    DRAWS,
    HELD_OUT,
    LEAST_ITEMS,
    LEAST_MAPS,
    REGRET,
    RELATIVE,
    ROUNDING,
    TAU,
    Values,
    Weights,
    divided,
    interval,
    mean_of,
    of_group,
    permuted,
)

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
    "anchors": f"fewer than {LEAST_ITEMS} anchors have values, or all are equal",
    "series": "of degraded truths it has no value, or the same for all",
}


def joined(
    measured: pd.DataFrame, scores: pd.DataFrame, predictions: pd.DataFrame | None, conditions: str = "all"
) -> pd.DataFrame:
    """Return each measured map's values beside its agreement with each truth; maps without one of both are left out.

    Accuracy is a measure too, so that following it can be compared: that of the subject's test maps, or of all images.

    Parameters
    ----------
    measured : DataFrame
        ``model, seed, method, metric, sample, subject, measure, value, direction`` (`truemap.metrics._measure`).
    scores : DataFrame
        ``model, seed, method, sample, label, target, criterion, conditions, truth, r``.
    predictions : DataFrame, optional
        ``model, seed, subject, correct`` of test maps; None leaves out accuracy.
    conditions : str
        The condition set whose scores count; all conditions where it was not made.

    Returns
    -------
    DataFrame
        ``criterion, truth, metric, measure, direction, model, method, seed, unit, sample, x, y``, in an order that does
        not hang on the inputs'; `x` is the measure, larger is better, `y` the agreement.
    """
    map_of = ["model", "seed", "method", "sample"]
    if predictions is not None:
        shares = predictions.groupby(["model", "seed", "subject"])["correct"].mean().rename("value")
        own = measured.drop_duplicates([*map_of, "subject"])[[*map_of, "subject"]]
        accuracy = own.join(shares, on=shares.index.names)
        accuracy = accuracy.assign(metric="accuracy", measure="accuracy", direction="higher")
        measured = pd.concat([measured[accuracy.columns], accuracy])
    measured = measured.assign(
        x=measured["value"] * np.where(measured["direction"] == "lower", -1.0, 1.0),
        unit=owners(measured, "sample " + measured["sample"].astype(str)),
    )
    truths = of_own_class(scores, conditions)[[*map_of, *TRUTH, "r"]].rename(columns={"r": "y"})
    columns = [*TRUTH, *MEASURE, "model", "method", "seed", "unit", "sample"]
    both = measured.dropna(subset="x").merge(truths.dropna(subset="y"), on=map_of)
    return both[[*columns, "x", "y"]].sort_values(columns, ignore_index=True)


def predict(
    table: pd.DataFrame,
    swept: Iterable[str] = (),
    guided: Iterable[str] = (),
    seed: int = 0,
    draws: int = DRAWS,
    anchors: pd.DataFrame | None = None,
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
    anchors : DataFrame, optional
        Of `joined`, for `truemap.evaluation.anchors`: of one seed, and of no way to explain.

    Returns
    -------
    DataFrame
        The columns `COLUMNS`. A null value has a reason.
    """
    swept, guided = set(swept), set(guided)
    choices = {"all": table, "not guided": table[~table["method"].isin(guided)]}
    if len(choices["not guided"]) == len(table):
        del choices["not guided"]
    named = [
        (across, methods, rows) for methods, chosen in choices.items() for across, rows in of_methods(chosen, swept)
    ]
    named += [(across, "all", rows) for across, rows in _of_anchors(table[:0] if anchors is None else anchors)]
    parts = []
    for across, methods, rows in named:
        for key, part in rows.groupby(TRUTH, sort=True):
            found = pd.DataFrame(of_truth(across, part, seed, draws))
            parts.append(found.assign(across=across, methods=methods, **dict(zip(TRUTH, key, strict=True))))
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def of_methods(table: pd.DataFrame, swept: set[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield what is compared across, and its rows with their group and item."""
    of_sweep = table["model"].isin(swept)
    models, candidates = table[~of_sweep], table[of_sweep]
    parent = candidates["model"].str.split("--").str[0]
    yield "methods", models.assign(group=models["model"], item=models["method"])
    yield "trainings", models.assign(group=models["method"], item=models["model"])
    yield "strengths", candidates.assign(group=parent + "/" + candidates["method"], item=candidates["model"])
    yield "maps", models.assign(group=models["model"] + "/" + models["method"], item=models["sample"])


def _of_anchors(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the same of anchors: all but degraded truths, and the series of the truth that is compared with."""
    rows, name = table.assign(group=table["model"], item=table["method"]), table["method"]
    of_data, of_network = name.str.startswith(OF_DATA), name.str.startswith(OF_NETWORK)
    yield "anchors", rows[~(of_data | of_network) | name.isin([f"{OF_DATA}1", f"{OF_NETWORK}1"])]
    yield "series", rows[np.where(table["criterion"].str.startswith(NETWORK), of_network, of_data)]


def anchor_table(table: pd.DataFrame, anchors: pd.DataFrame) -> pd.DataFrame:
    """Return what measures and truths say of each anchor.

    Parameters
    ----------
    table, anchors : DataFrame
        Of `joined`, for ways to explain and for anchors.

    Returns
    -------
    DataFrame
        ``criterion, truth, metric, measure, direction, model, anchor, value, agreement, better_than``, means over maps:
        the measure as it is, the agreement with the truth, and the share of the model's ways to explain, of the same
        seed and subject, that the measure calls worse (ties count half).
    """
    keys = [*TRUTH, *MEASURE, "model"]
    of_unit = [*keys, "seed", "unit"]
    units = anchors.groupby([*of_unit, "method"])[["x", "y"]].mean().reset_index()
    ways = table.groupby([*of_unit, "method"])["x"].mean().rename("other").reset_index().drop(columns="method")
    pairs = units.merge(ways, on=of_unit)
    apart = (pairs["x"] - pairs["other"]).where((pairs["x"] - pairs["other"]).abs() > ROUNDING * pairs["x"].abs(), 0.0)
    shares = pairs.assign(better_than=(np.sign(apart) + 1) / 2).groupby([*keys, "method"])["better_than"].mean()
    means = units.groupby([*keys, "method"])[["x", "y"]].mean().join(shares).reset_index()
    value = means["x"] * np.where(means["direction"] == "lower", -1.0, 1.0)
    found = means.assign(value=value).rename(columns={"method": "anchor", "y": "agreement"})
    return found[[*keys, "anchor", "value", "agreement", "better_than"]]


def of_truth(across: str, part: pd.DataFrame, seed: int = 0, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Yield the rows of one truth: of each measure, of all groups and of each.

    Parameters
    ----------
    part : DataFrame
        ``metric, measure, direction, group, seed, unit, item, x, y``.
    """
    keys = [*MEASURE, "group", "seed", "unit", "item"]
    # A subject's maps of one item are averaged; maps are items of their own.
    means = part.groupby(keys, sort=True)[["x", "y"]].mean().reset_index()
    seeds, units, items = (np.unique(means[name]) for name in ("seed", "unit", "item"))
    weights = Weights(len(seeds), len(units), seed, draws)
    found: dict[tuple[str, ...], dict[str, Values]] = {}
    places = [
        np.searchsorted(names, means[name]) for names, name in ((seeds, "seed"), (units, "unit"), (items, "item"))
    ]
    sides = [means[name].to_numpy() for name in "xy"]
    for (*measure, group), at in means.groupby(keys[:4], sort=True).indices.items():
        of_seeds, of_units, of_items = (place[at] for place in places)
        if across == "maps":
            x, y = (side[at][:, None] for side in sides)
            values = Values(x, y, of_seeds, of_units, of_items[:0])
        else:
            lines, line = np.unique(of_seeds * len(units) + of_units, return_inverse=True)
            own, column = np.unique(of_items, return_inverse=True)
            x, y = np.full((2, len(lines), len(own)), np.nan)
            x[line, column], y[line, column] = (side[at] for side in sides)
            values = Values(x, y, lines // len(units), lines % len(units), own)
        found.setdefault(tuple(measure), {})[group] = values
    p = {} if across == "maps" else permuted(found, len(items), seed, draws)
    for measure, groups in found.items():
        described = dict(zip(MEASURE, measure, strict=True))
        results = {group: of_group(across, values, weights) for group, values in groups.items()}
        for statistic in next(iter(results.values())):
            of_groups = {group: result[statistic] for group, result in results.items()}
            rows = {ALL: mean_of(list(of_groups.values())), **of_groups}
            if statistic == RELATIVE:
                # Of the means over groups: a group where all are about as true weighs little.
                means = [mean_of([result[name] for result in results.values()]) for name in (REGRET, AT_RANDOM)]
                rows[ALL] = divided(*means)
            for group, drawn in rows.items():
                values = list(groups.values()) if group == ALL else [groups[group]]
                row = {**described, "group": group, "statistic": statistic, **_interval(drawn, values)}
                row["p"] = p.get(measure, np.nan) if statistic == TAU and group == ALL else np.nan
                null = np.isnan(row["value"])
                alone = statistic == HELD_OUT and row["trainings"] == 1
                yield {**row, "reason": ("one seed: no other to choose by" if alone else FEW[across]) if null else ""}


def _interval(drawn: np.ndarray, values: Sequence[Values]) -> dict[str, Any]:
    """Return the value, which stands first of what was drawn, with its interval and of how many it is."""
    units, trainings = (len(np.unique(np.concatenate([getattr(v, n) for v in values]))) for n in ("units", "seeds"))
    low, high = interval(drawn) if units * trainings > 1 else (np.nan, np.nan)
    items = max(len(v.items) or len(v.x) // len(np.unique(v.seeds)) for v in values)
    size = {"items": items, "units": units, "trainings": trainings}
    return {"value": drawn[0], "ci_low": low, "ci_high": high, **size}
