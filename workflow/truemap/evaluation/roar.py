"""How accuracy falls as voxels are removed and the network is trained again (Hooker et al. 2019)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from truemap.config.names import AT_RANDOM
from truemap.data.rows import owners
from truemap.evaluation.statistics import mean_interval

KEYS = ["model", "seed", "order"]
#: What of a training stands beside its accuracy.
COUNTS = ["removed", "voxels", "training", "constant_training"]


def roar_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the curve of each order in which voxels are removed, and its area beside that of the random order.

    A low curve is the better one: what mattered is gone. Its area (trapezoids) is a mean accuracy between the fraction
    0 and the largest one. What is below the random order's counts, as fewer voxels make a network worse whichever they
    are. Two things it cannot tell: what another network can learn from the rest, and which voxels are gone may itself
    tell the class (Rong et al. 2022), which lifts a curve.

    Parameters
    ----------
    table : DataFrame
        ``model, seed, order, fraction, sample, subject, correct, constant``, and `COUNTS`, of each test map and
        training; the fraction 0 is of the random order alone, and part of every curve.

    Returns
    -------
    DataFrame
        ``model, seed, order, fraction, removed, voxels, training, constant_training, maps, constant_maps, n, accuracy,
        se, ci_low, ci_high, area, below_random, below_low, below_high, reason``. n counts subjects (maps, where there
        are none): of them are the standard error and the 95 % intervals, of accuracy and of what the area is below the
        random order's (positive is better).
    """
    rows = []
    for (model, seed), part in table.groupby(["model", "seed"], sort=False):
        unit = owners(part, "sample " + part["sample"].astype(str))
        part = part.assign(unit=unit, fraction=part["fraction"].astype(float), correct=part["correct"].astype(float))
        intact = part[part["fraction"] == 0]
        curves = {
            order: pd.concat([intact, rest]) for order, rest in part[part["fraction"] > 0].groupby("order", sort=False)
        }
        areas = {order: _areas(curve) for order, curve in curves.items()}
        for order, curve in curves.items():
            below = (areas[AT_RANDOM] - areas[order]).to_numpy()
            _, mean, _, *ends, _ = mean_interval(below, (-1.0, 1.0))
            of_curve = {"area": areas[order].mean(), "below_random": mean, "below_low": ends[0], "below_high": ends[1]}
            for fraction, point in curve.groupby("fraction"):
                shares = point.groupby("unit")["correct"].mean().to_numpy()
                n, accuracy, se, low, high, reason = mean_interval(shares, (0.0, 1.0))
                counts = {name: point[name].iloc[0] for name in COUNTS}
                counts |= {"maps": len(point), "constant_maps": int(point["constant"].sum()), "n": n}
                found = {"accuracy": accuracy, "se": se, "ci_low": low, "ci_high": high, **of_curve, "reason": reason}
                rows.append({"model": model, "seed": seed, "order": order, "fraction": fraction, **counts, **found})
    return pd.DataFrame(rows)


def _areas(curve: pd.DataFrame) -> pd.Series:
    """Return each unit's area under its curve, as a share of the largest fraction."""
    wide = curve.pivot_table(index="unit", columns="fraction", values="correct")
    fractions = wide.columns.to_numpy()
    return pd.Series(np.trapezoid(wide.to_numpy(), fractions, axis=1) / fractions[-1], wide.index)
