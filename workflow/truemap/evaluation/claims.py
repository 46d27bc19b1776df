"""Published claims beside what came out here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from truemap.config.names import ANGLE, ANGLES, INFLUENCE
from truemap.data.tables import read_tsv, require_cells, require_columns
from truemap.evaluation.statistics import STRENGTHS

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
#: Kinds of claims about what training's strength does -> the sign of its rank correlation.
TRENDS = {"rises": 1, "falls": -1}
#: Kinds of claims that no number here can decide; their `value` says why.
UNTESTABLE = "untestable"
#: Kind of claims that two entries differ by the tolerance at most.
EQUIVALENT = "equivalent"
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
    dataset: str,
    defined: Mapping[str, Any],
) -> pd.DataFrame:
    """Return the published claims that a dataset has numbers for, with our figure, the test of it and the verdict.

    Names only say where to look. A claim is tested where the dataset, models and methods of these names are what
    it is about; hyperparameters that a study chooses (epochs, strengths, learning rates) are free.

    Parameters
    ----------
    published : DataFrame
        Rows of config/published.tsv, all text. `dataset` lists the datasets to look at, blanks between them. `kind` is
        ``value`` (our mean lies within `tolerance` of `value`), ``below`` (it is less), ``greater`` (a above b,
        Bonferroni p < alpha), ``no_difference`` (p > alpha), ``equivalent`` (they differ by `tolerance` at most, see
        `_equivalent`), ``rises`` or ``falls`` (with the strength of a's `sweep`, p < alpha) or ``untestable`` (`value`
        says why). `about` lists what the data, models and methods must be:
        settings of the dataset, ``source.noise=0.5``, blanks between them. Of a measure of maps `conditions` is the
        label of its metric; of attacked maps it is epsilon, and the method a way to explain and an attack
        (``gradient/top_k``); of influences the method is ``influence/gradient_sign`` or ``influence/random_sign``;
        of angles of directions ``angle/saliency`` or ``angle/influence``.
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

    A verdict is for the study's data (`judge`); this says how the same comparisons of models and methods of these
    names go here.

    Parameters
    ----------
    published : DataFrame
        Rows of config/published.tsv.
    comparisons : DataFrame
        Of the dataset (see `truemap.evaluation.statistics`).

    Returns
    -------
    DataFrame
        ``id, criterion, statement, ours, test, holds``; `holds` is None where there is no test.
    """
    asked = published["source"].str.startswith(OWN) & (published["kind"] == "greater")
    asked &= published["criterion"].isin(["informative", "pairwise"])
    asked &= pd.Series([dataset in names.split() for names in published["dataset"]], published.index)
    rows = []
    for row in published[asked].to_dict("records"):
        ours, test, holds = _difference({**row, "dataset": dataset}, comparisons[:0], comparisons)
        if ours:
            rows.append({**{key: row[key] for key in ORDERED}, "ours": ours, "test": test, "holds": holds})
    return pd.DataFrame(rows, columns=[*ORDERED, "ours", "test", "holds"])


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
    ours, test, holds = (_value if row["kind"] in ("value", "below", UNTESTABLE) else _difference)(
        row, summary, comparisons
    )
    own = row["source"].startswith(OWN)
    if SIMULATED in data and own:
        verdict = f"not testable here ({data})"
    elif differs := mismatch(row["about"], known):
        verdict = differs
    elif holds is None:
        verdict = f"not testable here ({test})"
    elif not own:
        verdict = f"{'holds' if holds else 'does not hold'} on these data"
    else:
        verdict = f"{'' if holds else 'not '}{'replicated on other data' if REPLICATION in data else 'reproduced'}"
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


def _value(row: dict[str, Any], summary: pd.DataFrame, _: pd.DataFrame) -> tuple[str, str, bool | None]:
    if row["kind"] == UNTESTABLE:
        return "", "", None
    found = _select(summary, **_keys(row), model=row["model_a"], method=row["method_a"], seed="mean")
    if found.empty:
        return "", "", None
    entry = found.iloc[0]
    distance = entry["mean"] - float(row["value"])
    if math.isnan(distance):
        return "nan", entry["reason"], None
    interval = f"95% CI [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]" if not entry["reason"] else entry["reason"]
    if not math.isnan(entry.get("ci_low_two_level", math.nan)):
        ends = f"[{entry['ci_low_two_level']:.3f}, {entry['ci_high_two_level']:.3f}]"
        interval += f" (over {entry['trainings']:.0f} trainings too: {ends})"
    if row["kind"] == "below":
        return f"{entry['mean']:.3f}", f"{interval}; limit {row['value']}", bool(entry["mean"] < float(row["value"]))
    test = f"{interval}; differs by {distance:+.3f}, allowed {row['tolerance']}"
    return f"{entry['mean']:.3f}", test, bool(abs(distance) <= float(row["tolerance"]) + ROUNDING)


def _difference(row: dict[str, Any], _: pd.DataFrame, comparisons: pd.DataFrame) -> tuple[str, str, bool | None]:
    trend = row["kind"] in TRENDS
    keys = {**_keys(row), "pairs": STRENGTHS if trend else "methods"}
    for sign, (a, b) in ((1, "ab"), (-1, "ba")):
        sides = (("a", a), ("b", b))
        names = {f"{part}_{side}": row[f"{part}_{name}"] for part in ("model", "method") for side, name in sides}
        found = _select(comparisons, **keys, **names)
        if found.empty:
            continue
        entry = found.iloc[0]
        difference, p, alpha = sign * entry["difference"], entry["p_bonferroni"], float(row["alpha"])
        ours = f"rank correlation with strength {difference:+.3f}" if trend else f"difference {difference:+.3f}"
        if math.isnan(p):
            return ours, entry["reason"], None
        if row["kind"] == EQUIVALENT:
            return ours, *_equivalent(difference, entry, float(row["tolerance"]), alpha)
        # Of a claim that fails for the number of tests beside it, one should see that.
        test = f"paired t({entry['df']:.0f}) = {sign * entry['t']:.2f}, p {_p(entry['p'])}, Bonferroni p {_p(p)}"
        test += _beyond(entry, sign)
        rising = TRENDS.get(row["kind"], 1) * difference > 0
        holds = p > alpha if row["kind"] == "no_difference" else rising and p < alpha
        return ours, test, bool(holds)
    return "", "", None


def _equivalent(difference: float, entry: pd.Series, tolerance: float, alpha: float) -> tuple[str, bool | None]:
    """Return the test of whether a difference lies within the tolerance, in words, and whether it does.

    Two one-sided t-tests (Schuirmann 1987): it does where the interval of 1 - 2 alpha lies within the tolerance, it
    does not where all of it lies beyond, and else too little was measured to tell, which is no verdict. That no
    difference is significant says nothing of the kind. A claim stands by itself, so that nothing is corrected: a wrong
    "holds" has a probability of at most alpha.
    """
    if entry["t"] == 0:
        return "no test: the mean difference is 0, and t does not tell the spread", None
    half = float(stats.t.ppf(1 - alpha, entry["df"]) * abs(entry["difference"] / entry["t"]))
    low, high = difference - half, difference + half
    test = (
        f"{100 * (1 - 2 * alpha):g}% CI [{low:+.3f}, {high:+.3f}] over {entry['n']:.0f} units, by two one-sided paired "
        f"t-tests; allowed {tolerance:g}"
    )
    if -tolerance < low and high < tolerance:
        return test, True
    if low > tolerance or high < -tolerance:
        return test, False
    return f"{test}: too few units to tell", None


def _beyond(entry: pd.Series, sign: int) -> str:
    """Return what a test's difference is worth for other trainings, in words, where there are enough of them."""
    if math.isnan(entry.get("p_two_level_bonferroni", math.nan)):
        return ""
    ends = sorted(sign * entry[f"ci_{end}_two_level"] for end in ("low", "high"))
    counts = {entry["trainings_a"], entry["trainings_b"]} - {0}
    trainings = " and ".join(f"{count:.0f}" for count in sorted(counts))
    return (
        f"; over {entry['n']:.0f} units and {trainings} trainings: 95% CI [{ends[0]:+.3f}, {ends[1]:+.3f}], "
        f"Bonferroni p {_p(entry['p_two_level_bonferroni'])}"
    )


def _keys(row: dict[str, Any]) -> dict[str, str]:
    """Return what a claim is about; published agreement is with the truth from all maps of a subject."""
    keys = {key: row[key] for key in ("dataset", "conditions", "criterion")}
    truth = {"accuracy": "", "informative": "full", "pairwise": "full"}.get(row["criterion"])
    return keys if truth is None else {**keys, "truth": truth}


def _p(value: float) -> str:
    return "< 1e-300" if value == 0 else f"= {value:.2g}"


def _select(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    keep = pd.Series(True, index=table.index)
    for column, value in values.items():
        keep &= table[column] == value
    return table[keep]
