"""Choosing among candidates, calibrating the winner, and what it then predicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from truemap.data.rows import KEYS
from truemap.runtime.files import read_json

#: Bounds of the temperature, in units of the logits' sd within a map; at either of them validation NLL has no minimum
#: worth the name.
BOUNDS = (0.05, 20.0)
#: Of an accuracy, far less than one map in any data: two that differ by the tolerance may differ by it and rounding.
ROUNDING = 1e-9


def choose(candidates: Mapping[str, Mapping[str, Any]], strength: str, tolerance: float) -> tuple[str, str]:
    """Return the winning candidate's name and the reason in words.

    Among candidates of equal strength (``epsilon``, or the weight of a penalty) the one with the lowest validation
    NLL stands; among those, the largest strength whose validation accuracy is within `tolerance` of the best.

    Parameters
    ----------
    candidates : mapping
        Name -> ``{"training": options, "nll": float, "accuracy": float}``.
    strength : str
        Name of the option that is a strength.
    tolerance : float
        Accuracy that may be given up for strength.
    """
    finalists: dict[float, str] = {}
    for name, entry in candidates.items():
        value = entry["training"].get(strength, 0.0)
        if value not in finalists or entry["nll"] < candidates[finalists[value]]["nll"]:
            finalists[value] = name
    if len(candidates) == 1:
        return next(iter(candidates)), "the only candidate"
    if len(finalists) == 1:
        return next(iter(finalists.values())), "lowest validation NLL"
    best = max(candidates[name]["accuracy"] for name in finalists.values())
    value = max(v for v, name in finalists.items() if candidates[name]["accuracy"] >= best - tolerance - ROUNDING)
    reason = f"largest {strength} with validation accuracy within {tolerance:g} of the best ({best:.4f})"
    return finalists[value], reason


def chosen(
    weights: Sequence[str], validation: Sequence[str], settings: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the winner's file of weights, and of the choice what ``model.json`` says.

    Parameters
    ----------
    weights, validation : sequence of str
        Files of the candidates, each in a folder of the candidate's name.
    settings : mapping
        ``strength`` and ``tolerance``, as `choose` has them.
    """
    found = {Path(path).parent.name: read_json(path) for path in validation}
    winner, reason = choose(found, settings["strength"], settings["tolerance"])
    candidates = {name: {key: entry[key] for key in ("nll", "accuracy")} for name, entry in found.items()}
    choice = {"chosen": winner, "reason": reason, "training": found[winner]["training"], "candidates": candidates}
    return next(path for path in weights if Path(path).parent.name == winner), choice


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> tuple[float, str]:
    """Return the temperature that minimises NLL (Guo et al. 2017), and how it was found.

    Parameters
    ----------
    logits : ndarray, shape (n, classes)
    labels : ndarray of int, shape (n,)

    Returns
    -------
    temperature : float
    status : str
        ``fitted``; or, with temperature 1, ``separable`` where every map is classified rightly (NLL then
        falls without end as T goes to 0), or ``bound`` where the minimum lies at a bound.
    """
    logits = np.asarray(logits, dtype=np.float64)
    logits = logits - logits.mean(axis=1, keepdims=True)
    rows, scale = np.arange(len(labels)), logits.std()

    def nll(log_temperature: float) -> float:
        return -log_softmax(logits / (scale * math.exp(log_temperature)), axis=1)[rows, labels].mean()

    if (logits.argmax(axis=1) == labels).all():
        return 1.0, "separable"
    if scale == 0:
        return 1.0, "bound"
    low, high = map(math.log, BOUNDS)
    found = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-8}).x
    if min(found - low, high - found) < 1e-3:
        return 1.0, "bound"
    return float(scale * math.exp(found)), "fitted"


def predictions(table: pd.DataFrame, probabilities: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """Return what a decoder says of each map.

    Parameters
    ----------
    table : DataFrame
        Rows of `truemap.data.volumes.Volumes`.
    probabilities : ndarray, shape (n, classes)

    Returns
    -------
    DataFrame
        ``sample, subject, label, condition, negated, split, predicted, correct``, and ``p_{class}`` of each class.
    """
    found = table[[*KEYS, "split"]].copy()
    found["predicted"] = [classes[number] for number in probabilities.argmax(axis=1)]
    found["correct"] = found["predicted"] == found["label"]
    columns = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in classes], index=found.index)
    return pd.concat([found, columns], axis=1)
