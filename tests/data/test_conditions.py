import numpy as np
import pandas as pd
import pytest

from truemap.data.conditions import check_chosen, condition_sets, in_set
from truemap.runtime.files import DataError

ROWS = pd.DataFrame(
    {
        "label": ["WM", "WM", "MOTOR", "MOTOR", "EMOTION"],
        "condition": ["0BK", "2BK", "LF", "NEG_LF", "FACES"],
        "negated": [False, False, False, True, False],
    }
)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [("all", [1, 1, 1, 1, 1]), ("no_negated", [1, 1, 1, 0, 1]), ("chosen", [0, 1, 0, 1, 0])],
)
def test_masks_of_rows(conditions, expected):
    for order in ([0, 1, 2, 3, 4], [3, 0, 4, 1, 2]):
        found = in_set(ROWS.iloc[order], conditions, ["NEG_LF", "2BK"])
        assert found.dtype == bool
        np.testing.assert_array_equal(found, np.array(expected, bool)[order])


@pytest.mark.parametrize("conditions", ["all", "no_negated"])
def test_conditions_are_asked_for_in_the_chosen_set_only(conditions):
    assert len(in_set(ROWS[["negated"]], conditions)) == 5


@pytest.mark.parametrize(
    ("negated", "chosen", "sets"),
    [
        (True, [], ["all", "no_negated"]),
        (False, [], ["all"]),
        (True, ["LF"], ["all", "no_negated", "chosen"]),
        (False, ["LF"], ["all", "chosen"]),
    ],
)
def test_sets_are_made_where_they_differ(negated, chosen, sets):
    assert condition_sets(pd.Series([False, negated]), chosen) == sets


def test_an_unknown_condition_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="no map of condition 'FACE'; did you mean 'FACES'"):
        check_chosen(ROWS, ["LF", "FACE"])


def test_conditions_of_one_class_are_refused():
    with pytest.raises(DataError, match="0BK, 2BK are all of class 'WM'"):
        check_chosen(ROWS, ["0BK", "2BK"])


@pytest.mark.parametrize("chosen", [["0BK", "LF"], ["FACES", "NEG_LF", "2BK"]])
def test_conditions_of_two_classes_are_fine(chosen):
    check_chosen(ROWS, chosen)


def test_without_a_list_nothing_is_asked():
    check_chosen(ROWS[["label"]], [])
