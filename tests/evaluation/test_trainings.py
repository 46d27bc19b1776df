import numpy as np
import pandas as pd
import pytest
from scipy import stats

from truemap.config.names import REFERENCE
from truemap.evaluation.claims import judge
from truemap.evaluation.statistics import compare, summarise
from truemap.evaluation.trainings import COMPARISONS, SUMMARY, compare_trainings, two_level, with_trainings


def units_of(values, model="nn", method="gradient", seeds=None):
    """Values, shape (units, trainings), as units."""
    rows = [
        ("informative", "all", "full", model, method, seed, f"s{unit}", values[unit, k], 0, "")
        for k, seed in enumerate(range(values.shape[1]) if seeds is None else seeds)
        for unit in range(len(values))
    ]
    columns = ["criterion", "conditions", "truth", "model", "method", "seed", "unit", "value", "missing", "reason"]
    return pd.DataFrame(rows, columns=columns)


def two_levels(random, units=15, trainings=3, of_units=0.1, of_trainings=0.1, rest=0.05, shared=0.0):
    """Values of units x trainings about 0.3, and what the units have in common."""
    levels = of_units * random.standard_normal((units, 1)), of_trainings * random.standard_normal((1, trainings))
    return 0.3 + shared + levels[0] + levels[1] + rest * random.standard_normal((units, trainings))


@pytest.mark.parametrize(("of_units", "of_trainings"), [(0.1, 0.1), (0.05, 0.2), (0.2, 0.0)])
def test_the_two_level_interval_covers_where_that_over_subjects_is_too_short(of_units, of_trainings):
    """Of means about .3: 95 % and somewhat more, while the naive one misses most where trainings differ."""
    random, hits = np.random.default_rng(0), np.zeros(2)
    for _ in range(2000):
        values = two_levels(random, of_units=of_units, of_trainings=of_trainings)
        error = abs(values.mean() - 0.3)
        levels = [(np.var(values.mean(axis=k), ddof=1) / n, n - 1) for k, n in ((1, 15), (0, 3))]
        se, df = two_level(levels)
        naive = stats.t.ppf(0.975, 14) * np.sqrt(levels[0][0])
        hits += [error < naive, error < stats.t.ppf(0.975, df) * se]
    naive, both = hits / 2000
    assert 0.94 <= both <= 0.985
    assert naive < 0.75 if of_trainings else naive > 0.93


def test_the_standard_error_is_that_of_bootstraps_by_hand():
    random = np.random.default_rng(1)
    values = two_levels(random, units=12, trainings=4)
    units, trainings = (random.integers(0, n, (40_000, n - 1)) for n in values.shape)
    variances = values.mean(axis=1)[units].mean(axis=1).var() + values.mean(axis=0)[trainings].mean(axis=1).var()
    rows = units_of(values)
    found = with_trainings(summarise(rows), rows).query("seed == 'mean'").iloc[0]
    assert found["se_two_level"] == pytest.approx(np.sqrt(variances), rel=0.02)
    assert found["trainings"] == 4
    assert found["sd_trainings"] == pytest.approx(values.mean(axis=0).std(ddof=1))
    assert found["ci_low_two_level"] < found["ci_low"] < found["mean"] < found["ci_high"] < found["ci_high_two_level"]


def test_with_fewer_than_three_trainings_nothing_changes():
    random = np.random.default_rng(2)
    units = pd.concat(units_of(two_levels(random, trainings=2), method=method) for method in ("gradient", "weights"))
    summary, tests = summarise(units), compare(units)
    assert with_trainings(summary, units) is summary and compare_trainings(tests, units) is tests


def test_values_that_are_all_equal_have_no_interval_over_trainings():
    units = pd.concat([units_of(np.ones((5, 3))), units_of(two_levels(np.random.default_rng(0), units=5), "cnn")])
    found = with_trainings(summarise(units), units).query("seed == 'mean'").set_index("model")
    assert found.loc["nn", SUMMARY].isna().all() and found.loc["cnn", SUMMARY].notna().all()


def test_entries_with_fewer_trainings_and_references_are_told_apart():
    random = np.random.default_rng(3)
    parts = [
        units_of(two_levels(random, shared=0.3), "nn"),
        units_of(two_levels(random, shared=0.1), "nn", "smoothgrad"),
        units_of(two_levels(random), "cnn", seeds=[4, 5, 6]),
        units_of(two_levels(random, trainings=2), "linear"),
        units_of(two_levels(random, trainings=1), REFERENCE, "input"),
    ]
    units = pd.concat(parts, ignore_index=True)
    summary = with_trainings(summarise(units), units)
    told = summary[summary["trainings"].notna()]
    assert list(zip(told["model"], told["method"], told["seed"], strict=True)) == [
        ("nn", "gradient", "mean"), ("nn", "smoothgrad", "mean"), ("cnn", "gradient", "mean"),
    ]  # fmt: skip
    assert list(summary)[-len(SUMMARY) :] == SUMMARY
    tests = compare(units, reference=REFERENCE)
    found = compare_trainings(tests, units)
    pd.testing.assert_frame_equal(found[list(tests)], tests)
    assert list(found)[-len(COMPARISONS) :] == COMPARISONS
    known = found[found["p_two_level"].notna()]
    assert "linear" not in {*known["model_a"], *known["model_b"]}
    with_reference = known[known["model_b"] == REFERENCE]
    assert set(with_reference["trainings_a"]) == {3} and set(with_reference["trainings_b"]) == {0}
    methods = known[known["pairs"] == "methods"]
    expected = np.minimum(methods["p_two_level"] * len(methods), 1)
    np.testing.assert_allclose(methods["p_two_level_bonferroni"], expected)


def test_two_methods_share_trainings_and_two_models_do_not():
    """Of one model the difference of each training counts; of two, each model's trainings vary by themselves."""
    random = np.random.default_rng(4)
    one, other = two_levels(random, of_trainings=0.2), two_levels(random, of_trainings=0.2)
    for model, level, df in (("nn", one - one * 0.5, [2]), ("cnn", None, [2, 2])):
        units = pd.concat([units_of(one), units_of(one * 0.5 if model == "nn" else other, model, "smoothgrad")])
        found = compare_trainings(compare(units), units).iloc[0]
        b = one * 0.5 if model == "nn" else other
        variance = np.var((one - b).mean(axis=1), ddof=1) / 15
        alone = [level] if level is not None else [one, b]
        trainings = [np.var(values.mean(axis=0), ddof=1) / 3 for values in alone]
        assert found["se_two_level"] == pytest.approx(np.sqrt(variance + sum(trainings)))
        satterthwaite = (variance + sum(trainings)) ** 2 / (
            variance**2 / 14 + sum(v**2 / k for v, k in zip(trainings, df, strict=True))
        )
        assert found["df_two_level"] == pytest.approx(satterthwaite)


def test_a_difference_of_lucky_trainings_is_one_over_subjects_only():
    """Two models that are the same one, trained three times each: the paired t says otherwise most of the time."""
    random, wrong = np.random.default_rng(5), np.zeros(2)
    for _ in range(20):
        units = pd.concat([units_of(two_levels(random, of_trainings=0.15), name) for name in ("nn", "cnn")])
        found = compare_trainings(compare(units), units).iloc[0]
        wrong += [found["significant"], found["significant_two_level"]]
    assert wrong[0] > 10 and wrong[1] <= 4


def test_the_verdict_of_a_claim_says_what_it_rests_on():
    random = np.random.default_rng(6)
    units = pd.concat([units_of(two_levels(random), "linear"), units_of(two_levels(random, shared=0.4), "nn")])
    tables = [with_trainings(summarise(units), units), compare_trainings(compare(units), units)]
    summary, comparisons = (table.assign(dataset="here", data="images") for table in tables)
    claim = dict.fromkeys(["id", "source", "statement", "method_b", "model_b", "about", "tolerance", "alpha"], "")
    claim |= {"dataset": "here", "conditions": "all", "criterion": "informative", "method_a": "gradient"}
    claim |= {"model_a": "nn", "kind": "value", "value": "0.7", "tolerance": "0.3"}
    order = claim | {"kind": "greater", "model_b": "linear", "method_b": "gradient", "alpha": "0.05"}
    found = judge(pd.DataFrame([claim, order]), summary, comparisons, "here", {})
    assert "(over 3 trainings too: [" in found["test"][0]
    row, test = comparisons.iloc[0], found["test"][1]
    ends = sorted([-row["ci_low_two_level"], -row["ci_high_two_level"]])
    assert f"over 15 units and 3 trainings: 95% CI [{ends[0]:+.3f}, {ends[1]:+.3f}], Bonferroni p = " in test
    assert test.startswith("paired t(14)")
