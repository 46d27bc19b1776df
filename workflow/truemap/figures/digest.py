"""What the first page says of a dataset, as plain numbers and words: each dataset's own part, kept with its results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import REFERENCE, SPLITS
from truemap.data.grid import Grid
from truemap.evaluation.units import ENTRY, UNIT

#: Of a digest: one that was written by other code is not read.
FORMAT = 2
#: Shares of maps, beside the agreement.
SHARES = ("accuracy", "robust_accuracy")
#: Units of which single values are shown; of more, as many at equal steps.
UNITS = 400
#: Numbers of an entry in the grid, and of a pair.
OF_ENTRY, OF_PAIR = ("mean", "ci_low", "ci_high", "n", "share", "missing"), ("difference", "p_bonferroni")


def wholes(paths: Sequence[str]) -> list[str]:
    """Return the pictures without the panels of those that have both, ``figure-2a.png`` beside ``figure-2.png``."""
    return [path for path in paths if not (path[:-5] + ".png" in paths and path[-5] in "ab")]


def about(samples: pd.DataFrame, grid: Grid) -> dict[str, Any]:
    """Return what a dataset is: its maps and subjects by split, its classes, and the grid of its maps.

    `voxel_mm` is None where the maps are images.
    """
    splits = samples.groupby("split")
    named = samples[samples["subject"].notna() & (samples["subject"] != "")]
    image = 1 in grid.shape
    sides = np.sqrt((grid.affine[:3, :3] ** 2).sum(axis=0))
    return {
        "maps": {split: int(splits.size().get(split, 0)) for split in SPLITS},
        "subjects": {split: int(named[named["split"] == split]["subject"].nunique()) for split in SPLITS},
        "classes": sorted(map(str, samples["label"].unique())),
        "shape": list(map(int, grid.shape)),
        "inside": int(grid.mask.sum()),
        "voxel_mm": None if image else [round(float(side), 3) for side in sides],
    }


def all_entries(entries: Sequence[Mapping[str, Any]], references: Sequence[str]) -> list[dict[str, str]]:
    """Return ``model, method, label`` of each way to train and to explain and, after them, of each reference."""
    ours = [{key: entry[key] for key in ("model", "method", "label")} for entry in entries]
    return ours + [{"model": REFERENCE, "method": name, "label": ""} for name in references]


def best_first(entries: Sequence[Mapping[str, Any]], summary: pd.DataFrame, criterion: str) -> list[Mapping[str, Any]]:
    """Return entries by their mean in a summary of one truth and set of conditions, those without one last."""
    rows = summary[(summary["seed"] == "mean") & (summary["criterion"] == criterion)].dropna(subset="mean")
    means = rows.set_index(ENTRY)["mean"].to_dict()
    return sorted(entries, key=lambda entry: -means.get((entry["model"], entry["method"]), -math.inf))


def grid_numbers(
    summary: pd.DataFrame, comparisons: pd.DataFrame, units: pd.DataFrame, entries: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Return, for each criterion and truth in which a network's maps have values, what the grid shows.

    Parameters
    ----------
    summary, comparisons, units : DataFrame
        Of `truemap.evaluation.statistics`, one set of conditions.
    entries : sequence of mapping
        Of `all_entries`.

    Returns
    -------
    list of dict
        ``criterion, truth``; lists of one value an entry (`OF_ENTRY` and ``reason``); lists of one value a pair (i, j),
        i < j, row by row (`OF_PAIR` and ``untested``, the reason); ``units`` (names) and ``values``, one list an entry.
    """
    names = [(entry["model"], entry["method"]) for entry in entries]
    rows = summary[(summary["seed"] == "mean") & ~summary["criterion"].isin(SHARES)]
    found = []
    for (criterion, truth), part in rows.groupby(["criterion", "truth"], sort=False):
        wide = part.set_index(ENTRY).reindex(pd.MultiIndex.from_tuples(names))
        ours = [name[0] != REFERENCE for name in names]
        if wide["mean"][ours].isna().all():
            continue
        own = (comparisons["criterion"] == criterion) & (comparisons["truth"] == truth)
        single = (units["criterion"] == criterion) & (units["truth"] == truth)
        found.append(
            {
                "criterion": criterion,
                "truth": truth,
                **{key: short(wide[key]) for key in OF_ENTRY},
                "reason": wide["reason"].fillna("").tolist(),
                **_pairs(comparisons[own], names),
                **_single(units[single], names),
            }
        )
    return found


def _pairs(comparisons: pd.DataFrame, names: Sequence[tuple[str, str]]) -> dict[str, list]:
    """Return difference, p and the reason without one of each pair of entries; a pair may stand the other way round."""
    sides = [list(comparisons[[f"model_{s}", f"method_{s}"]].itertuples(index=False, name=None)) for s in "ab"]
    values = comparisons[[*OF_PAIR, "reason"]].itertuples(index=False, name=None)
    tests = dict(zip(zip(*sides, strict=True), values, strict=True))
    pairs = []
    for at, a in enumerate(names):
        for b in names[at + 1 :]:
            if (test := tests.get((a, b))) is None and (test := tests.get((b, a))) is not None:
                test = (-test[0], *test[1:])
            pairs.append(test or (math.nan, math.nan, "not tested"))
    return {
        "difference": short(pair[0] for pair in pairs),
        "p_bonferroni": [None if math.isnan(pair[1]) else float(f"{pair[1]:.2g}") for pair in pairs],
        "untested": [pair[2] if math.isnan(pair[1]) else "" for pair in pairs],
    }


def _single(units: pd.DataFrame, names: Sequence[tuple[str, str]]) -> dict[str, list]:
    """Return names of units, and each entry's value of each: its mean over seeds."""
    wide = units.groupby([UNIT, *ENTRY], sort=False)["value"].mean().unstack(ENTRY)
    wide = wide.reindex(columns=pd.MultiIndex.from_tuples(names))
    step = max(1, math.ceil(len(wide) / UNITS))
    some = wide.iloc[::step]
    return {"units": list(map(str, some.index)), "values": [short(some[name], 3) for name in names]}


def share_rows(summary: pd.DataFrame, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return each model's accuracies, with and without attacks, of one set of conditions."""
    rows = summary[(summary["seed"] == "mean") & summary["criterion"].isin(SHARES) & summary["model"].isin(labels)]
    return [
        {
            "model": labels[row["model"]],
            "criterion": row["criterion"],
            "attack": row["method"],
            **{key: short([row[key]])[0] for key in OF_ENTRY[:4]},
            "reason": row["reason"],
        }
        for row in rows.to_dict("records")
    ]


def quality_counts(table: pd.DataFrame, skipped: pd.DataFrame) -> dict[str, Any]:
    """Return how many maps there are, how many are flagged for what, and how many subjects were skipped."""
    # A column of nothing is read as numbers.
    found = table["flags"].astype(object).fillna("")
    flags = found.str.split(",").explode()
    counts = flags[flags != ""].value_counts()
    return {
        "maps": len(table),
        "flagged": int((found != "").sum()),
        "flags": {str(flag): int(count) for flag, count in counts.items()},
        "skipped": int(skipped["subject"].nunique()) if len(skipped) else 0,
    }


def short(values: Any, digits: int = 4) -> list[float | int | None]:
    """Return numbers as JSON has them, to so many digits behind the point: None for NaN, whole ones without a point."""
    found: list[float | int | None] = []
    for value in values:
        number = float(value)
        whole = math.isfinite(number) and number == int(number)
        found.append(None if math.isnan(number) else int(number) if whole else round(number, digits))
    return found
