import numpy as np
import pandas as pd
import pytest
from scipy import stats

from truemap.evaluation.two_truths import COLUMNS, two_truths

WORDS = {"label": "x", "target": "x", "conditions": "all"}


def scores(r, method, criterion="network", truth="network", model="nn", seeds=(0,), **changes):
    """One r a subject and map; a second map of each subject has the same."""
    rows = [
        (model, seed, method, 2 * k + each, f"s{k}", criterion, truth, value + 0.01 * seed)
        for seed in seeds for k, value in enumerate(r) for each in (0, 1)
    ]  # fmt: skip
    columns = ["model", "seed", "method", "sample", "subject", "criterion", "truth", "r"]
    return pd.DataFrame(rows, columns=columns).assign(**{**WORDS, **changes})


RIGHT, WRONG, PART = [0.9, 0.95, 0.85, 0.9], [0.4, -0.5, 0.1, -0.2], [0.3, 0.35, 0.4, 0.3]
NOTHING = scores([], "truth at r=1")


def test_maps_are_right_or_wrong_about_the_network_whatever_they_are_about_the_data():
    table = pd.concat(
        [
            *(scores(r, m) for m, r in (("exact", RIGHT), ("noise", WRONG), ("some", PART))),
            *(scores(RIGHT, m, "informative", "leave_out") for m in ("noise", "some")),
            scores(WRONG, "noise", "informative", "full"),
            *(scores(WRONG, "exact", **other) for other in ({"target": "y"}, {"conditions": "no_negated"})),
            scores(PART, "sizes", "network_absolute"),
            scores(WRONG, "exact", "network_absolute"),
        ]
    )
    found = two_truths(table, NOTHING).set_index("method")
    assert found["agrees"].to_dict() == {"exact": "yes", "noise": "no", "some": "part", "sizes": "part"}
    assert found.loc["exact", "criterion"] == "network" and found.loc["sizes", "criterion"] == "network_absolute"
    expected = stats.t.interval(0.95, 3, np.mean(PART), stats.sem(PART))
    assert tuple(found.loc["some", ["ci_low", "ci_high"]]) == pytest.approx(expected)
    assert found.loc["noise", "data_r"] == pytest.approx(0.9)
    text = found.loc["noise", "sentence"]
    assert text.startswith("noise of nn is wrong about the network (r = -0.05") and "r = 0.90 with the data's" in text
    assert "by sizes alone" in found.loc["sizes", "sentence"]


def test_a_network_uses_the_datas_truth_or_something_else():
    known = pd.concat(
        [scores(r, "truth at r=1", model=name) for name, r in (("a", RIGHT), ("b", WRONG), ("c", PART))]
        + [scores(WRONG, "truth at r=0.8", model="a"), scores([0.5], "truth at r=1", model="one")]
    )
    found = two_truths(scores([], "gradient"), known).set_index("model")
    assert found["agrees"].to_dict() == {"a": "yes", "b": "no", "c": "part", "one": "open"}
    assert found.loc["b", "sentence"].startswith("b uses something else than the data's truth (r = -0.05 over regions")
    assert "no interval" in found.loc["one", "sentence"]


def test_what_may_be_right_or_wrong_is_not_called_wrong():
    found = two_truths(scores([0.9, -0.6, 0.95, 0.8], "m"), NOTHING).iloc[0]
    assert found["agrees"] == "open" and found["ci_low"] < 0 and found["ci_high"] == 1.0
    assert "m of nn cannot be told right or wrong about the network (r = 0.51" in found["sentence"]


def test_three_trainings_are_a_sample_too():
    found = two_truths(scores(PART, "m", seeds=(0, 1, 2)), NOTHING).iloc[0]
    assert (found["units"], found["trainings"]) == (4, 3)
    a, b = np.var(PART, ddof=1) / 4, np.var([0.0, 0.01, 0.02], ddof=1) / 3
    half = stats.t.ppf(0.975, (a + b) ** 2 / (a**2 / 3 + b**2 / 2)) * np.sqrt(a + b)
    assert found["ci_high"] - found["r"] == pytest.approx(half)
    equal = two_truths(scores([0.5, 0.5], "m"), NOTHING).iloc[0]
    assert (equal["ci_low"], equal["ci_high"]) == (0.5, 0.5)


def test_without_regions_nothing_is_said():
    found = two_truths(scores(RIGHT, "m", "informative", "full"), NOTHING)
    assert found.empty and list(found) == COLUMNS
