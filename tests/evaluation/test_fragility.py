import numpy as np
import pandas as pd
import pytest
from scipy import stats

from truemap.evaluation.fragility import ITSELF, NOTHING, can_be, fragility_summary


def table(attacks=("top_k", "mass_center", "random_sign"), seeds=(0,), models=("m",), subjects=6, each=2):
    draws = np.random.default_rng(0)
    shift = {"top_k": -0.4, "mass_center": -0.2, "random_sign": 0.0}
    rows = [
        {
            "model": model, "seed": seed, "method": "gradient", "attack": attack, "sample": 10 * who + k,
            "subject": f"s{who}", "label": "a", "condition": "a", "negated": False, "predicted": "a",
            "epsilon": epsilon, "bound": epsilon, "attacked": k > 0 or attack != "top_k", "linf": 0.1, "l2": 0.2,
            "beta": 10.0, "surrogate_agreement": 1.0, "measure": measure, "conditions": "", "truth": "",
            "value": 0.9 + shift[attack] * epsilon + 0.05 * draws.standard_normal(), "reason": "",
        }
        for model in models for seed in seeds for attack in attacks for who in range(subjects) for k in range(each)
        for epsilon in (0.1, 1.0) for measure in ("spearman", "top_k")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def units(rows, attack, epsilon, measure, model="m"):
    mine = rows.query("attack == @attack and epsilon == @epsilon and measure == @measure and model == @model")
    return mine.groupby("subject")["value"].mean().to_numpy()


def test_means_intervals_and_paired_tests_are_over_subjects():
    rows = table()
    found = fragility_summary(rows, ["random_sign"])
    assert len(found) == 2 * 3 * 2 * 2
    line = found.query("attack == 'top_k' and epsilon == 1.0 and measure == 'spearman' and seed == 'mean'").iloc[0]
    own, random = (units(rows, attack, 1.0, "spearman") for attack in ("top_k", "random_sign"))
    assert (line["n"], line["maps"], line["unattacked"]) == (6, 12, 6)
    assert line["mean"] == pytest.approx(own.mean())
    half = stats.t.ppf(0.975, 5) * own.std(ddof=1) / np.sqrt(6)
    assert (line["ci_low"], line["ci_high"]) == pytest.approx((own.mean() - half, own.mean() + half))
    test = stats.ttest_rel(own, random)
    assert (line["t"], line["df"], line["p"]) == pytest.approx((test.statistic, 5, test.pvalue))
    assert line["difference"] == pytest.approx(own.mean() - random.mean())
    assert line["significant"] and line["test_reason"] == ""


def test_p_is_corrected_over_all_attacks_bounds_and_networks_of_a_measure():
    found = fragility_summary(table(models=("m", "n")), ["random_sign"])
    tested = found[found["p"].notna()]
    assert len(tested) == 2 * (2 * 2 * 2)
    np.testing.assert_allclose(tested["p_bonferroni"], np.minimum(1, 8 * tested["p"]))


def test_random_signs_are_not_tested_against_themselves():
    found = fragility_summary(table(), ["random_sign"]).query("attack == 'random_sign' and seed == 'mean'")
    assert found["p"].isna().all() and set(found["test_reason"]) == {ITSELF}
    assert not found["significant"].any()


def test_without_random_signs_there_are_means_and_no_tests():
    found = fragility_summary(table(attacks=("top_k", "mass_center")), [])
    over = found[found["seed"] == "mean"]
    assert over["mean"].notna().all() and over["p"].isna().all() and set(over["test_reason"]) == {NOTHING}


def test_seeds_are_averaged_before_subjects_are_counted():
    found = fragility_summary(table(seeds=(0, 1)), ["random_sign"])
    assert set(found["seed"]) == {"mean", "0", "1"}
    assert set(found["n"]) == {6}
    assert set(found.query("seed == 'mean'")["maps"]) == {24} and set(found.query("seed == '0'")["maps"]) == {12}
    assert found.query("seed != 'mean'")["p"].isna().all()


def test_nulls_by_design_are_not_counted_as_missing():
    rows = table()
    gone = rows["measure"] == "top_k"
    rows.loc[gone & (rows["sample"] % 10 == 0), ["value", "reason"]] = [np.nan, "left out: for a reason"]
    rows.loc[~gone & (rows["sample"] % 10 == 0), ["value", "reason"]] = [np.nan, "a map is zero"]
    found = fragility_summary(rows, ["random_sign"]).query("seed == 'mean'").groupby("measure")["missing"].sum()
    assert found["top_k"] == 0 and found["spearman"] == 6 * 3 * 2


def test_truths_and_condition_sets_are_families_of_their_own():
    rows = table()
    agreed = rows[rows["measure"] == "spearman"].assign(measure="informative_after")
    kinds = enumerate([("all", "full"), ("all", "leave_out"), ("chosen", "full")])
    parts = [agreed.assign(conditions=c, truth=t, value=agreed["value"] + 0.01 * k) for k, (c, t) in kinds]
    found = fragility_summary(pd.concat([rows, *parts]), ["random_sign"])
    assert not found.duplicated(["measure", "conditions", "truth", "epsilon", "attack", "seed"]).any()
    means = found.query("seed == 'mean' and attack == 'top_k' and epsilon == 1.0").set_index(
        ["measure", "conditions", "truth"]
    )
    assert means.loc[("informative_after", "chosen", "full"), "mean"] == pytest.approx(
        means.loc[("informative_after", "all", "full"), "mean"] + 0.02
    )


def test_an_interval_ends_where_a_measure_can_be_no_more():
    rows = table(subjects=2)
    rows["value"] = np.where(rows["subject"] == "s0", 0.1, 1.0)
    found = fragility_summary(rows, ["random_sign"]).query("seed == 'mean'")
    assert set(found["ci_high"]) == {1.0}
    assert set(found.loc[found["measure"] == "top_k", "ci_low"]) == {0.0}
    assert set(found.loc[found["measure"] == "spearman", "ci_low"]) == {-1.0}
    assert can_be("informative_after") == (-1.0, 1.0) and can_be("shift") == (0.0, np.inf)
