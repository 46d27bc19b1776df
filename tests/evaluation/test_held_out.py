"""What is lost by the choice of another dataset, by hand."""

import numpy as np
import pandas as pd
import pytest

from truemap.evaluation.held_out import ALONE, COLUMNS, FEW, NOT_THERE, held_out, items_of
from truemap.evaluation.ranks import AT_RANDOM, REGRET, RELATIVE

NAMES = {"criterion": "informative", "truth": "full", "metric": "m", "measure": "m", "direction": "higher"}


def dataset(x, y, model="net", measure="m", training="pgd", scale=1.0):
    """Values by way to explain, the same for two subjects and two seeds but for their scale; labels of its own."""
    rows = [
        (model, f"{model}-{way}", seed, f"s{unit}", unit, scale * (1 + seed) * x[way], y[way])
        for way in x for seed in (0, 1) for unit in (0, 1)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["model", "method", "seed", "unit", "sample", "x", "y"])
    alike = {"methods": {f"{model}/{model}-{way}": way for way in x}, "trainings": {model: training}}
    return items_of(table.assign(**{**NAMES, "measure": measure}), set(), alike)


FIRST = dataset({"a": 3.0, "b": 2.0, "c": 1.0, "only": 9.0}, {"a": 0.5, "b": 0.4, "c": 0.3, "only": 0.9}, "cnn")
SECOND = dataset({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, {"a": 0.1, "b": 0.4, "c": 0.7, "d": 0.9}, "nn", scale=1e9)


def of(found, **wanted):
    for name, value in wanted.items():
        found = found[found[name] == value]
    return found


def test_the_loss_is_that_of_the_other_datasets_choice_among_what_both_have():
    found = held_out({"one": FIRST, "two": SECOND})
    assert list(found.columns) == COLUMNS
    there = of(found, dataset="two", chosen_by="one", across="methods").set_index("statistic")
    # Of a, b and c the first calls a best: .7 - .1 are lost; by any .7 - .4.
    assert set(there["choice"]) == {"a"} and there["items"].tolist() == [3, 3, 3]
    assert there.loc[REGRET, "value"] == pytest.approx(0.6)
    assert there.loc[AT_RANDOM, "value"] == pytest.approx(0.3)
    assert there.loc[RELATIVE, "value"] == pytest.approx(2.0)
    assert there.loc[RELATIVE, "ci_low"] == pytest.approx(2.0)
    back = of(found, dataset="one", chosen_by="two", across="methods").set_index("statistic")
    assert set(back["choice"]) == {"c"} and back.loc[REGRET, "value"] == pytest.approx(0.2)


def test_what_cannot_be_held_out_says_why():
    found = held_out({"one": FIRST, "two": SECOND})
    trainings = of(found, across="trainings")
    assert trainings["value"].isna().all() and set(trainings["reason"]) == {FEW}
    found = held_out({"one": FIRST, "two": dataset({"a": 1.0}, {"a": 1.0}, measure="other")})
    assert of(found, dataset="one")["reason"].unique().tolist() == [NOT_THERE]
    alone = held_out({"one": FIRST})
    assert alone["reason"].tolist() == [ALONE] and alone["dataset"].tolist() == ["one"]
    assert list(held_out({})) == COLUMNS


def test_trainings_are_the_same_by_their_module_and_the_order_of_datasets_changes_nothing():
    def of_trainings(values, truths, prefix):
        parts = [
            dataset({"a": values[k]}, {"a": truths[k]}, f"{prefix}{k}", training=k).query("across == 'trainings'")
            for k in values
        ]
        return pd.concat(parts, ignore_index=True).assign(group="a")

    one = of_trainings({"pgd": 3.0, "free": 2.0, "standard": 1.0}, {"pgd": 0.3, "free": 0.2, "standard": 0.1}, "cnn")
    two = of_trainings({"pgd": 1.0, "free": 2.0, "standard": 9.0}, {"pgd": 0.5, "free": 0.9, "standard": 0.1}, "nn")
    found = held_out({"one": one, "two": two})
    row = of(found, dataset="two", statistic=REGRET).iloc[0]
    assert (row["choice"], row["value"]) == ("pgd", pytest.approx(0.4))
    turned = held_out({"two": two, "one": one}).sort_values(COLUMNS[:10], ignore_index=True)
    pd.testing.assert_frame_equal(turned, found.sort_values(COLUMNS[:10], ignore_index=True))
    assert np.isfinite(found["value"]).all()
