"""Measures of maps in the form of agreement: means, intervals, trainings."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from truemap.config.names import NO_NETWORK
from truemap.evaluation.measures import measure_summary


def measured(*entries):
    """(model, seed, sample, subject, value) of one method and measure of the metric `removal`."""
    columns = ["model", "seed", "sample", "subject", "value"]
    table = pd.DataFrame(entries, columns=columns).assign(method="gradient", metric="removal", explained=40)
    reason = np.where(table["value"].isna(), "the map is zero", "")
    return table.assign(measure="morf", direction="lower", reason=reason)


def test_measures_are_averaged_by_subject_and_seed_and_counted():
    table = measured(
        *(("nn", 0, 1, "a", 7.0), ("nn", 0, 2, "a", 9.0), ("nn", 0, 3, "b", 2.0), ("nn", 0, 4, "b", np.nan)),
        *(("nn", 1, 1, "a", 12.0), ("nn", 1, 2, "a", 12.0), ("nn", 1, 3, "b", 2.0), ("nn", 1, 4, "b", 2.0)),
    )
    found = measure_summary(table).set_index("seed")
    assert found.columns[:4].tolist() == ["metric", "measure", "direction", "model"]
    assert found["mean"].to_dict() == {"mean": (10 + 2) / 2, "0": (8 + 2) / 2, "1": (12 + 2) / 2}
    assert found["n"].to_dict() == {"mean": 2, "0": 2, "1": 2}
    assert found["missing"].to_dict() == {"mean": 1, "0": 1, "1": 0}
    assert set(found["maps"]) == {4} and set(found["explained"]) == {40}
    low, high = stats.t.interval(0.95, 1, loc=6, scale=stats.sem([10, 2]))
    assert (found.loc["mean", "ci_low"], found.loc["mean", "ci_high"]) == pytest.approx((low, high))
    assert low < -1 and high > 1  # not clipped: a measure is no correlation


def test_measures_without_subjects_count_samples_and_what_is_null_says_why():
    table = measured(("nn", 0, 1, "", 3.0), ("nn", 0, 2, "", 5.0), *(("zero", 0, k, "", np.nan) for k in (1, 2)))
    found = measure_summary(table, [["other", "maps"]]).query("seed == 'mean'").set_index("model")
    assert found["n"].to_dict() == {"nn": 2, "zero": 0, "other": 0}
    assert found.loc["zero", ["missing", "reason"]].tolist() == [2, "the map is zero"]
    assert found.loc["other", ["method", "maps", "missing", "reason"]].tolist() == ["maps", 0, 0, NO_NETWORK]
    assert found["mean"].isna().tolist() == [False, True, True]


def test_three_trainings_are_a_sample_too_and_nothing_is_clipped():
    values = np.array([[52.0, 47.0, 60.0], [31.0, 35.0, 29.0], [44.0, 41.0, 49.0], [80.0, 72.0, 66.0]])
    entries = [("nn", t, u, "abcd"[u], values[u, t]) for u in range(4) for t in range(3)]
    found = measure_summary(measured(*entries)).set_index("seed").loc["mean"]
    of_units, of_trainings = values.mean(axis=1).var(ddof=1) / 4, values.mean(axis=0).var(ddof=1) / 3
    df = (of_units + of_trainings) ** 2 / (of_units**2 / 3 + of_trainings**2 / 2)
    ends = stats.t.interval(0.95, df, loc=values.mean(), scale=np.sqrt(of_units + of_trainings))
    assert (found["ci_low_two_level"], found["ci_high_two_level"]) == pytest.approx(ends)
    assert found["trainings"] == 3
    assert "trainings" not in measure_summary(measured(*(entry for entry in entries if entry[1] < 2)))
