import matplotlib
import numpy as np
import pandas as pd
import pytest

from truemap.figures import style
from truemap.figures.strength import COLORS, drawn_strengths, strength_figure

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")

#: In another order than the strengths', as lists in a config may be.
STRENGTHS = {"CNN": [1.0, 0.01, 0.1], "NN": [2.0, 0.5]}
OPTION = {"CNN": "strength", "NN": "epsilon"}
SWEPT = [
    {
        "model": f"{of}--{value:g}",
        "of": of,
        "label": of,
        "candidate": f"{value:g}",
        "option": OPTION[of],
        "value": value,
        "method": "gradient",
    }
    for of, values in STRENGTHS.items()
    for value in values
]
CRITERIA = ["informative", "pairwise", "accuracy", "robust_accuracy"]
NAMED = dict(zip(CRITERIA, ("class-informative", "pairwise", "accuracy", "robust accuracy"), strict=True))


def value_of(criterion, of, strength):
    """Any mean that differs between all of them."""
    return 0.1 + 0.2 * CRITERIA.index(criterion) + 0.01 * list(STRENGTHS).index(of) + 0.04 * np.log10(strength)


def summary_of():
    """Means of every candidate, and rows that are not asked for: single seeds, other methods, other attacks."""
    methods = {"accuracy": [""], "robust_accuracy": ["pgd", "autoattack"]}
    rows = [
        (criterion, entry["model"], method, seed, mean if number == 0 and seed == "mean" else -7.0, 0.01 + mean / 50)
        for entry in SWEPT
        for criterion in CRITERIA
        for number, method in enumerate(methods.get(criterion, ["gradient", "smoothgrad"]))
        for seed in ("mean", "0")
        for mean in [value_of(criterion, entry["of"], entry["value"])]
    ]
    return pd.DataFrame(rows, columns=["criterion", "model", "method", "seed", "mean", "se"])


def histories():
    curves = {"epoch": [0, 1, 2]}
    return pd.concat(
        pd.DataFrame(curves | {"validation_accuracy": entry["value"] / 10 + np.arange(3)}).assign(
            model=entry["of"], candidate=entry["candidate"]
        )
        for entry in SWEPT
    )


def figure_of(swept=SWEPT, summary=None, attack="pgd"):
    return strength_figure(
        drawn_strengths(summary_of() if summary is None else summary, swept, histories(), attack), swept
    )


def lines_of(axis):
    """Label -> (points, lengths of the error bars)."""
    return {
        container.get_label(): (
            np.column_stack(container[0].get_data()).astype(float),
            np.array([np.ptp(segment[:, 1]) / 2 for segment in container[2][0].get_segments() if len(segment)]),
        )
        for container in axis.containers
    }


@pytest.mark.parametrize("row", [0, 1])
def test_means_stand_at_their_strengths_in_ascending_order(row):
    figure = figure_of()
    assert len(figure.axes) == 8
    of = list(STRENGTHS)[row]
    strengths = sorted(STRENGTHS[of])
    left, middle = figure.axes[4 * row : 4 * row + 2]
    for axis, criteria in ((left, CRITERIA[:2]), (middle, CRITERIA[2:])):
        found = lines_of(axis)
        assert set(found) == {NAMED[name] for name in criteria}
        for criterion in criteria:
            means = np.array([value_of(criterion, of, value) for value in strengths])
            points, errors = found[NAMED[criterion]]
            np.testing.assert_allclose(points, np.column_stack([strengths, means]))
            np.testing.assert_allclose(errors, 0.01 + means / 50)
        assert axis.get_xscale() == "log"
        assert axis.get_xlabel() == OPTION[of]
    assert left.get_ylabel() == f"{of}\nmean r, gradient"


def test_the_order_of_candidates_does_not_matter():
    for axis, other in zip(figure_of().axes[:2], figure_of(SWEPT[2::-1] + SWEPT[3:]).axes[:2], strict=True):
        for label, (points, _) in lines_of(axis).items():
            np.testing.assert_array_equal(lines_of(other)[label][0], points)


def test_each_candidate_has_its_curve_by_epoch_the_stronger_the_darker():
    axis = figure_of().axes[2]
    assert [line.get_label() for line in axis.lines] == ["0.01", "0.1", "1"]
    for line, strength in zip(axis.lines, sorted(STRENGTHS["CNN"]), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
        np.testing.assert_allclose(line.get_ydata(), strength / 10 + np.arange(3))
    shades = [float(line.get_color()) for line in axis.lines]
    assert shades == sorted(shades, reverse=True)
    assert (shades[0], shades[-1]) == (0.6, 0.0)
    assert axis.get_legend().get_title().get_text() == "strength"


def test_the_last_panel_is_agreement_against_accuracy_with_marks_that_grow_with_strength():
    axis = figure_of().axes[3]
    strengths = sorted(STRENGTHS["CNN"])
    accuracy = [value_of("accuracy", "CNN", strength) for strength in strengths]
    assert [line.get_label() for line in axis.lines] == ["informative", "pairwise"]
    for line in axis.lines:
        np.testing.assert_allclose(line.get_xdata(), accuracy)
        np.testing.assert_allclose(line.get_ydata(), [value_of(line.get_label(), "CNN", s) for s in strengths])
        assert line.get_color() == COLORS[line.get_label()]
    for marks in axis.collections:
        np.testing.assert_allclose(marks.get_offsets()[:, 0], accuracy)
        assert sorted(marks.get_sizes()) == list(marks.get_sizes()) and len({*marks.get_sizes()}) == len(strengths)


def test_a_mean_that_is_null_leaves_a_gap_and_a_sweep_of_one_point_is_drawn(tmp_path):
    summary = summary_of()
    summary.loc[(summary["model"] == "CNN--0.1") & (summary["criterion"] == "pairwise"), "mean"] = np.nan
    points = lines_of(figure_of(summary=summary).axes[0])["pairwise"][0]
    assert np.isnan(points[:, 1]).tolist() == [False, True, False]
    figure = figure_of(SWEPT[:1])
    assert len(figure.axes) == 4
    style.save(figure, [tmp_path / "strength.svg"], "simulated data, not HCP", 50)
    assert "simulated data, not HCP" in (tmp_path / "strength.svg").read_text(encoding="utf-8")


def test_without_the_attack_there_is_no_robust_accuracy():
    points = lines_of(figure_of(attack="fgsm").axes[1])
    assert set(points) == {"accuracy"}
    assert np.isfinite(points["accuracy"][0][:, 1]).all()
