import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from truemap.config.names import NO_NETWORK
from truemap.evaluation.statistics import compare, summarise, trends
from truemap.evaluation.units import FAMILY, agreement_units, share_units, without_network

ENTRIES = [("linear", "gradient"), ("linear", "weights"), ("nn", "gradient"), ("nn", "smoothgrad")]
BOTH = ["all", "no_negated"]
SCORES = ["model", "seed", "method", "sample", "subject", "criterion", "conditions", "truth", "r", "reason"]


def units_of(values, criterion="informative", conditions="all", truth="full"):
    """(model, method) or (model, method, seed) -> value of each unit."""
    rows = [
        (
            criterion,
            conditions,
            truth,
            key[0],
            key[1],
            key[2] if len(key) > 2 else 0,
            f"s{number}",
            value,
            int(np.isnan(value)),
            "",
        )
        for key, column in values.items()
        for number, value in enumerate(column)
    ]
    columns = ["criterion", "conditions", "truth", "model", "method", "seed", "unit", "value", "missing", "reason"]
    return pd.DataFrame(rows, columns=columns)


def random_units(n=12, seed=0, entries=ENTRIES):
    random = np.random.default_rng(seed)
    shared = random.standard_normal(n)
    return {entry: shared + 0.3 * k * random.standard_normal(n) + 0.3 * k for k, entry in enumerate(entries)}


def scores_of(*entries):
    """(sample, subject, r) of one criterion, model, method and seed."""
    rows = [("nn", 0, "gradient", sample, subject, "pairwise", "all", "full", r, "") for sample, subject, r in entries]
    return pd.DataFrame(rows, columns=SCORES)


def test_a_subjects_maps_are_averaged_first_however_many_they_are():
    scores = scores_of((1, "s1", 0.1), (1, "s1", 0.3), (2, "s1", 0.8), (3, "s2", 0.4), (3, "s2", 0.6))
    units = agreement_units(scores).set_index("unit")
    assert units.loc["s1", "value"] == pytest.approx(((0.1 + 0.3) / 2 + 0.8) / 2)
    assert units.loc["s2", "value"] == pytest.approx(0.5)
    summary = summarise(agreement_units(scores)).query("seed == 'mean'").iloc[0]
    assert summary["n"] == 2
    assert summary["mean"] == pytest.approx((0.5 + 0.5) / 2)


def test_a_samples_incorrect_classes_count_as_one_value():
    """Else a sample with one null r would weigh less than another of its subject."""
    units = agreement_units(scores_of((1, "s1", 0.9), (1, "s1", np.nan), (2, "s1", 0.1), (2, "s1", 0.2)))
    assert units["value"].item() == pytest.approx((0.9 + 0.15) / 2)
    assert units["missing"].item() == 1


def test_units_of_all_methods_are_those_of_each_in_turn():
    scores = [scores_of((1, "s1", 0.9), (2, "s2", k / 9)).assign(method=f"m{k}") for k in range(3)]
    found = pd.concat(map(agreement_units, scores), ignore_index=True)
    pd.testing.assert_frame_equal(agreement_units(pd.concat(scores)), found)


def test_without_subjects_each_sample_is_a_unit():
    units = agreement_units(scores_of((1, "", 0.1), (1, "", 0.3), (2, "", 0.8)))
    np.testing.assert_allclose(sorted(units["value"]), [0.2, 0.8])
    assert units["unit"].nunique() == 2


def test_a_unit_without_any_r_is_null_and_counted():
    units = agreement_units(scores_of((1, "s1", np.nan), (2, "s1", np.nan), (3, "s2", 0.5), (4, "s3", 0.7)))
    assert np.isnan(units.set_index("unit").loc["s1", "value"])
    row = summarise(units).query("seed == 'mean'").iloc[0]
    assert (row["n"], row["mean"], row["missing"]) == (2, pytest.approx(0.6), 2)


def test_a_mean_of_nothing_says_why_where_all_units_have_one_reason():
    scores = scores_of((1, "s1", np.nan), (2, "s2", np.nan))
    assert set(summarise(agreement_units(scores.assign(reason="no map")))["reason"]) == {"no map"}
    scores["reason"] = ["no map", "no truth"]
    assert set(summarise(agreement_units(scores))["reason"]) == {
        "no unit has a value; the scores say why",
    }
    scores.loc[0, "r"] = 0.5
    assert set(summarise(agreement_units(scores))["reason"]) == {"one unit: no spread to see"}


def test_maps_from_elsewhere_have_null_accuracies_and_tests_of_others_stay_as_they_are():
    values = {("nn", "gradient"): [0.1, 0.5, 0.3], ("cnn", "gradient"): [0.4, 0.2, 0.9], ("other", "maps"): [0.2] * 3}
    agreement = units_of(values)
    accuracies = units_of({("nn", ""): [1.0, 0.5, 0.75], ("cnn", ""): [0.5, 0.75, 1.0]}, "accuracy", truth="")
    none = without_network(agreement, ["other"], ["pgd"])
    assert list(none["criterion"]) == ["accuracy"] * 3 + ["robust_accuracy"] * 3
    summary = summarise(pd.concat([agreement, none, accuracies])).query("seed == 'mean'").set_index("criterion")
    for criterion, method in (("accuracy", ""), ("robust_accuracy", "pgd")):
        row = summary[summary["model"] == "other"].loc[criterion]
        assert (row["n"], row["method"], row["missing"], row["reason"]) == (0, method, 0, NO_NETWORK)
        assert np.isnan(row["mean"])
    alone, tests = compare(accuracies), compare(pd.concat([accuracies, none]))
    others = (tests["criterion"] == "accuracy") & (tests["model_a"] != "other") & (tests["model_b"] != "other")
    pd.testing.assert_frame_equal(tests[others].reset_index(drop=True), alone, check_dtype=False)
    assert set(tests.loc[~others, "n"]) == {0}


def test_maps_from_elsewhere_are_not_compared_with_a_network_and_it_is_said_of_each_method():
    values = {("other", "a"): [0.1, 0.5, 0.3], ("other", "b"): [0.2, 0.1, 0.2], ("nn", "gradient"): [0.4, 0.2, 0.9]}
    none = without_network(units_of(values), ["other"], [], network=True)
    rows = summarise(none).query("seed == 'mean' and truth == 'network'")
    found = rows[["criterion", "method", "n", "reason"]].values.tolist()
    expected = itertools.product(["network", "network_absolute"], ["a", "b"])
    assert found == [[criterion, method, 0, NO_NETWORK] for criterion, method in expected]


def test_units_keep_criteria_conditions_truths_models_methods_and_seeds_apart():
    keys = itertools.product(["linear", "nn"], [0, 1], ["gradient", "weights"], ["informative", "pairwise"],
                             ["all", "no_negated"], ["full", "leave_out"])  # fmt: skip
    rows = [(m, s, e, 0, "s1", c, k, t, float(n), "") for n, (m, s, e, c, k, t) in enumerate(keys)]
    units = agreement_units(pd.DataFrame(rows, columns=SCORES))
    assert sorted(units["value"]) == list(range(64))


def test_accuracy_units_are_shares_of_right_maps_with_and_without_negated_ones():
    predictions = pd.DataFrame(
        {
            "model": "nn", "seed": 0, "method": "", "sample": range(6), "subject": ["s1"] * 4 + ["s2"] * 2,
            "negated": [True, False, False, False, True, False],
            "correct": [False, True, True, False, False, True],
        }
    )  # fmt: skip
    units = share_units(predictions, "correct", "accuracy", BOTH).set_index(["conditions", "unit"])
    assert units["value"].to_dict() == {
        ("all", "s1"): 0.5, ("all", "s2"): 0.5, ("no_negated", "s1"): pytest.approx(2 / 3), ("no_negated", "s2"): 1.0,
    }  # fmt: skip
    assert set(units["criterion"]) == {"accuracy"}
    assert set(units["method"]) == set(units["truth"]) == {""}
    some = share_units(predictions.assign(negated=False), "correct", "accuracy", ["all"])
    assert set(some["conditions"]) == {"all"}


def test_accuracy_units_of_chosen_conditions_are_shares_of_their_maps():
    predictions = pd.DataFrame(
        {
            "model": "nn", "seed": 0, "method": "", "sample": range(6), "subject": ["s1"] * 4 + ["s2"] * 2,
            "condition": ["A", "B", "C", "A", "B", "C"], "negated": [False, False, False, True, False, False],
            "correct": [True, False, True, False, True, False],
        }
    )  # fmt: skip
    units = share_units(predictions, "correct", "accuracy", [*BOTH, "chosen"], ["A", "B"])
    assert units.set_index(["conditions", "unit"])["value"].to_dict() == {
        ("all", "s1"): 0.5, ("all", "s2"): 0.5, ("no_negated", "s1"): pytest.approx(2 / 3), ("no_negated", "s2"): 0.5,
        ("chosen", "s1"): pytest.approx(1 / 3), ("chosen", "s2"): 1.0,
    }  # fmt: skip
    plain = share_units(predictions, "correct", "accuracy", BOTH)
    pd.testing.assert_frame_equal(units[units["conditions"] != "chosen"], plain)


def test_robust_accuracy_is_the_share_of_maps_that_no_attack_turned():
    """A map that is wrong without an attack is not robust; the column `correct` is not asked."""
    table = pd.DataFrame(
        {
            "model": "nn", "seed": 0, "method": "pgd", "sample": range(5), "subject": ["s1"] * 3 + ["s2"] * 2,
            "negated": False, "correct": [True, True, True, True, False], "robust": [True, False, False, True, False],
        }
    )  # fmt: skip
    units = share_units(table, "robust", "robust_accuracy", ["all"])
    assert dict(zip(units["unit"], units["value"], strict=True)) == {"s1": pytest.approx(1 / 3), "s2": 0.5}
    kept = units[["criterion", "truth", "method", "conditions", "missing"]].drop_duplicates()
    assert kept.to_numpy().tolist() == [["robust_accuracy", "", "pgd", "all", 0]]
    images = share_units(table.assign(subject=""), "robust", "robust_accuracy", ["all"])
    assert sorted(images["value"]) == [0, 0, 0, 1, 1]


@settings(max_examples=30)
@given(arrays(np.float64, st.integers(2, 30), elements=st.floats(-1, 1)), st.sampled_from([0.9, 0.95, 0.99]))
def test_summary_is_scipys_mean_sem_and_t_interval(values, confidence):
    row = summarise(units_of({("nn", "gradient"): values}), confidence).query("seed == 'mean'").iloc[0]
    assert row["n"] == len(values)
    np.testing.assert_allclose(
        [row["mean"], np.nan_to_num(row["se"])], [np.mean(values), stats.sem(values)], atol=1e-12
    )
    if row["se"] > 1e-9:
        interval = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
        np.testing.assert_allclose([row["ci_low"], row["ci_high"]], np.clip(interval, -1, 1), atol=1e-12)


def test_one_unit_has_a_mean_but_no_error():
    row = summarise(units_of({("nn", "gradient"): [0.4]})).iloc[0]
    assert (row["mean"], row["reason"]) == (0.4, "one unit: no spread to see")
    assert row[["se", "ci_low", "ci_high"]].isna().all()


def test_seeds_are_averaged_before_units_are_counted():
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 9))
    summary = summarise(units_of({("nn", "gradient", 0): a, ("nn", "gradient", 1): b})).set_index("seed")
    assert list(summary.index) == ["mean", "0", "1"]
    for seed, values in (("mean", (a + b) / 2), ("0", a), ("1", b)):
        assert summary.loc[seed, "n"] == 9
        assert summary.loc[seed, "mean"] == pytest.approx(values.mean())
        assert summary.loc[seed, "se"] == pytest.approx(stats.sem(values))


def test_comparison_averages_seeds_too():
    random = np.random.default_rng(0)
    a, b, c = random.standard_normal((3, 9))
    units = units_of({("nn", "gradient", 0): a, ("nn", "gradient", 1): b, ("linear", "gradient", 0): c})
    row = compare(units).iloc[0]
    expected = stats.ttest_rel((a + b) / 2, c)
    assert (row["n"], row["df"]) == (9, 8)
    assert (row["t"], row["p"]) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))


def test_comparisons_are_scipys_paired_t_times_the_number_of_pairs_at_most_one():
    values = random_units(entries=[("linear", "gradient"), ("cnn", "gradient"), ("nn", "gradient"), ("x", "gradient")])
    found = compare(units_of(values))
    assert len(found) == 6
    for row in found.itertuples():
        a, b = values[row.model_a, row.method_a], values[row.model_b, row.method_b]
        expected = stats.ttest_rel(a, b)
        assert row.difference == pytest.approx(np.mean(a) - np.mean(b))
        assert (row.n, row.df) == (12, 11)
        assert (row.t, row.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
        assert row.p_bonferroni == pytest.approx(min(1.0, 6 * expected.pvalue))
        assert row.significant == (row.p_bonferroni < 0.05)
    assert (found["p_bonferroni"] == 1).any() and found["significant"].any()


def test_only_entries_that_exist_are_compared():
    """linear has weights and nn has smoothgrad: there is no smoothgrad of linear to compare with."""
    found = compare(units_of(random_units()))
    pairs = {frozenset(((r.model_a, r.method_a), (r.model_b, r.method_b))) for r in found.itertuples()}
    assert pairs == {frozenset(pair) for pair in itertools.combinations(ENTRIES, 2)}
    assert len(found) == 6


def test_an_entry_whose_r_are_all_null_is_listed_and_not_counted():
    """It exists, so it shows; it cannot be tested, so it does not make the others' correction stricter."""
    entries = [("a", "gradient"), ("b", "gradient"), ("c", "gradient")]
    values = random_units(entries=entries)
    values["c", "gradient"] = np.full(12, np.nan)
    found = compare(units_of(values))
    assert len(found) == 3
    tested = found[found["p"].notna()]
    assert tested["p_bonferroni"].item() == pytest.approx(tested["p"].item())
    assert not found.loc[found["p"].isna(), "significant"].any()


def test_families_are_corrected_apart():
    values = random_units(entries=[("a", "gradient"), ("b", "gradient"), ("c", "gradient")])
    two = {key: values[key] for key in list(values)[:2]}
    found = compare(pd.concat([units_of(values), units_of(two, criterion="accuracy")]))
    for criterion, pairs in (("informative", 3), ("accuracy", 1)):
        part = found[found["criterion"] == criterion]
        assert len(part) == pairs
        np.testing.assert_allclose(part["p_bonferroni"], np.minimum(1, pairs * part["p"]))


def test_units_with_a_null_are_left_out_of_their_pair():
    a, b = np.random.default_rng(0).standard_normal((2, 8))
    a[2] = b[5] = np.nan
    row = compare(units_of({("a", "gradient"): a, ("b", "gradient"): b})).iloc[0]
    both = ~np.isnan(a + b)
    expected = stats.ttest_rel(a[both], b[both])
    assert row["n"] == 6
    assert row["difference"] == pytest.approx((a - b)[both].mean())
    assert row["p"] == pytest.approx(expected.pvalue)


def test_units_are_paired_by_name_not_by_place():
    a, b = np.random.default_rng(0).standard_normal((2, 8))
    units = units_of({("a", "gradient"): a, ("b", "gradient"): b}).sample(frac=1, random_state=0)
    row = compare(units).iloc[0]
    assert abs(row["t"]) == pytest.approx(abs(stats.ttest_rel(a, b).statistic))


def assert_no_test(row, n, difference, reason):
    assert (row["n"], row["significant"], row["reason"]) == (n, False, reason)
    assert row["difference"] == pytest.approx(difference, abs=1e-15)
    assert row[["t", "df", "p", "p_bonferroni"]].isna().all()


def pair(a, b):
    return compare(units_of({("a", ""): np.array(a), ("b", ""): np.array(b)})).iloc[0]


@pytest.mark.parametrize("n", [3, 4, 10])
@pytest.mark.parametrize("rounded", [False, True])
def test_differences_without_variance_are_no_test(n, rounded):
    """.7 - .4, .8 - .5 and .9 - .6 differ in the last bit."""
    a, b = np.arange(n) / 10 + 0.7, np.arange(n) / 10 + 0.4
    if not rounded:
        a, b = np.ones(n), np.full(n, 0.7)
    assert_no_test(pair(a, b), n, 0.3, "no test: all units differ by the same")


def test_entries_that_do_not_differ_in_any_unit_are_no_test():
    assert_no_test(pair([0.3, 0.4, 0.9], [0.3, 0.4, 0.9]), 3, 0.0, "no test: no unit differs")
    assert_no_test(pair(np.zeros(4), np.zeros(4)), 4, 0.0, "no test: no unit differs")


def test_differences_that_are_rounding_of_the_values_are_no_test():
    """Their sd is large beside themselves, and nothing beside what was compared."""
    a, b = np.array([0.1 + 0.2, 0.5, 0.1 + 0.7]), np.array([0.3, 0.5, 0.8])
    assert np.std(a - b) > 0.1 * np.abs(a - b).max() > 0
    assert_no_test(pair(a, b), 3, 0.0, "no test: no unit differs")


@pytest.mark.parametrize("a", [[0.5], [0.5, 0.7], [0.5, np.nan, np.nan], [0.5, 0.1, np.nan], [np.nan, np.nan, np.nan]])
def test_fewer_than_three_units_with_both_values_are_no_test(a):
    n = int(np.isfinite(a).sum())
    row = pair(a, np.full(len(a), 0.2))
    assert (row["n"], row["reason"]) == (n, "no test: fewer than three units have both values")
    assert row[["t", "df", "p", "p_bonferroni"]].isna().all()


def test_a_null_leaves_differences_without_variance():
    assert_no_test(pair([0.5, 0.7, np.nan, 0.9], [0.4, 0.6, 0.1, 0.8]), 3, 0.1, "no test: all units differ by the same")


@settings(max_examples=50)
@given(
    arrays(np.float64, st.integers(3, 12), elements=st.floats(-1, 1)), st.floats(-1, 1), st.floats(1e-9, 1e9),
)  # fmt: skip
def test_whether_there_is_a_test_does_not_depend_on_the_unit_of_measure(b, shift, unit):
    constant, moving = pair((b + shift) * unit, b * unit), pair((b + shift + 1e-6 * np.arange(len(b))) * unit, b * unit)
    assert np.isnan(constant["p"]) and constant["reason"] != ""
    assert moving["p"] <= 1 and moving["reason"] == ""


def test_tests_that_cannot_be_made_do_not_make_the_correction_stricter():
    """Three entries, two of which differ by the same in every unit: two tests."""
    a, c = np.random.default_rng(0).standard_normal((2, 8))
    found = compare(units_of({("a", ""): a, ("b", ""): a + 0.5, ("c", ""): c}))
    np.testing.assert_allclose(found["p_bonferroni"].dropna(), np.minimum(1, 2 * found["p"].dropna()))
    assert list(found["reason"]) == ["no test: all units differ by the same", "", ""]


def test_units_that_are_all_equal_have_a_mean_and_no_interval():
    """Every subject at 100 %: [1, 1] would be certainty."""
    row = summarise(units_of({("nn", ""): np.ones(5)}, "accuracy", truth="")).iloc[0]
    assert (row["n"], row["mean"], row["reason"]) == (5, 1, "all 5 units have the same value: no spread to see")
    assert row[["se", "ci_low", "ci_high"]].isna().all()
    rounded = summarise(units_of({("nn", ""): np.array([0.3, 0.1 + 0.2, 0.3])})).iloc[0]
    assert rounded[["se", "ci_low", "ci_high"]].isna().all()
    nothing = summarise(units_of({("nn", ""): np.full(2, np.nan)})).iloc[0]
    assert (nothing["n"], nothing["reason"]) == (0, "no unit has a value; the scores say why")


@settings(max_examples=50)
@given(
    arrays(np.float64, st.integers(2, 8), elements=st.floats(0, 1)), st.sampled_from([("accuracy", ""), ("r", "full")])
)
def test_intervals_stay_within_what_can_be(values, kind):
    criterion, truth = kind
    row = summarise(units_of({("nn", ""): values}, criterion, truth=truth)).iloc[0]
    low, high = row["ci_low"], row["ci_high"]
    if np.isnan(low):
        assert np.ptp(values) <= 1e-11
        return
    assert (0 if truth == "" else -1) <= low <= row["mean"] <= high <= 1
    t_low, t_high = stats.t.interval(0.95, len(values) - 1, row["mean"], row["se"])
    assert low == pytest.approx(max(t_low, 0 if truth == "" else -1)) and high == pytest.approx(min(t_high, 1))


def test_r_that_are_null_by_design_are_not_missing():
    scores = scores_of(*[(k, "s1", np.nan) for k in range(4)], (9, "s1", 0.5))
    scores["reason"] = ["left out: x", "not in this set of conditions: class c", "the subject has no map of class c",
                        "the saliency map is zero", ""]  # fmt: skip
    assert agreement_units(scores)["missing"].item() == 2


@pytest.mark.parametrize("group", [-0.1, 0.0])
def test_there_is_no_share_of_a_group_truth_that_does_not_agree(group):
    values = {("nn", "x"): np.array([0.1, 0.2]), GROUP: np.array([group, group])}
    assert summarise(units_of(values), group=GROUP)["share"].isna().all()


def test_attacked_maps_are_in_the_datasets_sets_though_none_of_them_is_negated():
    table = pd.DataFrame({"model": "nn", "seed": 0, "method": "pgd", "sample": range(4), "subject": list("aabb"),
                          "negated": False, "robust": [True, False, True, True]})  # fmt: skip
    units = share_units(table, "robust", "robust_accuracy", BOTH).set_index(["conditions", "unit"])["value"]
    assert units.to_dict() == {(name, s): v for name in BOTH for s, v in (("a", 0.5), ("b", 1.0))}


def test_a_single_entry_is_compared_with_nothing_in_a_table_of_the_same_columns():
    """The claims look for pairs in these columns, whether or not there are any."""
    values = random_units()
    alone = compare(units_of({ENTRIES[0]: values[ENTRIES[0]]}))
    assert alone.empty
    assert list(alone.columns) == list(compare(units_of(values)).columns)


GROUP = ("reference", "group_truth")


def families():
    """Units of both criteria, of two truths and condition sets, with two references; and an accuracy."""
    entries = [*ENTRIES, GROUP, ("reference", "random")]
    kinds = itertools.product(["informative", "pairwise"], ["all", "no_negated"], ["full", "leave_out"])
    parts = [units_of(random_units(seed=n, entries=entries), *kind) for n, kind in enumerate(kinds)]
    accuracy = units_of(random_units(seed=99, entries=[("linear", ""), ("nn", "")]), "accuracy", "all", "")
    return pd.concat([*parts, accuracy], ignore_index=True)


def test_share_is_the_mean_over_the_groups_mean_of_the_same_family():
    units = families()
    summary = summarise(units, group=GROUP)
    assert len(summary) == 2 * (8 * 6 + 2)
    for row in summary[summary["criterion"] != "accuracy"].itertuples():
        same = (units[FAMILY] == [row.criterion, row.conditions, row.truth]).all(axis=1)
        values = {
            entry: units.loc[same & (units["model"] == entry[0]) & (units["method"] == entry[1]), "value"]
            for entry in (GROUP, (row.model, row.method))
        }
        expected = np.mean(values[row.model, row.method]) / np.mean(values[GROUP])
        assert row.share == pytest.approx(expected, rel=1e-12)
    of_group = summary[summary["method"] == "group_truth"]
    np.testing.assert_allclose(of_group["share"], 1, rtol=1e-12)


def test_accuracy_has_no_share_of_the_groups_truth():
    summary = summarise(families(), group=GROUP)
    assert summary.loc[summary["criterion"] == "accuracy", "share"].isna().all()


def test_share_of_each_seed_is_of_the_groups_mean_over_seeds():
    a, b, c, d = np.random.default_rng(0).standard_normal((4, 9)) + 3
    units = units_of({("nn", "x", 0): a, ("nn", "x", 1): b, (*GROUP, 0): c, (*GROUP, 1): d})
    found = summarise(units, group=GROUP).query("model == 'nn'").set_index("seed")["share"]
    group = (c.mean() + d.mean()) / 2
    for seed, mean in (("0", a.mean()), ("1", b.mean()), ("mean", (a.mean() + b.mean()) / 2)):
        assert found[seed] == pytest.approx(mean / group)


@pytest.mark.parametrize("group", [None, ("reference", "no-such")])
def test_without_a_group_there_is_no_share_and_all_else_is_as_it_was(group):
    units = families()
    found, with_group = summarise(units, group=group), summarise(units, group=GROUP)
    assert found["share"].isna().all()
    assert found["share"].dtype == np.float64
    pd.testing.assert_frame_equal(found.drop(columns="share"), with_group.drop(columns="share"))


def test_references_do_not_change_the_tests_between_methods():
    units = families()
    alone = compare(units[units["model"] != "reference"], reference="reference")
    both = compare(units, reference="reference")
    assert set(alone["pairs"]) == {"methods"}
    pd.testing.assert_frame_equal(both[both["pairs"] == "methods"].reset_index(drop=True), alone)
    assert alone["significant"].any()


def test_pairs_with_references_are_corrected_by_themselves():
    """Four methods and two references: 6 pairs of methods, 8 of a method and a reference, 1 of references."""
    found = compare(families(), reference="reference")
    for (criterion, *_), part in found.groupby(FAMILY):
        of_reference = (part["model_a"] == "reference") | (part["model_b"] == "reference")
        assert ((part["pairs"] == "references") == of_reference).all()
        sizes = {"methods": 6, "references": 9} if criterion != "accuracy" else {"methods": 1}
        assert part["pairs"].value_counts().to_dict() == sizes
        for name, size in sizes.items():
            some = part[part["pairs"] == name]
            np.testing.assert_allclose(some["p_bonferroni"], np.minimum(1, size * some["p"]), rtol=1e-12)


def test_without_a_name_for_references_all_pairs_are_of_methods():
    found = compare(families())
    assert set(found["pairs"]) == {"methods"}
    informative = found[(found[FAMILY] == ["informative", "all", "full"]).all(axis=1)]
    np.testing.assert_allclose(informative["p_bonferroni"], np.minimum(1, 15 * informative["p"]), rtol=1e-12)


def test_truths_are_families_of_their_own():
    values = random_units(entries=[("a", "gradient"), ("b", "gradient"), ("c", "gradient")])
    other = random_units(seed=1, entries=[("a", "gradient"), ("b", "gradient")])
    both = pd.concat([units_of(values), units_of(other, truth="leave_out")])
    found = compare(both)
    for truth, part, size in (("full", values, 3), ("leave_out", other, 1)):
        expected = compare(units_of(part, truth=truth))
        rows = found[found["truth"] == truth].reset_index(drop=True)
        assert len(rows) == size
        pd.testing.assert_frame_equal(rows, expected)
    summary = summarise(both).query("seed == 'mean'").set_index(["truth", "model"])["mean"]
    assert summary["leave_out", "a"] == pytest.approx(other["a", "gradient"].mean())
    assert summary["full", "a"] == pytest.approx(values["a", "gradient"].mean())


def test_a_trend_is_the_mean_rank_correlation_of_strength_and_value_tested_over_units():
    random, rows = np.random.default_rng(3), []
    strengths = {"nn--a": 0.1, "nn--b": 3.0, "nn--c": 1.0}
    for unit in range(9):
        for name, strength in strengths.items():
            value = 0.5 if unit == 0 else random.normal() + strength
            rows.append((name, "gradient", 0, f"u{unit}", value))
    keys = {"criterion": "size", "conditions": "fine", "truth": "lower", "missing": 0, "reason": ""}
    units = pd.DataFrame(rows, columns=["model", "method", "seed", "unit", "value"]).assign(**keys)
    swept = {name: ("nn", strength) for name, strength in strengths.items()}
    (row,) = trends(units, swept).to_dict("records")
    wide = units.pivot(index="unit", columns="model", values="value")
    rho = [0.0, *(stats.spearmanr(list(strengths.values()), wide.loc[f"u{k}"]).statistic for k in range(1, 9))]
    expected = stats.ttest_1samp(rho, 0)
    assert (row["model_a"], row["method_a"], row["pairs"], row["n"]) == ("nn", "gradient", "strengths", 9)
    np.testing.assert_allclose([row["difference"], row["t"]], [np.mean(rho), expected.statistic])
    np.testing.assert_allclose(row["p_bonferroni"], expected.pvalue)
    two = {name: swept[name] for name in ("nn--a", "nn--b")}
    (few,) = trends(units, two).to_dict("records")
    assert np.isnan(few["p"]) and few["reason"] == "no test: a sweep of fewer than 3 strengths"
    assert trends(units, {}).empty
    # Of one strength nothing is known: a measure that had no value for its maps.
    units.loc[units["model"] == "nn--b", "value"] = np.nan
    (none,) = trends(units, swept).to_dict("records")
    assert none["n"] == 0 and np.isnan(none["p"]) and none["reason"] == "no test: no unit has a value at strength 3"
