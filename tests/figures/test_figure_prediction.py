import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from truemap.evaluation.prediction import COLUMNS
from truemap.evaluation.ranks import AT_RANDOM, HELD_OUT, REGRET, RELATIVE, RHO, TAU
from truemap.figures.prediction import HELD, drawn_regrets, drawn_taus, foot, regret_figure, tau_figure

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")
TRUTHS = {"the data's truth": ("informative", "leave_out"), "the network's truth": ("network", "network")}


def prediction_of(**changes):
    """Values that say what they are of: .1 and .2 by truth, + .03 where p is small, turned for trainings."""
    rows = []
    for k, (criterion, truth) in enumerate([*TRUTHS.values(), ("informative", "full")]):
        for across, sign in (("methods", 1), ("trainings", -1), ("maps", 1)):
            for metric, measure, p in (("c", "good", 0.01), ("c", "bad", 0.5), ("accuracy", "accuracy", np.nan)):
                for group, shift in (("all", 0.0), ("nn", 5.0)):
                    value = sign * (0.1 * (k + 1) + 0.03 * (p == 0.01)) + shift
                    of = ("x", criterion, truth, metric, measure, "higher", group)
                    for statistic in (TAU, RHO, REGRET, AT_RANDOM, RELATIVE, HELD_OUT):
                        number = {AT_RANDOM: 0.5, HELD_OUT: 0.2, RHO: 9.0}.get(statistic, value)
                        ends = (number - 0.05, number + 0.05)
                        rows.append((across, *of, statistic, number, *ends, p, 8, 20, 3, ""))
    table = pd.DataFrame(rows, columns=COLUMNS).assign(methods="all", **changes)
    return table.sample(frac=1, random_state=0)


def points_of(axis):
    """Marker's face -> (place, value), of each point."""
    drawn = [c for c in axis.collections if isinstance(c, matplotlib.collections.PathCollection)]
    return [(tuple(c.get_facecolor()[0][:3]), *offset) for c in drawn for offset in c.get_offsets() if len(offset)]


def test_tau_stands_by_truth_and_measure_and_is_filled_where_it_predicts():
    rows = drawn_taus(prediction_of())
    assert set(rows["group"]) == {"all"} and "full" not in set(rows["truth"]) and "maps" not in set(rows["across"])
    figure = tau_figure(rows)
    for k, (axis, name) in enumerate(zip(figure.axes, TRUTHS, strict=True)):
        assert axis.get_title() == name
        points = points_of(axis)
        assert sorted(round(x, 2) for _, x, _ in points) == sorted(
            round(sign * (0.1 * (k + 1) + more), 2) for sign in (1, -1) for more in (0, 0, 0.03)
        )
        filled = {round(x, 2) for face, x, _ in points if face != to_rgb("white")}
        assert filled == {round(sign * (0.1 * (k + 1) + 0.03), 2) for sign in (1, -1)}
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(
        rows["measure"].drop_duplicates().str.replace("_", " ")
    )


def test_regret_is_relative_and_other_seeds_choice_is_beside():
    rows = drawn_regrets(prediction_of())
    np.testing.assert_allclose(rows[HELD], 0.2 / 0.5)
    assert set(rows["statistic"]) == {RELATIVE}
    axis = regret_figure(rows).axes[0]
    assert sum(x == pytest.approx(0.4) for _, x, _ in points_of(axis)) == 6


def test_anchors_and_the_degraded_truth_are_drawn_in_both_figures():
    table = prediction_of()
    of_methods = table[table["across"] == "methods"]
    table = pd.concat([table, *(of_methods.assign(across=across) for across in ("anchors", "series"))])
    for drawn, figure_of in ((drawn_taus, tau_figure), (drawn_regrets, regret_figure)):
        rows = drawn(table)
        words = [text.get_text().replace("\n", " ") for text in figure_of(rows).legends[0].get_texts()]
        assert {"anchors", "series"} <= set(rows["across"])
        assert any(text.startswith("across anchors: noise") for text in words)
        assert any(text.startswith("across the truth degraded in known steps") for text in words)
        assert "anchors = 8" in foot(rows)


def test_the_foot_says_n_and_what_whiskers_are():
    rows = drawn_taus(prediction_of())
    expected = "n = 20, seeds = 3, ways to explain = 8, models = 8; whiskers: 95 % bootstrap over subjects (or images)"
    assert foot(rows) == f"{expected} and seeds"
    assert foot(drawn_taus(prediction_of(trainings=1))).endswith("of one seed")


@pytest.mark.parametrize("table", [prediction_of()[:0], prediction_of(value=np.nan, ci_low=np.nan, ci_high=np.nan)])
def test_nothing_to_rank_is_drawn_as_that(table):
    for drawn, figure_of in ((drawn_taus, tau_figure), (drawn_regrets, regret_figure)):
        rows = drawn(table)
        figure = figure_of(rows)
        assert "nothing to rank" in {text.get_text() for text in figure.findobj(plt.Text)}
        assert foot(rows).startswith("n = 0, seeds = 0")
