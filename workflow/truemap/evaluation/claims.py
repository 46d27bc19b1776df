"""Published claims beside what came out here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from truemap.config.names import ANGLE, ANGLES, INFLUENCE
from truemap.data.tables import read_tsv, require_cells, require_columns
from truemap.evaluation.claim_tests import OPPOSITE, UNTESTABLE, of_difference, tested

COLUMNS = (
    "id", "source", "dataset", "conditions", "criterion", "kind", "model_a", "method_a", "model_b", "method_b", "value",
    "alpha", "tolerance", "statement", "about",
)  # fmt: skip
#: Of a claim that was looked for in a dataset.
JUDGED = (*COLUMNS[:-1], "data", "configuration", "ours", "test", "verdict")
#: Of an order that is looked for in a dataset.
ORDERED = ("id", "criterion", "statement")
NOT_RUN = "not run: no such dataset, model or method here"
#: Between the settings of a configuration.
SEPARATOR = "; "
#: What data must not be called for a claim about them to be tested.
SIMULATED = "simulated"
#: What data are called on which a claim about others is tested.
REPLICATION = "replication"
#: The study whose data some of the datasets are; other studies' claims are about methods, on whatever data.
OWN = "arXiv:2004.11114"


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
    dataset: str,
    defined: Mapping[str, Any],
) -> pd.DataFrame:
    """Return the published claims that a dataset has numbers for, with our figure, the test of it and the verdict.

    Names of datasets, models and methods only say where to look. A claim is tested where what has these names is what
    the claim is about; hyperparameters that a study chooses (epochs, strengths, learning rates) are free.

    Parameters
    ----------
    published : DataFrame
        Rows of config/published.tsv, all text. `dataset` lists the datasets to look at, blanks between them. `kind` is
        one of (`truemap.evaluation.claim_tests`):

        - ``value``: our mean lies within `tolerance` of `value`
        - ``below``: our mean is less than `value`
        - ``greater``: a is above b, Bonferroni p < alpha
        - ``no_difference``: of a and b, Bonferroni p > alpha
        - ``equivalent``: a and b differ by `tolerance` at most, by two one-sided tests
        - ``rises``, ``falls``: with the strength of a's `sweep`, Bonferroni p < alpha
        - ``untestable``: no number here can decide it, and `value` says why

        `about` lists what the data, models and methods must be: settings of the dataset, ``source.noise=0.5``, blanks
        between them. Of a measure of maps `conditions` is the label of its metric. Of attacked maps it is epsilon, and
        the method is a way to explain and an attack (``gradient/top_k``). Of influences the method is
        ``influence/gradient_sign`` or ``influence/random_sign``, of angles of directions ``angle/saliency`` or
        ``angle/influence``.
    summary, comparisons : DataFrame
        Of the dataset (see `truemap.evaluation.statistics`), and, in their form, of the measures of its maps
        (`truemap.evaluation.measures`), of attacked maps (`truemap.evaluation.fragility_pairs.of_attacks`) and of
        influences (`truemap.evaluation.influence.of_influences`); of angles a summary alone
        (`truemap.evaluation.angle_summary.of_angles`).
    dataset : str
        What it is called.
    defined : mapping
        Its settings (`truemap.plan.settings.report.ReportSettings.judge`).

    Returns
    -------
    DataFrame
        Rows of `published` with this `dataset`; ``data, configuration, ours, test, verdict`` in place of `about`.
    """
    known = dict(flat(defined))
    data = summary["data"].iloc[0]
    wanted = published[[dataset in names.split() for names in published["dataset"]]].assign(dataset=dataset)
    rows = [{**row, **_judge_one(row, summary, comparisons, data, known)} for row in wanted.to_dict("records")]
    return pd.DataFrame([row for row in rows if row["ours"]], columns=JUDGED)


def gathered(published: pd.DataFrame, judged: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the claims as `judge` found them in any dataset, in the order of `published`; one row of those nowhere."""
    found = pd.concat([pd.DataFrame(columns=JUDGED), *judged])
    rows: list[dict[str, Any]] = []
    for row in published.to_dict("records"):
        own = found[found["id"] == row["id"]].to_dict("records")
        none = f"not testable here ({row['value']})" if row["kind"] == UNTESTABLE else NOT_RUN
        rows += own or [{**dict.fromkeys(JUDGED, ""), **row, "verdict": none}]
    return pd.DataFrame(rows, columns=JUDGED)


def orders(published: pd.DataFrame, comparisons: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return which of the study's own orders of agreement come out in a dataset, whatever its data are called.

    A verdict (`judge`) is for the study's data; this says how the same comparisons, of models and methods of the same
    names, come out here.

    Parameters
    ----------
    published : DataFrame
        Rows of config/published.tsv.
    comparisons : DataFrame
        Of the dataset (see `truemap.evaluation.statistics`).

    Returns
    -------
    DataFrame
        ``id, criterion, statement, ours, test, holds, opposite``; `holds` is None where there is no test, `opposite`
        says whether the difference of the other sign is as significant.
    """
    asked = published["source"].str.startswith(OWN) & (published["kind"] == "greater")
    asked &= published["criterion"].isin(["informative", "pairwise"])
    asked &= pd.Series([dataset in names.split() for names in published["dataset"]], published.index)
    rows = []
    for row in published[asked].to_dict("records"):
        ours, test, holds, failed = of_difference({**row, "dataset": dataset}, comparisons)
        if ours:
            found = {"ours": ours, "test": test, "holds": holds, "opposite": failed == OPPOSITE}
            rows.append({**{key: row[key] for key in ORDERED}, **found})
    return pd.DataFrame(rows, columns=[*ORDERED, "ours", "test", "holds", "opposite"])


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
    row: dict[str, Any], summary: pd.DataFrame, comparisons: pd.DataFrame, data: str, known: Mapping[str, str]
) -> dict[str, str]:
    ours, test, holds, failed = tested(row, summary, comparisons)
    own = row["source"].startswith(OWN)
    if SIMULATED in data and own:
        verdict = f"not testable here ({data})"
    elif differs := mismatch(row["about"], known):
        verdict = differs
    elif holds is None:
        verdict = f"not testable here ({test})"
    elif not own:
        verdict = f"{'holds' if holds else 'does not hold'} on these data{failed}"
    else:
        came_out = "replicated on other data" if REPLICATION in data else "reproduced"
        verdict = f"{'' if holds else 'not '}{came_out}{failed}"
    found = {"data": data, "configuration": _configuration(row, known), "ours": ours, "test": test}
    return {**found, "verdict": verdict}


def _configuration(row: dict[str, Any], known: Mapping[str, str]) -> str:
    """Return the settings that a claim was tested with, as in `about`: of the data what that names, of models all."""
    of_data = [wanted.partition("=")[0] for wanted in row["about"].split()]
    shown = [*filter(lambda key: not key.startswith("models."), of_data), "split", "explained"]
    for side in "ab":
        model = f"models.{row[f'model_{side}']}"
        shown += [f"{model}.{part}" for part in ("network", "training", "calibrate", "seeds")]
        way, _, attack = row[f"method_{side}"].partition("/")
        of_maps = [f"fragility.attacks.{attack}", "fragility.maps"]
        of_attack = {INFLUENCE: [INFLUENCE], ANGLE: [ANGLES]}.get(way, of_maps)
        shown += [f"{model}.saliency.{way}", *(of_attack if attack else [])]
    return SEPARATOR.join(
        f"{k}={v}" for k, v in known.items() if any(k == key or k.startswith(f"{key}.") for key in shown)
    )
