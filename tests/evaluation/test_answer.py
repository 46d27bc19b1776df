import numpy as np
import pandas as pd
import pytest
from scipy import stats
from told import ENTRIES, units_of

from truemap.config.names import REFERENCE
from truemap.evaluation.answer import answer, paired_test
from truemap.evaluation.claims import orders
from truemap.evaluation.statistics import compare, summarise

UNITS = units_of().query("truth == 'full'")
SUMMARY, TESTS = summarise(UNITS), compare(UNITS, reference=REFERENCE)


def column(model, method, criterion="informative"):
    return UNITS.query("model == @model and method == @method and criterion == @criterion")["value"].to_numpy()


def test_the_answer_is_the_largest_mean_and_its_test_against_the_second():
    found = answer(SUMMARY, TESTS, ENTRIES, "informative")
    assert found["best"] == ["linear", "gradient"] and found["next"] == ["cnn", "gradient"]
    best, second = column("linear", "gradient"), column("cnn", "gradient")
    assert found["mean"] == pytest.approx(best.mean()) and found["n"] == 12
    expected = stats.ttest_rel(best, second)
    assert found["test"]["t"] == pytest.approx(expected.statistic)
    # Three ways to explain make three tests.
    assert found["test"]["p_bonferroni"] == pytest.approx(3 * expected.pvalue)
    assert found["references"]["input"] == pytest.approx(column(REFERENCE, "input").mean())
    assert found["above"] == {"input": int(best.mean() > column(REFERENCE, "input").mean()), "group_truth": 0}


def test_a_test_from_the_other_side_has_the_other_signs():
    there, back = (paired_test(TESTS, "pairwise", *pair) for pair in (
        (("linear", "gradient"), ("cnn", "gradient")), (("cnn", "gradient"), ("linear", "gradient"))))  # fmt: skip
    assert back["difference"] == -there["difference"] and back["t"] == -there["t"]
    assert back["p_bonferroni"] == there["p_bonferroni"] and back["n"] == there["n"]
    assert paired_test(TESTS, "pairwise", ("a", "b"), ("c", "d")) is None


def test_an_interval_over_trainings_is_turned_with_its_test():
    more = {"ci_low_two_level": 0.1, "ci_high_two_level": 0.4, "p_two_level_bonferroni": 0.02, "trainings_a": 3,
            "trainings_b": 4}  # fmt: skip
    back = paired_test(TESTS.assign(**more), "pairwise", ("cnn", "gradient"), ("linear", "gradient"))
    assert (back["ci_low_two_level"], back["ci_high_two_level"], back["trainings_a"]) == (-0.4, -0.1, 4)


def test_one_way_has_no_next_and_none_no_answer():
    found = answer(SUMMARY, TESTS, ENTRIES[:1], "informative")
    assert found["next"] is None and found["test"] is None
    null = SUMMARY.assign(mean=SUMMARY["mean"].where(SUMMARY["model"] == REFERENCE))
    assert answer(null, TESTS, ENTRIES, "informative") is None


def test_orders_of_the_study_are_looked_for_whatever_the_data_are_called():
    row = {"id": "x", "source": "arXiv:2004.11114v1", "dataset": "d e", "conditions": "all", "criterion": "informative",
           "kind": "greater", "model_a": "cnn", "method_a": "gradient", "model_b": "linear", "method_b": "gradient",
           "value": "", "alpha": "0.001", "tolerance": "", "statement": "s", "about": ""}  # fmt: skip
    other = {"model_a": "linear", "model_b": "cnn", "id": "y"}
    rows = [row, {**row, **other}, {**row, "source": "another"}, {**row, "kind": "value"}, {**row, "model_a": "none"},
            {**row, "dataset": "de"}, {**row, "criterion": "accuracy"}]  # fmt: skip
    found = orders(pd.DataFrame(rows), TESTS.assign(dataset="d"), "d")
    assert found["id"].tolist() == ["x", "y"] and found["holds"].tolist() == [False, True]
    assert found["ours"].iloc[0].startswith("difference -0.")
    assert found["opposite"].tolist() == [True, False]
    assert np.array_equal(found.columns, ["id", "criterion", "statement", "ours", "test", "holds", "opposite"])
