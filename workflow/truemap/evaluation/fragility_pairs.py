"""Attacked maps beside each other: two attacks, two ways to explain or two networks, all else the same."""

from __future__ import annotations

import pandas as pd

from truemap.config.names import BEFORE
from truemap.evaluation.fragility import ALPHA, CELL, OF_MEASURE, coded_names, coded_units, with_missing
from truemap.evaluation.statistics import bonferroni, compare

#: In what two differ that are compared.
ACROSS = ("attack", "method", "model")
#: By how much what an attack wants has risen: of two attacks it is not the same that they want.
GAIN = "gain"
TESTED = ["n", "difference", "t", "df", "p", "p_bonferroni", "significant", "reason"]
SIDES = [f"{name}_{side}" for side in "ab" for name in ("model", "method", "attack")]
COLUMNS = [*OF_MEASURE, "epsilon", "across", *SIDES, *TESTED]


def fragility_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the two-sided paired t-test of every two entries that differ in one thing alone.

    Two attacks on the same maps, two ways to explain the same network under the same attack, two networks explained
    and attacked alike. Pairs that differ in more are not tested: nobody could say what made the difference, and their
    number would weaken every test.

    Parameters
    ----------
    table : DataFrame
        See `truemap.evaluation.fragility.fragility_summary`.

    Returns
    -------
    DataFrame
        ``measure, conditions, truth, epsilon, across, model_a, method_a, attack_a, model_b, method_b, attack_b, n,
        difference, t, df, p, p_bonferroni, significant, reason``; `across` is what differs, the difference a - b over
        subjects (samples, where there are none), of which n have both values. Bonferroni-corrected over all tests of a
        measure (of its condition set and truth) across the same thing, all epsilons together.
    """
    # Agreement before is the same whatever the attack.
    samples = with_missing(table[~table["measure"].str.endswith(BEFORE)])
    parts = [_across(samples, name) for name in ACROSS]
    found = pd.concat([part for part in parts if len(part)] or [pd.DataFrame(columns=COLUMNS)], ignore_index=True)
    found["p_bonferroni"] = bonferroni(found, [*OF_MEASURE, "across"])
    return found.assign(significant=found["p_bonferroni"] < ALPHA)[COLUMNS]


def _across(samples: pd.DataFrame, name: str) -> pd.DataFrame:
    if name == "attack":
        samples = samples[samples["measure"] != GAIN]
    family = [column for column in CELL if column != name]
    tests = compare(coded_units(samples, family, name))
    tests = tests[["criterion", "model_a", "model_b", *TESTED]].join(coded_names(samples, family), on="criterion")
    found = tests.rename(columns={f"model_{side}": f"{name}_{side}" for side in "ab"})
    alike = {f"{same}_{side}": found[same] for same in ACROSS if same != name for side in "ab"}
    return found.assign(across=name, **alike)[COLUMNS]


def oriented(pairs: pd.DataFrame, across: str, first: str, second: str) -> pd.DataFrame:
    """Return the tests of one entry against another, differences (and t) being the first's less the second's."""
    pairs = pairs[pairs["across"] == across]
    names = pairs[f"{across}_a"], pairs[f"{across}_b"]
    forward, back = ((a == first) & (b == second) for a, b in (names, names[::-1]))
    turned = pairs[back].rename(columns={f"{n}_{s}": f"{n}_{o}" for n in ACROSS for s, o in ("ab", "ba")})
    turned = turned.assign(difference=-turned["difference"], t=-turned["t"])
    return pd.concat([pairs[forward], turned]) if len(turned) else pairs[forward]


def of_attacks(summary: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how far maps were changed, in the form of a dataset's summary and comparisons, for published claims.

    Parameters
    ----------
    summary, pairs : DataFrame
        Of `truemap.evaluation.fragility.fragility_summary` and `fragility_pairs`.

    Returns
    -------
    tuple of DataFrame
        The criterion is the measure, of those that are of no truth; `conditions` is epsilon as text (``0.14``), the
        method a way to explain and an attack with a slash between (``gradient/top_k``).
    """
    found = []
    for table in (summary, pairs):
        rows = table[table["truth"] == ""]
        bounds = [f"{epsilon:g}" for epsilon in rows["epsilon"]]
        found.append(rows.drop(columns="conditions").rename(columns={"measure": "criterion"}).assign(conditions=bounds))
    of_all, tests = found
    both = {f"method_{side}": tests[f"method_{side}"] + "/" + tests[f"attack_{side}"] for side in "ab"}
    return of_all.assign(method=of_all["method"] + "/" + of_all["attack"]), tests.assign(pairs="methods", **both)
