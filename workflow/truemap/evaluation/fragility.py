"""What attacks on maps came to: means over subjects, and each attack against noise of random signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from truemap.config.names import AFTER, BEFORE, BY_DESIGN
from truemap.evaluation.statistics import bonferroni, compare, summarise
from truemap.evaluation.units import ENTRY, to_units

#: What a mean is of, beside the seed.
OF_MEASURE = ["measure", "conditions", "truth"]
CELL = [*OF_MEASURE, "epsilon", "model", "method", "attack"]
#: What is the same for two attacks that are compared.
PAIRED = ["measure", "conditions", "truth", "epsilon", "model", "method"]
LIMITS = (-np.inf, np.inf)
#: What measures can be; others have no end, but for agreement with a truth.
CAN_BE = {"spearman": (-1.0, 1.0), "top_k": (0.0, 1.0), "shift": (0.0, np.inf)}
TEST = ["difference", "t", "df", "p", "p_bonferroni", "significant", "test_reason"]
#: Why an attack has no test.
ITSELF, NOTHING = "no test: this is what others are compared with", "no test: the config has no attack random_sign"
SEEDS = "no test: units are averaged over seeds first"
ALPHA = 0.05


def fragility_summary(table: pd.DataFrame, random: Sequence[str], confidence: float = 0.95) -> pd.DataFrame:
    """Return mean, interval and test of each measure of attacked maps, by seed and over seeds.

    Parameters
    ----------
    table : DataFrame
        ``model, seed, method, attack`` and the columns of `truemap.evaluation.attacked_maps.Fragile.table`.
    random : sequence of str
        Labels of attacks that are noise of random signs; others are compared with the first.

    Returns
    -------
    DataFrame
        ``measure, conditions, truth, epsilon, model, method, attack, seed, maps, unattacked, beta,
        surrogate_agreement, n, mean, se, ci_low, ci_high, missing, reason, difference, t, df, p, p_bonferroni,
        significant, test_reason``; seed is a number or ``mean``. n counts subjects (samples, where there are none),
        over which the interval is Student's t, clipped to what can be. Of `maps` attacked, `unattacked` came back as
        they were; of several networks `beta` is the largest, and the agreement the smallest. The difference is that of
        the attack's mean less that of random signs, by the two-sided paired t-test over subjects, Bonferroni-corrected
        over all attacks, networks, ways to explain and epsilons of a measure.
    """
    samples = with_missing(table)
    found = summarise(coded_units(samples, CELL), confidence, limits=LIMITS)
    found = found.drop(columns=["conditions", "truth", *ENTRY, "share"]).join(
        coded_names(samples, CELL), on="criterion"
    )
    least, most = np.array([can_be(measure) for measure in found["measure"]]).reshape(-1, 2).T
    for end in ("ci_low", "ci_high"):
        found[end] = found[end].to_numpy(dtype=float).clip(least, most)
    found = found.merge(_counts(table), on=[*CELL[3:], "seed"], how="left")
    found = found.merge(_tests(samples, random), on=CELL, how="left")
    # The test is over seeds, and stands there alone.
    over = found["seed"] == "mean"
    found.loc[~over, TEST[:-2]] = np.nan
    found["significant"] = found["significant"].eq(True) & over
    none = ITSELF if random else NOTHING
    found["test_reason"] = np.where(over, found["test_reason"].astype(object).fillna(none), SEEDS)
    counted = ["seed", "maps", "unattacked", "beta", "surrogate_agreement"]
    return found[[*CELL, *counted, "n", "mean", "se", "ci_low", "ci_high", "missing", "reason", *TEST]]


def can_be(measure: str) -> tuple[float, float]:
    """Return between what a mean can be: a correlation, a share, a distance, or anything."""
    return (-1.0, 1.0) if measure.endswith((BEFORE, AFTER)) else CAN_BE.get(measure, LIMITS)


def with_missing(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `fragility_summary` with ``missing``, 1 where a value is null and not so by design."""
    missing = table["value"].isna() & ~table["reason"].str.startswith(BY_DESIGN)
    return table.assign(missing=missing.astype(int))


def coded_units(samples: pd.DataFrame, family: list[str], entry: str = "") -> pd.DataFrame:
    """Return one value a unit in the columns of `agreement_units`, what a family is of as one word.

    Parameters
    ----------
    samples : DataFrame
        Of `with_missing`.
    family : list of str
        Columns that are the same within a family: `criterion` is their code (`coded_names`).
    entry : str
        Column that is compared within families, in place of the model.
    """
    coded = {"criterion": _codes(samples, family), "conditions": "", "truth": "", "method": ""}
    return to_units(samples.assign(**coded, model=samples[entry] if entry else ""))


def _codes(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    return table.groupby(columns, sort=False).ngroup().astype(str)


def coded_names(samples: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return what the words of `coded_units` stand for, by these."""
    return samples[columns].assign(code=_codes(samples, columns)).drop_duplicates("code").set_index("code")


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many maps were attacked, and on what, by seed and over seeds."""
    keys = ["epsilon", "model", "method", "attack"]
    single = table.drop_duplicates([*keys, "seed", "sample"])
    both = pd.concat([single.assign(seed="mean"), single.assign(seed=single["seed"].astype(str))])
    found = both.assign(unattacked=~both["attacked"]).groupby([*keys, "seed"], sort=False)
    aggregated = {"beta": ("beta", "max"), "surrogate_agreement": ("surrogate_agreement", "min")}
    return found.agg(maps=("sample", "size"), unattacked=("unattacked", "sum"), **aggregated).reset_index()


def _tests(samples: pd.DataFrame, random: Sequence[str]) -> pd.DataFrame:
    """Return the tests of each attack against random signs: the columns `CELL` and `TEST`."""
    if not random:
        return samples[CELL][:0].reindex(columns=[*CELL, *TEST])
    # Random signs come last, so that differences are the attack's less theirs.
    ordered = samples.iloc[np.argsort(samples["attack"] == random[0], kind="stable")]
    tests = compare(coded_units(ordered, PAIRED, "attack")).query("model_b == @random[0]")
    tests = tests.rename(columns={"model_a": "attack", "reason": "test_reason"})
    tests = tests[["criterion", "attack", *TEST]].join(coded_names(ordered, PAIRED), on="criterion")
    tests["p_bonferroni"] = bonferroni(tests, OF_MEASURE)
    return tests.assign(significant=tests["p_bonferroni"] < ALPHA)[[*CELL, *TEST]]
