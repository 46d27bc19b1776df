"""Attacked maps of more voxels beside those of fewer."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from truemap.evaluation.dimension import COARSER, FINER, QUESTION, dimension, dimension_answers, of_dimension
from truemap.runtime.files import DataError

ASKED = {"random": ["random_sign"], "labels": {"cnn": "CNN"}}


def attacked(offset=0.0, subjects=8, maps=2, first=0):
    """Return measures of two maps a subject, whose numbers are those of this dataset."""
    draws, rows = np.random.default_rng(int(100 * abs(offset))), []
    for subject in range(first, first + subjects):
        for number in range(maps):
            for attack in ("top_k", "random_sign"):
                for measure in ("spearman", "top_k", "shift", "gain", "informative_loss"):
                    value = draws.normal(0.5, 0.1) + offset * (-1 if measure == "shift" else 1) * (attack == "top_k")
                    rows.append((f"s{subject}", 100 * subject + number, attack, measure, value))
    table = pd.DataFrame(rows, columns=["subject", "sample", "attack", "measure", "value"])
    return table.assign(
        model="cnn", seed=0, method="gradient", epsilon=0.14, label="A", condition="A", negated=False, conditions="",
        truth="", reason="", attacked=True, beta=30.0, surrogate_agreement=1.0,
    )  # fmt: skip


def test_it_is_the_paired_t_test_over_subjects_whatever_the_numbers_of_samples():
    finer, coarser = attacked(), attacked(0.2).assign(sample=lambda table: table["sample"] + 7)
    found = dimension(finer, coarser).set_index(["measure", "attack"])
    assert set(found.index.get_level_values("measure")) == {"spearman", "top_k", "shift"}
    for (measure, attack), row in found.iterrows():
        means = [
            table[(table["measure"] == measure) & (table["attack"] == attack)].groupby("subject")["value"].mean()
            for table in (finer, coarser)
        ]
        test = stats.ttest_rel(*means)
        assert row["n"] == 8 and row["difference"] == pytest.approx((means[0] - means[1]).mean())
        assert (row[FINER], row[COARSER]) == pytest.approx((means[0].mean(), means[1].mean()))
        if attack == "top_k":
            assert (row["t"], row["p"]) == pytest.approx((test.statistic, test.pvalue))
            assert row["p_bonferroni"] == pytest.approx(2 * test.pvalue)


def test_only_subjects_of_both_count_and_none_is_an_error():
    assert set(dimension(attacked(), attacked(0.1, first=5))["n"]) == {3}
    with pytest.raises(DataError, match="same subjects"):
        dimension(attacked(), attacked(first=9))
    with pytest.raises(DataError, match="same subjects"):
        dimension(attacked().assign(subject=""), attacked().assign(subject=""))


@pytest.mark.parametrize(("offset", "answer"), [(0.4, "yes"), (-0.4, "no"), (0.0, "open")])
def test_the_answer_goes_by_attacks_that_want_something(offset, answer):
    (row,) = dimension_answers(dimension(attacked(), attacked(offset)), ASKED).itertuples(index=False)
    assert (row.question, row.model, row.answer) == (QUESTION, "cnn", answer)
    assert f"of {0 if offset == 0.0 else 3} tests" in row.sentence


def test_without_a_test_the_answer_is_open():
    one = attacked(subjects=1)
    assert dimension_answers(dimension(one, attacked(0.1, subjects=1)), ASKED)["answer"].tolist() == ["open"]


def test_claims_find_the_comparison_with_fewer_voxels():
    rows = of_dimension(dimension(attacked(), attacked(0.2)))
    row = rows[(rows["criterion"] == "spearman") & (rows["method_a"] == "gradient/top_k")].iloc[0]
    assert (row["method_b"], row["conditions"], row["model_a"], row["model_b"]) == (
        "gradient/top_k/coarser", "0.14", "cnn", "cnn",
    )  # fmt: skip
    assert row["difference"] == pytest.approx(-0.2, abs=0.1)
