import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from truemap.evaluation.answers import answers, without_values
from truemap.evaluation.prediction import COLUMNS, anchor_table, joined, predict
from truemap.evaluation.ranks import AT_RANDOM, AUC, HELD_OUT, REGRET, RELATIVE, RHO, TAU
from truemap.evaluation.two_truths import two_truths

METHODS = [f"method-{k}" for k in range(7)]


def made_up(random, models=("a", "b"), seeds=(0, 1, 2), subjects=10, each=2, methods=METHODS):
    """A truth that orders methods, and measures: good, noise, the wrong way round, of methods' names.

    The last is noise that is the same for each subject: within subjects alone it would look like very much evidence.
    """
    rows, names = [], random.standard_normal(len(methods))
    for model in models:
        for seed in seeds:
            for sample in range(subjects * each):
                for k, method in enumerate(methods):
                    truth = 0.1 * k + 0.03 * random.standard_normal()
                    measures = {
                        ("good", "higher"): truth + 0.02 * random.standard_normal(),
                        ("wrong", "higher"): -truth,
                        ("low", "lower"): -truth,
                        ("noise", "higher"): random.standard_normal(),
                        ("names", "higher"): names[k] + 0.01 * random.standard_normal(),
                    }
                    of = (model, seed, method, sample, f"s{sample // each}")
                    rows += [(*of, name, value, direction, truth) for (name, direction), value in measures.items()]
    columns = ["model", "seed", "method", "sample", "subject", "measure", "value", "direction", "r"]
    table = pd.DataFrame(rows, columns=columns).assign(metric="m")
    scores = table[table["measure"] == "good"].assign(
        label="x", target="x", criterion="informative", conditions="all", truth="leave_out"
    )
    shares = table.drop_duplicates(["model", "seed", "sample"])[["model", "seed", "subject", "sample"]]
    return table.drop(columns="r"), scores.drop(columns=["measure", "value"]), shares.assign(correct=True)


@pytest.fixture(scope="module")
def tables():
    return made_up(np.random.default_rng(3))


@pytest.fixture(scope="module")
def prediction(tables):
    return predict(joined(*tables), draws=300)


def only(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


def test_tau_is_taken_within_a_model_seed_and_subject(tables, prediction):
    measured, scores, _ = tables
    good = measured[measured["measure"] == "good"]
    both = good.merge(scores[["model", "seed", "method", "sample", "r"]], on=["model", "seed", "method", "sample"])
    means = both.groupby(["model", "seed", "subject", "method"])[["value", "r"]].mean()
    units = means.groupby(["model", "seed", "subject"])
    for statistic, of in ((TAU, kendalltau), (RHO, spearmanr)):
        expected = units.apply(lambda part, of=of: of(part["value"], part["r"]).statistic)
        found = only(prediction, across="methods", measure="good", statistic=statistic).set_index("group")["value"]
        assert found["a"] == pytest.approx(expected["a"].mean())
        assert found["all"] == pytest.approx((expected["a"].mean() + expected["b"].mean()) / 2)
    row = only(prediction, across="methods", measure="good", statistic=TAU, group="all").iloc[0]
    assert (row["items"], row["units"], row["trainings"]) == (7, 10, 3)
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_strength_that_drives_both_sides_is_no_agreement_across_methods():
    """Pooled, a measure that knows models only would correlate; within a model it is the same for all methods."""
    measured, scores, shares = made_up(np.random.default_rng(0), subjects=4)
    shift = scores["model"].map({"a": 0.0, "b": 5.0})
    scores = scores.assign(r=scores["r"] + shift)
    knows = measured["measure"] == "noise"
    measured.loc[knows, "value"] = measured.loc[knows, "model"].map({"a": 0.0, "b": 5.0})
    found = only(predict(joined(measured, scores, shares), draws=20), measure="noise", group="all", statistic=TAU)
    assert found["value"].isna().all() and found["reason"].str.startswith("fewer than").all()


def test_a_measure_that_two_metrics_give_is_called_by_both_names(prediction):
    twice = pd.concat([prediction, prediction[prediction["measure"] == "good"].assign(metric="another")])
    metric = prediction.loc[prediction["measure"] == "good", "metric"].iloc[0]
    said = answers(twice)["sentence"]
    assert said.str.startswith(f"good of {metric} (").sum() == said.str.startswith("good of another (").sum() == 1
    assert not said.str.contains("-0.00").any() and not answers(prediction)["sentence"].str.startswith("good of").any()


def test_what_a_measure_is_said_to_predict(prediction):
    said = answers(prediction).set_index("measure")
    assert said["predicts"].to_dict() == {
        "good": "the data's truth",
        "low": "the data's truth",
        "wrong": "the data's truth, the wrong way round",
        "noise": "neither",
        "names": "neither",
    }
    tau = only(prediction, across="methods", statistic=TAU, group="all").set_index("measure")
    # All subjects agree on what is noise all the same: the interval is narrow, and the p is not small.
    assert tau.loc["names", "ci_low"] * tau.loc["names", "ci_high"] > 0 and tau.loc["names", "p"] > 0.05
    assert f"tau = {tau.loc['good', 'value']:.2f}" in said.loc["good", "sentence"]
    assert "the network's truth was not asked for" in said.loc["good", "sentence"]


def anchored(random, subjects=10):
    """Anchors of the same models: the truth degraded in steps, which one measure orders, and a copy of the input."""
    rows, steps = [], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    for model in ("a", "b"):
        for sample in range(subjects):
            for name, truth in [*((f"truth at r={r:g}", r) for r in steps), ("input", 0.3), ("noise", 0.0)]:
                of = (model, 0, name, sample, f"s{sample}")
                values = {
                    "good": truth + 0.01 * random.standard_normal(),
                    "noise": random.standard_normal(),
                    "low": 0.5,
                }
                rows += [
                    (*of, measure, x, "lower" if measure == "low" else "higher", truth) for measure, x in values.items()
                ]
    columns = ["model", "seed", "method", "sample", "subject", "measure", "value", "direction", "r"]
    table = pd.DataFrame(rows, columns=columns).assign(metric="m")
    scores = table[table["measure"] == "good"].assign(
        label="x", target="x", criterion="informative", conditions="all", truth="leave_out"
    )
    return joined(table.drop(columns="r"), scores.drop(columns=["measure", "value"]), None)


def test_a_measure_that_cannot_order_the_degraded_truth_is_said_to_fail(tables):
    anchors = anchored(np.random.default_rng(5))
    found = predict(joined(*tables), draws=300, anchors=anchors)
    series = only(found, across="series", statistic=TAU, group="all").set_index("measure")
    assert series.loc["good", "value"] == pytest.approx(1.0, abs=0.01) and series.loc["good", "items"] == 6
    assert np.isnan(series.loc["low", "value"]) and series.loc["low", "reason"].startswith("of degraded truths")
    of_anchors = only(found, across="anchors", statistic=TAU, group="all", measure="good")
    assert of_anchors["items"].item() == 3 and of_anchors["value"].item() > 0.9
    said = answers(found).set_index("measure")
    assert said["fails"].to_dict() == {
        "good": "",
        **dict.fromkeys(("low", "noise"), "the data's truth"),
        "wrong": "",
        "names": "",
    }
    assert "It orders what it should when the truth is degraded in known steps" in said.loc["good", "sentence"]
    assert "It fails to order the data's truth when" in said.loc["noise", "sentence"]
    assert "Of degraded truths it has no value" in said.loc["names", "sentence"]
    assert "accuracy" not in set(only(found, across="anchors")["metric"])


def test_the_share_of_ways_to_explain_that_an_anchor_is_called_better_than(tables):
    ways, anchors = joined(*tables), anchored(np.random.default_rng(5))
    found = anchor_table(ways, anchors)
    row = only(found, measure="good", model="a", anchor="input").iloc[0]
    of_way = only(ways, measure="good", model="a", seed=0).groupby(["unit", "method"])["x"].mean().unstack()
    of_anchor = only(anchors, measure="good", model="a", method="input").groupby("unit")["x"].mean()
    assert row["better_than"] == pytest.approx(of_way.lt(of_anchor, axis=0).to_numpy().mean())
    assert row["agreement"] == pytest.approx(0.3) and row["value"] == pytest.approx(of_anchor.mean())
    # Lower is better of it: 0.5 is worse than minus the truth of any.
    assert only(found, measure="low", anchor="input")["value"].tolist() == [0.5, 0.5]


def test_without_anchors_the_rest_is_said_as_before(tables, prediction):
    measured, scores, _ = tables
    none = joined(measured[:0], scores[:0], None)
    assert none.empty and anchor_table(joined(*tables), none).empty
    pd.testing.assert_frame_equal(predict(joined(*tables), draws=300, anchors=none), prediction)
    said = answers(prediction)
    assert set(said["fails"]) == {""} and not said["sentence"].str.contains("degraded").any()
    assert two_truths(scores.assign(condition="x"), scores[:0]).empty  # without regions


def test_regret_of_a_table_by_hand():
    truth = {"one": 0.1, "two": 0.4, "three": 0.7}
    rows = []
    for seed, values in ((0, (3.0, 2.0, 1.0)), (1, (1.0, 3.0, 2.0))):
        for (method, r), value in zip(truth.items(), values, strict=True):
            rows += [("a", seed, method, sample, f"s{sample}", value, r) for sample in range(2)]
    table = pd.DataFrame(rows, columns=["model", "seed", "method", "sample", "unit", "x", "y"])
    names = {"criterion": "informative", "truth": "full", "metric": "m", "measure": "m", "direction": "higher"}
    found = only(predict(table.assign(**names), draws=10), across="methods", group="all").set_index("statistic")[
        "value"
    ]
    # Seed 0 takes one (.1), seed 1 takes two (.4); by the other seed's word it is the other way round.
    assert found[REGRET] == pytest.approx((0.6 + 0.3) / 2)
    assert found[AT_RANDOM] == pytest.approx(0.7 - 0.4)
    assert found[RELATIVE] == pytest.approx(0.45 / 0.3)
    assert found[HELD_OUT] == pytest.approx(0.45)


def test_accuracy_chooses_trainings_and_says_nothing_of_methods():
    measured, scores, shares = made_up(np.random.default_rng(1), models=("a", "b", "c"), subjects=4)
    better = {"a": 0.0, "b": 0.1, "c": 0.2}
    scores = scores.assign(r=scores["r"] + scores["model"].map(better))
    shares = shares.assign(correct=shares["sample"] % 3 < shares["model"].map({"a": 1, "b": 2, "c": 3}))
    found = only(predict(joined(measured, scores, shares), draws=50), measure="accuracy", group="all")
    assert only(found, across="methods", statistic=TAU)["value"].isna().all()
    assert only(found, across="methods", statistic=RELATIVE)["value"].item() == pytest.approx(1.0)
    assert only(found, across="trainings", statistic=REGRET)["value"].item() == pytest.approx(0.0, abs=0.02)


def test_equal_values_are_no_order_however_many_maps_their_means_are_of():
    """Means of .1 over one to three maps differ in the last bit."""
    measured, scores, shares = made_up(np.random.default_rng(2), subjects=3, each=3)
    kept = measured["sample"] % 3 <= measured["method"].str[-1].astype(int) % 3
    found = predict(joined(measured[kept].assign(value=0.1), scores, shares), draws=20)
    found = only(found, across="methods", group="all", measure="good").set_index("statistic")["value"]
    assert np.isnan(found[TAU]) and found[RELATIVE] == pytest.approx(1.0)


def test_candidates_of_a_sweep_are_ranked_by_themselves_and_guided_methods_left_out(tables):
    measured, scores, shares = tables
    names = {"a": "net--strength=1", "b": "net--strength=2"}
    third = [table[table["model"] == "b"].assign(model="net--strength=3") for table in tables]
    measured, scores, shares = (
        pd.concat([table.assign(model=table["model"].map(names)), more])
        for table, more in zip((measured, scores, shares), third, strict=True)
    )
    swept = sorted(measured["model"].unique())
    found = predict(joined(measured, scores, shares), swept, guided=["method-6"], draws=20)
    assert set(found["across"]) == {"strengths"} and set(found["methods"]) == {"all", "not guided"}
    assert set(found["group"]) == {"all", *(f"net/{method}" for method in METHODS)}
    assert "net/method-6" not in set(only(found, methods="not guided")["group"])


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 100))
def test_the_order_of_rows_changes_no_bit(seed):
    tables = made_up(np.random.default_rng(seed), subjects=3, methods=METHODS[:4])
    turned = [table.sample(frac=1, random_state=seed) for table in tables]
    pd.testing.assert_frame_equal(*(predict(joined(*of), draws=20) for of in (tables, turned)), check_exact=True)


def test_worst_maps_are_found_by_a_measure_that_knows(prediction):
    found = only(prediction, across="maps", group="all", statistic=AUC).set_index("measure")
    assert found.loc["good", "ci_low"] > 0.7 and found.loc["wrong", "value"] < 0.1
    assert found.loc["noise", "ci_low"] < 0.5 < found.loc["noise", "ci_high"]
    assert found.loc["good", "items"] == 20


def test_too_little_to_compare_says_why():
    measured, scores, shares = made_up(np.random.default_rng(0), subjects=1, methods=METHODS[:2], seeds=(0,))
    found = predict(joined(measured, scores, shares), draws=10)
    assert found["value"].isna().all() and (found["reason"] != "").all()
    assert answers(found)["sentence"].str.contains("is open").all()
    nothing = predict(joined(measured, scores.assign(r=np.nan), shares), draws=10)
    assert nothing.empty and list(nothing) == COLUMNS and answers(nothing).empty


def test_pairwise_scores_and_other_conditions_do_not_count(tables):
    measured, scores, shares = tables
    others = [scores.assign(target="y", criterion="pairwise"), scores.assign(conditions="no_negated", r=0.0)]
    pd.testing.assert_frame_equal(joined(measured, pd.concat([scores, *others]), shares), joined(*tables))


def test_a_measure_without_any_value_is_said_with_its_reasons():
    keys = {"metric": "twin", "direction": "lower"}
    measured = pd.DataFrame(
        [
            {"measure": "same", "value": np.nan, "reason": "it has not learnt them"},
            {"measure": "same", "value": np.nan, "reason": "it has not learnt them"},
            {"measure": "other", "value": 0.5, "reason": ""},
            {"measure": "other", "value": np.nan, "reason": "the map is constant"},
        ]
    ).assign(**keys)
    (row,) = without_values(measured).to_dict("records")
    assert (row["measure"], row["predicts"]) == ("same", "no value")
    assert row["sentence"] == (
        "same (lower is called better) says nothing here, as it has no value: it has not learnt them."
    )
    assert [*without_values(measured)] == [*answers(pd.DataFrame(columns=COLUMNS))]
