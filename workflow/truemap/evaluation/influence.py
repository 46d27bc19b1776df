"""What attacks on influences came to: means, tests against random signs and between trainings, and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.exemplars import GRADIENT, RANDOM
from truemap.config.names import INFLUENCE
from truemap.evaluation.fragility import fragility_summary
from truemap.evaluation.fragility_answers import COLUMNS, NO, OPEN, PARTLY, YES, Entry, counted
from truemap.evaluation.fragility_pairs import fragility_pairs, oriented

#: What is measured of each attacked test map.
MEASURES = ("spearman", "overlap")
#: What the tables of attacked maps call what here is of the refitted last layer.
REFITTED = {"beta": "slope", "surrogate_agreement": "refit_agreement"}
#: What those tables tell beside, and influences have not.
NONE = ["method", "conditions", "truth"]
CHANGES = "does an attack change which training maps a prediction hangs on?"
PROTECTS = "does robust training protect that?"
#: What every reader of these sentences has to know.
TRAP = (
    "Influences are of the last layer alone, brought to its L2 optimum on the training maps taken, while all before it "
    "stays. Those of an attacked map can be right: they are of another map, of which the network predicts the same."
)


def influence_tables(table: pd.DataFrame, top: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return means and tests of what attacks left of influences, and tests between trainings and attacks.

    Parameters
    ----------
    table : DataFrame
        ``model, seed``, the columns of `truemap.exemplars.attack.Exemplars.table`, and ``slope, refit_agreement``.
    top : int
        Of how many the overlap is.

    Returns
    -------
    summary : DataFrame
        As `truemap.evaluation.fragility.fragility_summary` has it, without the way to explain: measures are
        ``spearman`` and ``overlap`` (of the most influential training maps, how many are so after). Of several
        networks `slope` (0 at the optimum of the last layer) is the largest, and `refit_agreement` (the share of
        training maps of which the network, refitted, predicts what it did) the smallest.
    pairs : DataFrame
        As `truemap.evaluation.fragility_pairs.fragility_pairs`: two networks attacked alike, two attacks on one.
    """
    shared = {"method": INFLUENCE, "conditions": "", "truth": "", "beta": table["slope"]}
    shared["surrogate_agreement"] = table["refit_agreement"]
    parts = [
        table.assign(measure=name, value=table[name].astype(float), **shared).assign(
            reason=table["reason"] if name == "spearman" else ""
        )
        for name in MEASURES
    ]
    told = pd.concat(parts, ignore_index=True)
    summary = fragility_summary(told, [RANDOM]).drop(columns=NONE).rename(columns=REFITTED)
    for measure, ends in zip(MEASURES, ((-1.0, 1.0), (0.0, float(top))), strict=True):
        own = summary["measure"] == measure
        summary.loc[own, ["ci_low", "ci_high"]] = summary.loc[own, ["ci_low", "ci_high"]].clip(*ends)
    pairs = fragility_pairs(told).drop(columns=["conditions", "truth", "method_a", "method_b"])
    return summary, pairs


def of_influences(summary: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables in the form of a dataset's summary and comparisons, for published claims.

    The criterion is the measure, `conditions` is epsilon as text (``0.14``), the method ``influence/gradient_sign``.
    """
    found = [
        table.rename(columns={"measure": "criterion"}).assign(conditions=[f"{bound:g}" for bound in table["epsilon"]])
        for table in (summary, pairs)
    ]
    both = {f"method_{side}": f"{INFLUENCE}/" + found[1][f"attack_{side}"] for side in "ab"}
    return found[0].assign(method=f"{INFLUENCE}/" + found[0]["attack"]), found[1].assign(pairs="methods", **both)


def influence_answers(summary: pd.DataFrame, pairs: pd.DataFrame, asked: Mapping[str, Any]) -> pd.DataFrame:
    """Return one sentence a question and network, of the largest epsilon.

    Answers are by paired tests of both measures over subjects (images, where there are none), Bonferroni-corrected. An
    attack changes influences more than random signs: ``yes`` where both say so, ``in part`` where one does, ``no``
    where none does. Training protects: as `truemap.evaluation.fragility_answers.counted` has it. ``open``: there is
    no test.

    Parameters
    ----------
    summary, pairs : DataFrame
        Of `influence_tables`.
    asked : mapping
        ``standard`` (network and the one of standard training that it is compared with), ``labels`` of networks,
        ``top`` (training maps that are compared).

    Returns
    -------
    DataFrame
        ``question, model, about, answer, sentence``.
    """
    strongest = summary["epsilon"].max()
    means = summary[(summary["epsilon"] == strongest) & (summary["seed"] == "mean")]
    tests = pairs[(pairs["epsilon"] == strongest) & (pairs["attack_a"] == GRADIENT)]
    rows = [*_changes(means, asked, strongest), *_protection(tests, asked)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _changes(means: pd.DataFrame, asked: Mapping[str, Any], epsilon: float) -> Iterator[Entry]:
    for model, rows in means.groupby("model", sort=False):
        cells = rows.set_index(["measure", "attack"])
        rho, left = ([_of(cells.loc[(m, attack), "mean"]) for attack in (GRADIENT, RANDOM)] for m in MEASURES)
        tests = cells.xs(GRADIENT, level="attack").loc[list(MEASURES)]
        own, less = tests.iloc[0], (tests["significant"] & (tests["difference"] < 0)).sum()
        answer = OPEN if tests["p"].isna().all() else YES if less == len(tests) else PARTLY if less else NO
        p = [row["test_reason"] or f"Bonferroni p = {row['p_bonferroni']:.2g}" for _, row in tests.iterrows()]
        sentence = (
            f"{asked['labels'][model]}: under the gradient-sign attack of {epsilon:g} sd influences of the training "
            f"maps before and after correlate by {rho[0]} (Spearman; random signs of the same size: {rho[1]}; {p[0]}), "
            f"and {left[0]} of the {asked['top']} most influential are still so ({left[1]}; {p[1]}); "
            f"{own['unattacked']:.0f} of {own['maps']:.0f} maps came back as they were, as the "
            "prediction would not have stayed. With its last layer at the optimum the network "
            f"predicts the same class of {100 * own['refit_agreement']:.3g} % of the "
            "training maps."
        )
        yield CHANGES, str(model), "", answer, sentence


def _protection(tests: pd.DataFrame, asked: Mapping[str, Any]) -> Iterator[Entry]:
    for model, standard in asked["standard"]:
        found = oriented(tests, "model", model, standard)
        more, less, total, answer = counted(found)
        rho, left = (_of(found.loc[found["measure"] == measure, "difference"].mean(), "+") for measure in MEASURES)
        sentence = (
            f"{asked['labels'][model]}: attacked alike, influences stay more like what they were than those of "
            f"{asked['labels'][standard]} in {more} of {total} tests (rank correlation, most influential that stay), "
            f"less in {less}; Spearman's rho differs by {rho}, and {left} more of the most influential stay."
        )
        yield PROTECTS, model, "", answer, sentence


def _of(value: float, sign: str = "") -> str:
    return "no value" if np.isnan(value) else f"{value:{sign}.3g}"
