import itertools

import numpy as np
import pandas as pd
import pytest
from attacked_tables import ASKED, ATTACKS, BOUNDS, METHODS, MODELS, table
from scipy import stats

from truemap.evaluation.claims import COLUMNS, judge
from truemap.evaluation.fragility import fragility_summary
from truemap.evaluation.fragility_pairs import ACROSS, fragility_pairs, of_attacks, oriented
from truemap.evaluation.results import of_data

ROWS = table()
PAIRS = fragility_pairs(ROWS)


def units(**wanted):
    keep = pd.Series(True, index=ROWS.index)
    for column, value in wanted.items():
        keep &= ROWS[column] == value
    return ROWS[keep].groupby("subject")["value"].mean()


def test_pairs_differ_in_one_thing_alone_and_all_such_pairs_are_there():
    rows = PAIRS[(PAIRS["measure"] == "spearman") & (PAIRS["epsilon"] == 0.14)]
    differ = sum((rows[f"{name}_a"] != rows[f"{name}_b"]).astype(int) for name in ACROSS)
    assert (differ == 1).all()
    for name, count in (("attack", 3 * 2 * 3), ("method", 3 * 2 * 3), ("model", 1 * 3 * 3)):
        own = rows[rows["across"] == name]
        assert len(own) == count and (own[f"{name}_a"] != own[f"{name}_b"]).all()
    assert not PAIRS.duplicated([c for c in PAIRS.columns if c not in ("n", "difference", "t", "df", "p")]).any()


@pytest.mark.parametrize("across", ACROSS)
def test_each_test_is_scipys_paired_one_over_subjects(across):
    rows = PAIRS[(PAIRS["across"] == across) & PAIRS["measure"].isin(["shift", "informative_after"])]
    for row in rows.sample(8, random_state=1).to_dict("records"):
        sides = [
            units(
                measure=row["measure"], epsilon=row["epsilon"], **{name: row[f"{name}_{side}"] for name in ACROSS}
            ).to_numpy()
            for side in "ab"
        ]  # fmt: skip
        test = stats.ttest_rel(*sides)
        assert (row["t"], row["p"], row["df"]) == pytest.approx((test.statistic, test.pvalue, 7))
        assert row["difference"] == pytest.approx(np.mean(sides[0]) - np.mean(sides[1])) and row["n"] == 8


def test_p_is_corrected_over_a_measures_tests_across_the_same_thing():
    for _, rows in PAIRS[PAIRS["p"].notna()].groupby(["measure", "conditions", "truth", "across"]):
        np.testing.assert_allclose(rows["p_bonferroni"], np.minimum(1, len(rows) * rows["p"]))
        assert (rows["significant"] == (rows["p_bonferroni"] < 0.05)).all()


def test_what_attacks_want_is_not_compared_between_them_and_agreement_before_never():
    gain = PAIRS[PAIRS["measure"] == "gain"]
    assert set(gain["across"]) == {"method", "model"}
    assert not PAIRS["measure"].str.endswith("_before").any()


def test_a_test_can_be_asked_for_whichever_way_round_it_is_stored():
    there, back = (oriented(PAIRS, "method", *pair) for pair in (("decoy", "gradient"), ("gradient", "decoy")))
    assert len(there) == len(back) > 0
    keys = ["measure", "epsilon", "model_a", "attack_a"]
    both = there.merge(back, on=keys, suffixes=("", "_back"))
    assert len(both) == len(there)
    np.testing.assert_allclose(both["difference"], -both["difference_back"])
    np.testing.assert_allclose(both["t"], -both["t_back"])
    assert set(there["method_a"]) == {"decoy"} and set(back["method_b"]) == {"decoy"}


def test_of_one_entry_there_is_nothing_to_compare():
    alone = table(models=MODELS[:1], methods=METHODS[:1], attacks=ATTACKS[:1])
    assert fragility_pairs(alone).empty and list(fragility_pairs(alone).columns) == list(PAIRS.columns)


def test_seeds_are_averaged_before_subjects_are_counted():
    found = fragility_pairs(table(seeds=(0, 1)))
    assert set(found.loc[found["p"].notna(), "n"]) == {8}


CLAIM = dict.fromkeys(COLUMNS, "") | {
    "id": "one", "source": "arXiv:1710.10547", "dataset": "x", "conditions": "0.14", "criterion": "spearman",
    "kind": "greater", "model_a": "plain", "method_a": "gradient/random_sign", "model_b": "plain",
    "method_b": "gradient/top_k", "alpha": "0.05", "statement": "so", "about": "fragility.norm=linf",
}  # fmt: skip


def judged(**changes):
    numbers = of_attacks(*(of_data(t, "x", "images") for t in (fragility_summary(ROWS, ASKED["random"]), PAIRS)))
    published = pd.DataFrame([{**CLAIM, **changes}])
    (row,) = judge(published, *numbers, "x", {"fragility": {"norm": "linf"}}).to_dict("records")
    return row


@pytest.mark.parametrize(("changes", "verdict"), [
    ({}, "holds on these data"),
    ({"method_a": "gradient/top_k", "method_b": "gradient/random_sign"},
     "does not hold on these data, the opposite came out"),
    ({"method_a": "integrated_gradients/top_k"}, "holds on these data"),
    ({"criterion": "shift", "method_a": "gradient/mass_center"}, "holds on these data"),
    ({"kind": "no_difference", "method_a": "gradient/mass_center"}, "holds on these data"),
    ({"about": "fragility.norm=l2"}, "not about these data (fragility.norm is linf, not l2)"),
    ({"kind": "below", "value": "0.7", "method_a": "gradient/top_k", "model_b": "", "method_b": ""},
     "holds on these data"),
])  # fmt: skip
def test_published_claims_are_judged_by_these_tests(changes, verdict):
    row = judged(**changes)
    assert row["verdict"] == verdict
    if row["kind"] == "greater" and not changes:
        alike = {"measure": "spearman", "model": "plain", "method": "gradient", "epsilon": 0.14}
        test = stats.ttest_rel(*(units(**alike, attack=attack) for attack in ("random_sign", "top_k")))
        assert f"= {test.statistic:.2f}" in row["test"]


def test_in_a_claim_bounds_are_apart():
    _, pairs = of_attacks(fragility_summary(ROWS, ["random_sign"]), PAIRS)
    assert set(pairs["conditions"]) == {f"{bound:g}" for bound in BOUNDS} and set(pairs["truth"]) == {""}
    keys = ["criterion", "conditions", "truth", "pairs", "model_a", "method_a", "model_b", "method_b"]
    assert not pairs.duplicated(keys).any()
    both = [f"{method}/{attack}" for method, attack in itertools.product(METHODS, ATTACKS)]
    assert {*pairs["method_a"], *pairs["method_b"]} == set(both)
