"""Published claims beside what came out here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from truemap.data.tables import read_tsv, require_cells, require_columns

COLUMNS = (
    "id", "source", "dataset", "conditions", "criterion", "kind", "model_a", "method_a", "model_b", "method_b", "value",
    "alpha", "tolerance", "statement", "about",
)  # fmt: skip
#: What data must not be called for a claim about them to be tested.
SIMULATED = "simulated"
#: What data are called on which a claim about others is tested.
REPLICATION = "replication"
#: Of a mean's distance from the published one: what is rounding of decimal numbers.
ROUNDING = 1e-9


def read_claims(path: str | Path) -> pd.DataFrame:
    """Return the table of published claims, as text.

    Raises
    ------
    DataError
        If it cannot be read, lacks a column, or a claim does not say what it is about.
    """
    table = read_tsv(path, "table", "Take config/published.tsv as the pattern.")
    require_columns(path, table, COLUMNS)
    require_cells(path, table, ("id", "dataset", "conditions", "criterion", "kind", "model_a", "about"))
    return table


def judge(
    published: pd.DataFrame,
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    datasets: dict[str, str],
    defined: Mapping[str, Mapping[str, Any]],
) -> pd.DataFrame:
    """Return the published claims with our figure, the test of it and the verdict.

    Names only say where to look. A claim is tested where the dataset, models and methods of these names are what
    it is about; hyperparameters that a study chooses (epochs, strengths, learning rates) are free.

    Parameters
    ----------
    published : DataFrame
        Rows of config/published.tsv, all text. `kind` is ``value`` (our mean lies within `tolerance` of
        `value`), ``greater`` (a above b, Bonferroni p < alpha) or ``no_difference`` (p > alpha). `about` lists what
        the data, models and methods must be: settings of the dataset, ``source.noise=0.5``, blanks between them.
    summary, comparisons : DataFrame
        Of all datasets that ran (see `truemap.evaluation.statistics`).
    datasets : dict
        Dataset -> what its data are called.
    defined : mapping
        Dataset -> its settings (`truemap.plan.settings.JobSettings.claims_settings`).

    Returns
    -------
    DataFrame
        `published` without `about`, with ``data, ours, test, verdict``.
    """
    known = {name: dict(flat(settings)) for name, settings in defined.items()}
    results = [_judge_one(row, summary, comparisons, datasets, known) for row in published.to_dict("records")]
    return pd.concat([published.drop(columns="about").reset_index(drop=True), pd.DataFrame(results)], axis=1)


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting's path and value, as text: ``source.noise``, ``0.5``."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def mismatch(about: str, known: Mapping[str, str]) -> str:
    """Return how a dataset differs from what a claim is about, in words; nothing where it does not.

    Parameters
    ----------
    about : str
        See `judge`.
    known : mapping
        Setting -> value, as text.
    """
    for wanted in about.split():
        key, _, value = wanted.partition("=")
        if known.get(key) != value:
            what = "this model or method" if key.startswith("models.") else "these data"
            return f"not about {what} ({key} is {known.get(key, 'not set')}, not {value})"
    return ""


def _judge_one(
    row: dict[str, Any],
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    datasets: dict[str, str],
    known: Mapping[str, Mapping[str, str]],
) -> dict[str, str]:
    if row["dataset"] not in datasets:
        return {"data": "", "ours": "", "test": "", "verdict": "not run: dataset not in this config"}
    data = datasets[row["dataset"]]
    ours, test, holds = _value(row, summary) if row["kind"] == "value" else _difference(row, comparisons)
    if not ours:
        verdict = "not run: model or method not in this config"
    elif SIMULATED in data:
        verdict = f"not testable here ({data})"
    elif differs := mismatch(row["about"], known[row["dataset"]]):
        verdict = differs
    elif holds is None:
        verdict = f"not testable here ({test})"
    else:
        verdict = f"{'' if holds else 'not '}{'replicated on other data' if REPLICATION in data else 'reproduced'}"
    return {"data": data, "ours": ours, "test": test, "verdict": verdict}


def _value(row: dict[str, Any], summary: pd.DataFrame) -> tuple[str, str, bool | None]:
    found = _select(summary, **_keys(row), model=row["model_a"], method=row["method_a"], seed="mean")
    if found.empty:
        return "", "", None
    entry = found.iloc[0]
    distance = entry["mean"] - float(row["value"])
    if math.isnan(distance):
        return "nan", entry["reason"], None
    interval = f"95% CI [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]" if not entry["reason"] else entry["reason"]
    test = f"{interval}; differs by {distance:+.3f}, allowed {row['tolerance']}"
    return f"{entry['mean']:.3f}", test, bool(abs(distance) <= float(row["tolerance"]) + ROUNDING)


def _difference(row: dict[str, Any], comparisons: pd.DataFrame) -> tuple[str, str, bool | None]:
    keys = {**_keys(row), "pairs": "methods"}
    for sign, (a, b) in ((1, "ab"), (-1, "ba")):
        sides = (("a", a), ("b", b))
        names = {f"{part}_{side}": row[f"{part}_{name}"] for part in ("model", "method") for side, name in sides}
        found = _select(comparisons, **keys, **names)
        if found.empty:
            continue
        entry = found.iloc[0]
        difference, p, alpha = sign * entry["difference"], entry["p_bonferroni"], float(row["alpha"])
        if math.isnan(p):
            return f"difference {difference:+.3f}", entry["reason"], None
        test = f"paired t({entry['df']:.0f}) = {sign * entry['t']:.2f}, Bonferroni p {_p(p)}"
        holds = p > alpha if row["kind"] == "no_difference" else difference > 0 and p < alpha
        return f"difference {difference:+.3f}", test, bool(holds)
    return "", "", None


def _keys(row: dict[str, Any]) -> dict[str, str]:
    """Return what a claim is about; published agreement is with the truth from all maps of a subject."""
    keys = {key: row[key] for key in ("dataset", "conditions", "criterion")}
    return {**keys, "truth": "" if row["criterion"] == "accuracy" else "full"}


def _p(value: float) -> str:
    return "< 1e-300" if value == 0 else f"= {value:.2g}"


def _select(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    keep = pd.Series(True, index=table.index)
    for column, value in values.items():
        keep &= table[column] == value
    return table[keep]
