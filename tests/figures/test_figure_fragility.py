import matplotlib
import numpy as np
import pandas as pd
import pytest
from attacked_tables import ASKED, ATTACKS, BOUNDS, METHODS, MODELS, table
from matplotlib import pyplot as plt

from truemap.evaluation.fragility import fragility_summary
from truemap.evaluation.fragility_answers import TRAP, fragility_answers
from truemap.evaluation.fragility_pairs import fragility_pairs
from truemap.figures.fragility import PANELS, RANDOM, drawn_fragility, foot, fragility_figure
from truemap.figures.fragility_page import fragility_page

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")
ATTACKED = table()
SUMMARY = fragility_summary(ATTACKED, ASKED["random"])
ROWS = drawn_fragility(SUMMARY, "full", "all")
LABELS = ASKED["labels"]
UNIT = "sd of the data"


def figure_of(rows, panel):
    return fragility_figure(rows, panel, LABELS, ASKED["random"], UNIT)


def lines(axis):
    """Attack -> (bounds, means, ends of whiskers) of each line of a panel."""
    found = {}
    for container in axis.containers:
        line, _, (whiskers,) = container.lines
        ends = np.array([segment[:, 1] for segment in whiskers.get_segments()])
        found[container.get_label()] = (line.get_xdata(), line.get_ydata(), ends)
    return found


@pytest.mark.parametrize(("panel", "measure"), [("spearman",) * 2, ("shift",) * 2, ("truth", "informative_after")])
def test_each_panel_has_a_ways_and_networks_means_and_intervals_a_line_an_attack(panel, measure):
    figure = figure_of(ROWS, panel)
    axes = {axis.get_gid(): axis for axis in figure.axes}
    assert set(axes) == {f"{model}/{method}" for model in MODELS for method in METHODS}
    means = SUMMARY[(SUMMARY["seed"] == "mean") & (SUMMARY["measure"] == measure)]
    for gid, axis in axes.items():
        mine = means[means["model"] + "/" + means["method"] == gid].sort_values("epsilon")
        drawn = lines(axis)
        assert set(drawn) == set(ATTACKS)
        for attack, (x, y, ends) in drawn.items():
            own = mine[mine["attack"] == attack]
            np.testing.assert_allclose(np.asarray(x, float), BOUNDS, rtol=0.1)
            np.testing.assert_allclose(y.astype(float), own["mean"])
            np.testing.assert_allclose(ends, own[["ci_low", "ci_high"]])


def test_what_it_agreed_before_is_a_dashed_line_of_the_truths_panel_alone():
    for panel in PANELS:
        (axis, *_) = figure_of(ROWS, panel).axes
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert len(dashed) == (panel == "truth")
    before = SUMMARY.query("seed == 'mean' and measure == 'informative_before' and model == 'plain'")
    (axis, *_) = figure_of(ROWS, "truth").axes
    (line,) = (line for line in axis.lines if line.get_linestyle() == "--")
    assert line.get_ydata()[0] == pytest.approx(before.query("method == 'gradient'")["mean"].mean())


def test_random_signs_are_grey_whatever_they_are_called():
    named = ROWS.assign(attack=ROWS["attack"].replace("random_sign", "coin"))
    figure = fragility_figure(named, "spearman", LABELS, ["coin"], UNIT)
    colors = {c.get_label(): c.lines[0].get_color() for c in figure.axes[0].containers}
    assert colors["coin"] == RANDOM and RANDOM not in (colors["top_k"], colors["mass_center"])
    assert len(set(colors.values())) == 3


def unsigned(attacked):
    """Decoys have no signs: r with those of the truth is a number that says nothing, beside that of sizes."""
    own = (attacked["method"] == "decoy") & (attacked["truth"] == "full")
    sizes = attacked[own].assign(measure=attacked["measure"][own].str.replace("informative", "informative_absolute"))
    return pd.concat([attacked.assign(value=attacked["value"].mask(own, 0.01)), sizes])


def test_ways_without_signs_are_shown_by_sizes_and_said_so():
    rows = drawn_fragility(fragility_summary(unsigned(ATTACKED), ["random_sign"]), "full", "all")
    of_truth = rows[rows["panel"] == "truth"].groupby("method")["measure"].agg(set)
    assert of_truth["decoy"] == {"informative_absolute_after", "informative_absolute_before"}
    assert of_truth["gradient"] == {"informative_after", "informative_before"}
    titles = [" ".join(axis.get_title().split()) for axis in figure_of(rows, "truth").axes[:3]]
    assert titles == ["gradient", "integrated gradients", "decoys (sizes)"]


def test_the_truth_that_is_drawn_is_the_one_that_figures_show():
    other = ATTACKED[ATTACKED["truth"] == "full"].assign(truth="leave_out", value=-0.5)
    rows = drawn_fragility(fragility_summary(pd.concat([ATTACKED, other]), ["random_sign"]), "leave_out", "all")
    np.testing.assert_allclose(rows.loc[rows["panel"] == "truth", "mean"], -0.5)


def test_the_foot_says_n_whiskers_and_what_was_not_attacked():
    assert foot(ROWS, "spearman").startswith("n = 8 subjects (or images); whiskers: 95 % interval")
    some = ATTACKED.assign(attacked=~((ATTACKED["attack"] == "top_k") & (ATTACKED["sample"] == 0)))
    rows = drawn_fragility(fragility_summary(some, ["random_sign"]), "full", "all")
    back = len(MODELS) * len(METHODS) * len(BOUNDS)
    words = f"{back} of {back * len(ATTACKS) * 16} attacks found no noise"
    assert words in foot(rows, "spearman") and words in foot(rows, "truth")


@pytest.mark.parametrize("panel", PANELS)
def test_what_has_no_value_is_drawn_as_that(panel):
    none = ROWS.assign(mean=np.nan, ci_low=np.nan, ci_high=np.nan)
    words = [text.get_text() for text in figure_of(none, panel).findobj(plt.Text)]
    assert words.count("no value") == len(MODELS) * len(METHODS)
    assert foot(none, panel).startswith("n = 0 ")


DONE = {
    "attacks": {"top_k": {"name": "top_k", "iterations": 30}}, "epsilon": [0.035, 0.14], "maps": 16, "unit": UNIT,
    "ways": {"decoy of plain": {"name": "decoy", "masks": 4}}, "seeds": {"plain": 1, "robust": 3},
}  # fmt: skip


def page_of(attacked=ATTACKED, **asked):
    summary = fragility_summary(attacked, ["random_sign"])
    answers = fragility_answers(summary, fragility_pairs(attacked), {**ASKED, **asked})
    return fragility_page(answers, ROWS, DONE, "x", "made <up>")


def test_the_page_says_each_answer_and_names_the_trap():
    page = page_of()
    assert "yes: NN robust: attacked maps stay more like" in page
    assert TRAP.replace("'", "&#x27;") in page and "not asked for (fragility.moved)" in page
    assert "iterations 30" in page and "masks 4" in page and "robust: 3 trainings" in page
    assert "made &lt;up&gt;" in page and "<up>" not in page
    assert page.count("<h2>") == 9
    assert all(f'href="fragility-{panel}.png"' in page for panel in (*PANELS, "maps"))
    assert "<td>centre of mass</td>" in page and "<td>mass_center</td>" not in page


def test_questions_without_an_answer_say_why():
    page = page_of(standard=[], decoys=[])
    assert "There is no network of standard training" in page and "No decoys were attacked" in page
    assert "No dataset with the same subjects in fewer voxels" in page
    assert "yes: NN robust: attacked maps stay" not in page
