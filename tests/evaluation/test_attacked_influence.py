import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from truemap.evaluation.influence import (
    CHANGES,
    MEASURES,
    PROTECTS,
    influence_answers,
    influence_tables,
    of_influences,
)

BOUNDS = (0.07, 0.14)
ASKED = {
    "standard": [["robust", "plain"]], "labels": {"plain": "NN", "robust": "NN robust"}, "top": 5,
}  # fmt: skip


def table(subjects=8, each=2, robust=0.3, aimed=0.5):
    """Rank correlation and overlap fall with epsilon, more under the attack, less of the robust network."""
    draws, rows = np.random.default_rng(0), []
    for model in ("plain", "robust"):
        for attack in ("gradient_sign", "random_sign"):
            for epsilon in BOUNDS:
                for who in range(subjects):
                    for k in range(each):
                        change = epsilon / 0.14 * (aimed if attack == "gradient_sign" else 0.1)
                        change *= robust if model == "robust" else 1.0
                        rho = 1 - change + 0.02 * draws.standard_normal()
                        rows.append((model, attack, epsilon, 10 * who + k, f"s{who}", rho, round(5 * rho)))
    columns = ["model", "attack", "epsilon", "sample", "subject", "spearman", "overlap"]
    return pd.DataFrame(rows, columns=columns).assign(
        seed=0, label="a", condition="a", negated=False, attacked=True, reason="", slope=1e-12, refit_agreement=0.98
    )


def units(found, model, attack, epsilon, measure="spearman"):
    own = found.query("model == @model and attack == @attack and epsilon == @epsilon")
    return own.groupby("subject")[measure].mean()


def test_means_are_over_subjects_and_tests_paired_with_random_signs():
    told = table()
    summary, _ = influence_tables(told, 5)
    means = summary[summary["seed"] == "mean"]
    assert set(means["measure"]) == set(MEASURES) and not {"method", "conditions", "truth", "beta"} & set(means)
    p = {}
    for model in ("plain", "robust"):
        for epsilon in BOUNDS:
            own = units(told, model, "gradient_sign", epsilon)
            key = "model == @model and epsilon == @epsilon and measure == 'spearman' and attack == 'gradient_sign'"
            (row,) = means.query(key).to_dict("records")
            assert row["n"] == 8 and row["mean"] == pytest.approx(own.mean())
            tested = ttest_rel(own, units(told, model, "random_sign", epsilon))
            assert row["t"] == pytest.approx(tested.statistic) and row["p"] == pytest.approx(tested.pvalue)
            p[model, epsilon] = (tested.pvalue, row["p_bonferroni"])
    plain, corrected = zip(*p.values(), strict=True)
    np.testing.assert_allclose(corrected, multipletests(plain, method="bonferroni")[1])
    assert (means["slope"] == 1e-12).all() and (means["refit_agreement"] == 0.98).all()


def test_without_subjects_each_image_is_a_unit_and_overlap_is_a_count():
    told = table().assign(subject="")
    summary, _ = influence_tables(told, 5)
    rows = summary.query("seed == 'mean' and measure == 'overlap' and attack == 'random_sign'")
    assert (rows["n"] == 16).all()
    own = told.query("model == 'plain' and attack == 'random_sign' and epsilon == 0.07")["overlap"].mean()
    assert rows.query("model == 'plain' and epsilon == 0.07")["mean"].item() == pytest.approx(own)


def test_maps_that_came_back_and_networks_refitted_worst_are_told():
    told = table()
    told.loc[(told["attack"] == "gradient_sign") & (told["sample"] == 0), "attacked"] = False
    again = told.assign(seed=1, refit_agreement=0.9, slope=0.1)
    summary, _ = influence_tables(pd.concat([told, again], ignore_index=True), 5)
    both = summary.query("seed == 'mean' and attack == 'gradient_sign'")
    assert (both["unattacked"] == 2).all() and (both["maps"] == 32).all()
    assert (both["refit_agreement"] == 0.9).all() and (both["slope"] == 0.1).all()
    assert (summary.query("seed == '0'")["refit_agreement"] == 0.98).all()


def test_a_null_rank_correlation_has_its_reason_and_overlap_none():
    told = table()
    told[["spearman", "reason"]] = np.nan, "all influences are the same, before the attack or after it"
    summary, _ = influence_tables(told, 5)
    means = summary[summary["seed"] == "mean"].set_index("measure")
    assert means.loc["spearman", "mean"].isna().all() and (means.loc["spearman", "missing"] == 16).all()
    assert means.loc["spearman", "reason"].str.startswith("all influences are the same").all()
    assert means.loc["overlap", "mean"].notna().all()
    answers = influence_answers(*influence_tables(told, 5), ASKED)
    changes = answers[answers["question"] == CHANGES]
    assert changes["answer"].tolist() == ["in part", "open"]
    assert changes["sentence"].str.contains("by no value .*no test").all()


def test_claims_find_measures_by_epsilon_and_attack():
    tables = influence_tables(table(), 5)
    summary, pairs = of_influences(*tables)
    (row,) = summary.query(
        "criterion == 'overlap' and conditions == '0.14' and method == 'influence/gradient_sign' and model == 'plain' "
        "and seed == 'mean'"
    ).to_dict("records")
    own = tables[0].query("measure == 'overlap' and epsilon == 0.14 and attack == 'gradient_sign' and seed == 'mean'")
    assert row["mean"] == own.query("model == 'plain'")["mean"].item()
    (test,) = pairs.query(
        "criterion == 'spearman' and conditions == '0.14' and across == 'attack' and model_a == 'plain'"
    ).to_dict("records")
    assert {test["method_a"], test["method_b"]} == {"influence/gradient_sign", "influence/random_sign"}
    assert test["pairs"] == "methods" and test["significant"]


@pytest.mark.parametrize(
    ("how", "changes", "protects"),
    [
        ({}, "yes", "yes"),
        ({"robust": 1.0}, "yes", "no"),
        ({"aimed": 0.1}, "no", "yes"),
        ({"subjects": 2}, "open", "open"),
    ],
)
def test_sentences_answer_by_the_tests_of_the_largest_epsilon(how, changes, protects):
    answers = influence_answers(*influence_tables(table(**how), 5), ASKED)
    own = answers[answers["question"] == CHANGES].set_index("model")
    assert own.loc["plain", "answer"] == changes
    (robust,) = answers[answers["question"] == PROTECTS].to_dict("records")
    assert robust["model"] == "robust" and robust["answer"] == protects
    assert "of 0.14 sd" in own.loc["plain", "sentence"] and "98 %" in own.loc["plain", "sentence"]
    assert ("in 0 of 0 tests" in robust["sentence"]) == (protects == "open")


def test_an_attack_that_makes_influences_more_alike_is_no_yes():
    answers = influence_answers(*influence_tables(table(aimed=-0.5), 5), ASKED)
    assert set(answers.loc[answers["question"] == CHANGES, "answer"]) == {"no"}


def test_intervals_end_where_values_do():
    told = table(subjects=3, aimed=0.01)
    told["overlap"] = [4, 5, 5, 5, 4, 5] * (len(told) // 6)
    summary, _ = influence_tables(told, 5)
    assert (summary["ci_high"].fillna(0) <= summary["measure"].map({"spearman": 1.0, "overlap": 5.0})).all()
    assert (summary["ci_high"] == 5.0).any() and summary.query("measure == 'spearman'")["ci_high"].max() == 1.0


def test_where_nothing_is_standard_nothing_is_said_of_protection():
    answers = influence_answers(*influence_tables(table(), 5), {**ASKED, "standard": []})
    assert PROTECTS not in set(answers["question"])
