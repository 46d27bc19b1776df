import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import auc

from truemap.evaluation.roar import roar_table

CORRECT = {
    ("random", 0.0): [1, 1, 1, 1, 1, 0],
    ("random", 0.5): [1, 1, 0, 1, 1, 0],
    ("random", 0.8): [1, 0, 0, 1, 1, 0],
    ("gradient", 0.5): [1, 0, 0, 1, 0, 0],
    ("gradient", 0.8): [0, 0, 0, 1, 0, 1],
}


def table(subjects):
    counts = {"voxels": 10, "training": 99, "constant_training": 2}
    rows = [
        {"model": "nn", "seed": 0, "order": order, "fraction": f"{fraction:g}", "sample": k, "subject": subjects[k],
         "correct": bool(right), "constant": k == 5, "removed": round(10 * fraction), **counts}
        for (order, fraction), values in CORRECT.items()
        for k, right in enumerate(values)
    ]  # fmt: skip
    return roar_table(pd.DataFrame(rows))


@pytest.mark.parametrize("subjects", [[""] * 6, ["a", "a", "b", "b", "c", "c"]])
def test_curves_and_areas_are_those_of_the_shares_written_out(subjects):
    found = table(subjects)
    assert found["order"].tolist() == ["random"] * 3 + ["gradient"] * 3
    assert found["fraction"].tolist() == [0, 0.5, 0.8] * 2 and found["removed"].tolist() == [0, 5, 8] * 2
    units = [[k] for k in range(6)] if not subjects[0] else [[0, 1], [2, 3], [4, 5]]
    of_unit = {}
    for order in ("random", "gradient"):
        curve = [CORRECT["random", 0.0], CORRECT[order, 0.5], CORRECT[order, 0.8]]
        shares = np.array([[np.mean([right[k] for k in unit]) for unit in units] for right in curve])
        own = found[found["order"] == order]
        np.testing.assert_allclose(own["accuracy"], shares.mean(axis=1))
        spread = stats.sem(shares, axis=1)
        np.testing.assert_allclose(own["se"], np.where(spread > 0, spread, np.nan))
        assert own["reason"].ne("").tolist() == (spread == 0).tolist()
        of_unit[order] = np.array([auc([0, 0.5, 0.8], values) / 0.8 for values in shares.T])
        np.testing.assert_allclose(own["area"], of_unit[order].mean())
    below = of_unit["random"] - of_unit["gradient"]
    ends = stats.t.interval(0.95, len(below) - 1, below.mean(), stats.sem(below))
    row = found.iloc[-1]
    np.testing.assert_allclose(row[["below_random", "below_low", "below_high"]].astype(float), [below.mean(), *ends])
    assert (row["maps"], row["constant_maps"], row["constant_training"], row["n"]) == (6, 1, 2, len(units))
    assert (found.loc[found["order"] == "random", "below_random"] == 0).all()
