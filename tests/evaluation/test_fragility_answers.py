import re

import numpy as np
import pandas as pd
import pytest
from attacked_tables import ASKED, BOUNDS, table

from truemap.evaluation.fragility import fragility_summary
from truemap.evaluation.fragility_answers import DECOYS, LOSES, PROTECTS, RIGHT, TRUE, counted, fragility_answers
from truemap.evaluation.fragility_pairs import fragility_pairs


def answers(rows, **asked):
    return fragility_answers(fragility_summary(rows, ["random_sign"]), fragility_pairs(rows), {**ASKED, **asked})


def one(found, question, **wanted):
    rows = found[found["question"] == question]
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    (row,) = rows.to_dict("records")
    return row


ROWS = table()
FOUND = answers(ROWS)


def test_robust_training_that_protects_is_said_to_by_counts_of_tests():
    row = one(FOUND, PROTECTS)
    assert (row["model"], row["answer"]) == ("robust", "yes")
    assert "NN robust" in row["sentence"] and "in 6 of 6 tests" in row["sentence"]
    strongest = ROWS[
        (ROWS["epsilon"] == BOUNDS[1]) & (ROWS["measure"] == "spearman") & (ROWS["attack"] != "random_sign")
    ]
    means = strongest.groupby("model")["value"].mean()
    said = float(re.search(r"differs by ([+-][\d.]+)", row["sentence"])[1])
    assert said == pytest.approx(means["robust"] - means["plain"], abs=0.005)


def test_training_that_does_not_protect_is_told_so():
    swapped = ROWS.assign(model=ROWS["model"].map({"plain": "robust", "robust": "plain"}))
    row = one(answers(swapped), PROTECTS)
    assert row["answer"] == "no" and "less in 6" in row["sentence"] and "differs by -" in row["sentence"]


def test_decoys_are_judged_by_maps_of_equal_sum():
    """As printed S_s falls by a factor of nine here for no other reason than the maps' units."""
    assert one(FOUND, DECOYS, model="plain")["answer"] == "yes"
    alike = ROWS.copy()
    equal = alike["measure"].isin(["sensitivity_equal", "spearman"])
    own = alike[equal & (alike["method"] == "gradient")]
    alike = pd.concat([alike[~(equal & (alike["method"] == "decoy"))], own.assign(method="decoy")])
    row = one(answers(alike), DECOYS, model="plain")
    assert (
        row["answer"] in ("no", "open") and "S_s as printed is lower than without in 2 of 2 attacks" in row["sentence"]
    )


def test_a_map_that_loses_agreement_does_not_stay_true_though_it_is_protected():
    row = one(FOUND, TRUE, model="robust", about="informative")
    assert (
        row["answer"] == "no"
        and "of 6 cases (ways to explain × attacks) in which it was above 0 before, it falls in 6." in row["sentence"]
    )
    assert "agree better than those of NN, attacked alike, in 6 of 6 tests" in row["sentence"]
    flat = ROWS[ROWS["measure"] != "informative_loss"]
    none = ROWS[ROWS["measure"] == "informative_loss"]
    noise = 0.01 * np.random.default_rng(1).standard_normal(len(none))
    kept = pd.concat([flat, none.assign(value=noise - 0.05)])
    assert one(answers(kept), TRUE, model="robust", about="informative")["answer"] == "yes"


def test_what_was_not_true_before_cannot_stay_so():
    before = ROWS["measure"] == "informative_before"
    noise = np.random.default_rng(3).standard_normal(before.sum())
    never = ROWS.assign(value=ROWS["value"].mask(before, pd.Series(noise, index=ROWS.index[before])))
    row = one(answers(never), TRUE, model="plain", about="informative")
    assert row["answer"] == "open" and "of 0 cases" in row["sentence"]
    own = before & (ROWS["method"] == "gradient")
    some = ROWS.assign(value=ROWS["value"].mask(own, pd.Series(-ROWS["value"][own])))
    assert "of 4 cases" in one(answers(some), TRUE, model="plain", about="informative")["sentence"]


@pytest.mark.parametrize("criterion", ["informative", "network"])
def test_maps_without_signs_agree_by_sizes(criterion):
    """With the data's truth the signed number is there and says nothing; with the network it is not there."""
    rows, truth = table(moved=True), "full" if criterion == "informative" else "network_moved"
    own = (rows["method"] == "decoy") & (rows["truth"] == truth) & rows["measure"].str.startswith(criterion)
    sizes = rows[own].assign(measure=rows["measure"][own].str.replace(criterion, f"{criterion}_absolute"))
    rest = rows.assign(value=rows["value"].mask(own, -9.0)) if criterion == "informative" else rows[~own]
    if criterion == "network":
        sizes = pd.concat([sizes, sizes.assign(method="gradient", value=9.0)])
        rest = rest[~((rest["method"] == "decoy") & (rest["truth"] == "network"))]
    question = TRUE if criterion == "informative" else RIGHT
    found, expected = (
        one(answers(t), question, model="plain", about=criterion) for t in (pd.concat([rest, sizes]), rows)
    )
    assert found["answer"] == expected["answer"]
    after = [re.findall(r"-?\d\.\d+", row["sentence"])[0] for row in (found, expected)]
    assert float(after[0]) == pytest.approx(float(after[1]), abs=0.02)


def test_a_changed_map_can_be_right_about_the_network_where_it_was_moved_to():
    assert one(FOUND, RIGHT)["answer"] == "open"
    row = one(answers(table(moved=True)), RIGHT, model="plain")
    assert row["answer"] != "no"
    before, still, there = (float(number) for number in re.findall(r"by (?:r = )?(0\.\d+)", row["sentence"]))
    assert before == pytest.approx(0.8, abs=0.01) and there == pytest.approx(0.8, abs=0.01) and still < 0.35


def test_what_fewer_iterations_lose_is_told():
    longer = ROWS[ROWS["attack"] == "top_k"]
    rows = pd.concat([ROWS, longer.assign(attack="top_k-300", value=longer["value"] - 0.2)])
    rows["value"] += 0.001 * np.random.default_rng(2).standard_normal(len(rows))
    row = one(answers(rows, iterations=[["top_k-300", "top_k"]]), LOSES)
    assert row["about"] == "top_k" and "lower by more iterations in 6 of 6 tests" in row["sentence"]
    assert LOSES not in set(FOUND["question"])


@pytest.mark.parametrize(("differences", "significant", "expected"), [
    ([1, 1, 1, 1], [True, True, False, False], (2, 0, 4, "yes")),
    ([1, 1, 1, 1], [True, False, False, False], (1, 0, 4, "in part")),
    ([1, 1, 1, -1], [True, True, True, True], (3, 1, 4, "in part")),
    ([1, 1, -1, -1], [False, False, True, True], (0, 2, 4, "no")),
    ([], [], (0, 0, 0, "open")),
])  # fmt: skip
def test_answers_go_by_counts_of_significant_tests(differences, significant, expected):
    tests = pd.DataFrame({"difference": differences, "significant": significant, "p": [0.5] * len(differences)})
    assert counted(tests) == expected
