"""The same subjects in more voxels and in fewer: are maps of more voxels more fragile (Ghorbani et al. 2019, § 5)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from truemap.evaluation.fragility import ALPHA, CELL, coded_names, coded_units, with_missing
from truemap.evaluation.fragility_answers import COLUMNS, NO, OPEN, PARTLY, YES, Entry
from truemap.evaluation.statistics import bonferroni, compare
from truemap.runtime.files import DataError

FINER, COARSER = "finer", "coarser"
#: What means the same whatever the number of voxels -> the sign of what is more fragile.
MEASURES = {"spearman": -1, "spearman_signed": -1, "top_k": -1, "shift": 1}
QUESTION = "are maps of more voxels more fragile?"
TESTED = ["n", "difference", "t", "df", "p", "p_bonferroni", "significant", "reason"]


def dimension(finer: pd.DataFrame, coarser: pd.DataFrame) -> pd.DataFrame:
    """Return the two-sided paired t-test, over subjects, of maps attacked in more voxels and in fewer.

    Parameters
    ----------
    finer, coarser : DataFrame
        Both as `truemap.evaluation.fragility.fragility_summary` takes them, of datasets with the same subjects.

    Returns
    -------
    DataFrame
        ``measure, epsilon, model, method, attack, finer, coarser, n, difference, t, df, p, p_bonferroni, significant,
        reason``: means over the n subjects that both have, and finer less coarser. Bonferroni-corrected over all tests
        of a measure.

    Raises
    ------
    DataError
        If no subject has attacked maps in both.
    """
    shared = set(finer["subject"]) & set(coarser["subject"]) - {""}
    if not shared:
        raise DataError("no subject has attacked maps in both datasets. Name one of the same subjects (`coarser`).")
    parts = [table.assign(voxels=name) for name, table in ((FINER, finer), (COARSER, coarser))]
    both = pd.concat(parts, ignore_index=True)
    both = both[both["measure"].isin(MEASURES) & both["subject"].isin(shared)]
    # Numbers of samples are those of each dataset; a subject's are averaged.
    samples = with_missing(both)
    tests = compare(coded_units(samples, CELL, "voxels"))
    found = tests.join(coded_names(samples, CELL), on="criterion", lsuffix="_of_test")
    found["difference"] *= found["model_a"].map({FINER: 1, COARSER: -1})
    found["t"] *= found["model_a"].map({FINER: 1, COARSER: -1})
    means = samples.groupby([*CELL, "voxels", "subject"])["value"].mean().groupby([*CELL, "voxels"]).mean().unstack()
    found = found.merge(means.reset_index(), on=CELL)
    found["p_bonferroni"] = bonferroni(found, ["measure"])
    found["significant"] = found["p_bonferroni"] < ALPHA
    return found[["measure", "epsilon", "model", "method", "attack", FINER, COARSER, *TESTED]]


def of_dimension(table: pd.DataFrame) -> pd.DataFrame:
    """Return the tests in the form of a dataset's comparisons, for published claims.

    The criterion is the measure, `conditions` is epsilon as text, the methods are ``gradient/top_k`` and, of fewer
    voxels, ``gradient/top_k/coarser``.
    """
    ours = table["method"] + "/" + table["attack"]
    sides = {"model_a": table["model"], "model_b": table["model"], "method_a": ours, "method_b": ours + f"/{COARSER}"}
    bounds = [f"{epsilon:g}" for epsilon in table["epsilon"]]
    return table.rename(columns={"measure": "criterion"}).assign(conditions=bounds, truth="", pairs="methods", **sides)


def dimension_answers(table: pd.DataFrame, asked: Mapping[str, Any]) -> pd.DataFrame:
    """Return one sentence a network, of the largest epsilon and the attacks that want something.

    ``yes`` where at least half of the tests are significant and say that maps of more voxels change more, and none the
    other way; ``no`` where none says so; ``open`` where there is no test; ``in part`` all else.

    Parameters
    ----------
    asked : mapping
        ``random`` (labels of attacks that are noise of random signs), ``labels`` of networks.
    """
    own = table[(table["epsilon"] == table["epsilon"].max()) & ~table["attack"].isin(asked["random"])]
    return pd.DataFrame(list(_sentences(own, asked)), columns=COLUMNS)


def _sentences(own: pd.DataFrame, asked: Mapping[str, Any]) -> Iterator[Entry]:
    for model, rows in own.groupby("model", sort=False):
        worse = rows["difference"] * rows["measure"].map(MEASURES)
        more, less = (int((rows["significant"] & (worse * sign > 0)).sum()) for sign in (1, -1))
        tested = int(rows["p"].notna().sum())
        answer = OPEN if not tested else NO if not more else YES if 2 * more >= tested and not less else PARTLY
        rho = rows[rows["measure"] == "spearman"]
        yield (
            QUESTION, str(model), "", answer,
            f"{asked['labels'][model]}: of {tested} tests over the same subjects in more voxels and in fewer {more} "
            f"say that maps of more voxels change more, {less} the other way (Bonferroni over all of a measure); "
            f"Spearman's rho is {rho[FINER].mean():.3g} on average, of fewer voxels {rho[COARSER].mean():.3g} "
            f"(n = {rows['n'].min():.0f}).",
        )  # fmt: skip
