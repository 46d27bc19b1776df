import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from truemap.evaluation.angle_summary import LARGEST, NEARLY, ORTHOGONAL, angle_answers, angle_summary, of_angles
from truemap.evaluation.random_directions import random_angle, random_mean, random_share

D = 50
LABELS = {"plain": "Plain", "robust": "Robust"}


def table(seeds=(0, 1), subjects=6, maps=3):
    """Made-up angles of two networks: of scores about 80 or 60, of influences about 150."""
    random, rows = np.random.default_rng(1), []
    for model, middle in (("plain", 80.0), ("robust", 60.0)):
        for seed in seeds:
            for kind, mean in (("saliency", middle), ("influence", 150.0)):
                for number in range(subjects * maps):
                    angle = mean + 4 * random.standard_normal()
                    rows.append((model, seed, f"s{number % subjects}", number, kind, angle))
    found = pd.DataFrame(rows, columns=["model", "seed", "subject", "sample", "kind", "angle"])
    signed = (found["kind"] == "influence").to_numpy()
    shares = [float(random_share(a, D, s)) for a, s in zip(found["angle"], signed, strict=True)]
    converged = pd.Series(np.where(signed, None, found["sample"] % 3 > 0), dtype="boolean")
    whole = {"dimension": D, "beta": 2.0, "epochs": 3, "accuracy": 0.9, "training_maps": 40}
    return found.assign(
        label="a", reason="", share=shares, random=np.where(signed, 90.0, random_angle(0.5, D, False)),
        converged=converged, held=np.where(signed, 85.0, np.nan), wrong=np.where(signed, 0.1, np.nan),
        accuracy_soft=0.8 + 0.1 * found["seed"], agreement=0.95 - 0.1 * found["seed"], slope=0.0,
        refit_agreement=1.0 - 0.1 * found["seed"], **whole,
    )  # fmt: skip


def row(summary, kind="saliency", model="plain", seed="mean"):
    (found,) = summary[(summary["kind"] == kind) & (summary["model"] == model) & (summary["seed"] == seed)].to_dict(
        "records"
    )
    return found


def test_means_and_intervals_are_over_subjects_and_seeds_first():
    given_table = table()
    found = row(angle_summary(given_table))
    own = given_table[(given_table["kind"] == "saliency") & (given_table["model"] == "plain")]
    units = own.groupby(["subject", "seed"])["angle"].mean().groupby("subject").mean()
    ends = stats.t.interval(0.95, len(units) - 1, units.mean(), stats.sem(units))
    assert (found["n"], found["maps"], found["missing"]) == (6, 36, 0)
    assert found["mean"] == pytest.approx(units.mean())
    np.testing.assert_allclose([found["ci_low"], found["ci_high"]], ends)
    assert found["converged"] == pytest.approx(2 / 3)
    assert found["mean_converged"] == pytest.approx(own.loc[own["sample"] % 3 > 0, "angle"].mean())
    assert found["nearer"] == pytest.approx(own["share"].mean())
    assert (found["agreement"], found["accuracy_soft"]) == pytest.approx((0.85, 0.85))


def test_angles_are_tested_against_the_mean_of_random_directions():
    given_table = table()
    summary = angle_summary(given_table)
    for kind, signed in (("saliency", False), ("influence", True)):
        p = []
        for model in LABELS:
            found = row(summary, kind, model)
            own = given_table[(given_table["kind"] == kind) & (given_table["model"] == model)]
            units = own.groupby(["subject", "seed"])["angle"].mean().groupby("subject").mean()
            test = stats.ttest_1samp(units, random_mean(D, signed))
            assert (found["t"], found["p"]) == pytest.approx((test.statistic, test.pvalue))
            assert found["difference"] == pytest.approx(units.mean() - random_mean(D, signed))
            p.append(found)
        assert all(one["p_bonferroni"] == pytest.approx(min(1.0, 2 * one["p"])) for one in p)
    single = row(summary, seed="1")
    assert np.isnan(single["p"]) and not single["significant"] and "averaged over seeds" in single["test_reason"]


@pytest.mark.parametrize("d", [2, 3, 20, 1024, 200_000])
def test_the_mean_of_random_directions_is_the_integral_of_their_distribution(d):
    start = max(0.0, 90 - 800 / np.sqrt(d))
    rest = integrate.quad(lambda a: 1 - random_share(a, d, False), start, 90, limit=500, epsabs=1e-9)[0]
    assert random_mean(d, False) == pytest.approx(start + rest, abs=1e-6)
    assert random_mean(d, True) == 90


@given(st.integers(4, 10**6))
def test_the_mean_lies_below_the_median_of_a_distribution_with_a_tail_to_the_left(d):
    assert 45 < random_mean(d, False) < random_angle(0.5, d, False) < 90


def test_what_has_no_angle_is_counted_and_said():
    given_table = table(seeds=(0,))
    flat = (given_table["model"] == "plain") & (given_table["kind"] == "saliency")
    some = flat & (given_table["subject"] == "s1")
    null = {"angle": np.nan, "share": np.nan, "reason": "no curvature"}
    partly = given_table.assign(**{name: given_table[name].mask(some, value) for name, value in null.items()})
    found = row(angle_summary(partly))
    assert (found["n"], found["maps"], found["missing"], found["reason"]) == (5, 18, 3, "")
    wholly = given_table.assign(**{name: given_table[name].mask(flat, value) for name, value in null.items()})
    summary = angle_summary(wholly)
    found = row(summary)
    assert np.isnan(found["mean"]) and found["reason"] == "no curvature" and np.isnan(found["converged"])
    answers = angle_answers(summary, LABELS).set_index(["question", "model"])
    one = answers.loc[(ORTHOGONAL["saliency"], "plain")]
    assert one["answer"] == "open" and one["sentence"] == "Plain: no map has an angle (no curvature)."
    assert "3 of 18 maps have no angle" in angle_answers(angle_summary(partly), LABELS)["sentence"].iloc[0]


def test_columns_that_say_nothing_of_a_kind_are_null_and_intervals_stay_within_what_can_be():
    wide = table(seeds=(0,), subjects=2)
    wide["angle"] = np.where(wide["subject"] == "s0", 2.0, LARGEST["saliency"] - 2)
    summary = angle_summary(wide)
    assert (row(summary)["ci_low"], row(summary)["ci_high"]) == (0, 90)
    assert (row(summary, "influence")["ci_low"], row(summary, "influence")["ci_high"]) == (0, 180)
    assert np.isnan([row(summary)["slope"], row(summary)["held"], row(summary, "influence")["beta"]]).all()
    assert np.isnan(row(summary, "influence")["converged"])


def test_sentences_say_the_numbers_and_the_answer_goes_by_the_mean():
    summary = angle_summary(table())
    answers = angle_answers(summary, LABELS).set_index(["question", "model"])
    assert len(answers) == 4
    for kind, question in ORTHOGONAL.items():
        for model, label in LABELS.items():
            found, said = row(summary, kind, model), answers.loc[(question, model)]
            assert said["answer"] == ("yes" if abs(found["mean"] - 90) <= NEARLY else "no")
            assert (
                said["sentence"].startswith(f"{label}: ") and f"{found['mean']:.1f} degrees apart" in said["sentence"]
            )
    softened = answers.loc[(ORTHOGONAL["saliency"], "robust"), "sentence"]
    assert "converged for 67 % of the maps, which alone have a mean of" in softened
    assert "beta 2 trained on for 3 epochs: accuracy 0.850, its own 0.900, the same prediction for 85 %" in softened
    assert "held they are 85.0 degrees apart" in answers.loc[(ORTHOGONAL["influence"], "plain"), "sentence"]


def test_claims_find_the_summary_by_kind():
    found = of_angles(angle_summary(table()))
    assert set(found["method"]) == {"angle/saliency", "angle/influence"} and set(found["criterion"]) == {"angle"}
    assert set(found["conditions"]) == {"all"}
