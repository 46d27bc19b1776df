import itertools
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from truemap.datasets import hcp
from truemap.datasets._simulation import hcp_grid
from truemap.figures import bars, brains, images, style
from truemap.runtime.files import DataError

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")

ROOT = Path(__file__).parents[2]
ENTRIES = [
    {"model": "linear", "method": "weights", "label": "Linear"},
    {"model": "linear", "method": "gradient", "label": "Linear"},
    {"model": "cnn-adversarial", "method": "gradient", "label": "CNN adversarial"},
    {"model": "cnn", "method": "smoothgrad", "label": "CNN"},
]
CLASSES = ["A", "B", "C"]


def summary_of(means, conditions=("all",)):
    """(conditions, entry) means of one criterion, in another order than the entries', among rows that do not count."""
    rows = [
        ("informative", name, e["model"], e["method"], "mean", means[i][k], 0.01 * (k + 1))
        for i, name in enumerate(conditions)
        for k, e in reversed(list(enumerate(ENTRIES)))
    ]
    decoys = [(*row[:4], "0", -5.0, 1.0) for row in rows] + [("pairwise", *row[1:5], 5.0, 1.0) for row in rows]
    columns = ["criterion", "conditions", "model", "method", "seed", "mean", "se"]
    return pd.DataFrame(decoys + rows, columns=columns)


def text_of(svg):
    """All words of the picture, in no order."""
    return set(" ".join(re.findall(r">([^<>]+)<", svg.read_text(encoding="utf-8"))).split())


def bars_of(figure):
    """Container of bars, one a condition set, and the drawn standard errors."""
    for container in figure.axes[0].containers:
        if isinstance(container, matplotlib.container.BarContainer):
            (lines,) = container.errorbar[2]
            spans = np.array([segment[:, 1] for segment in lines.get_segments()])
            yield container, (spans[:, 1] - spans[:, 0]) / 2


def test_bars_are_as_high_as_the_means_in_the_entries_order():
    means = [0.1, 0.25, 0.6, -0.3]
    figure = bars.agreement_bars(summary_of([means]), "informative", ENTRIES, "#4477aa")
    ((container, errors),) = bars_of(figure)
    np.testing.assert_allclose([bar.get_height() for bar in container], means)
    np.testing.assert_allclose(errors, [0.01, 0.02, 0.03, 0.04])
    assert {bar.get_facecolor()[:3] for bar in container} == {to_rgb("#4477aa")}
    labels = [label.get_text().split() for label in figure.axes[0].get_xticklabels()]
    assert labels == [["Linear,", "weights"], ["Linear"], ["CNN", "adversarial"], ["CNN,", "smoothgrad"]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.100", "0.250", "0.600", "-0.300"]


def test_both_condition_sets_stand_side_by_side_where_there_are_two():
    means = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]
    figure = bars.agreement_bars(summary_of(means, ("all", "no_negated")), "informative", ENTRIES, "#4477aa")
    found = list(bars_of(figure))
    for (container, _), expected in zip(found, means, strict=True):
        np.testing.assert_allclose([bar.get_height() for bar in container], expected)
    left, right = ([bar.get_x() for bar in container] for container, _ in found)
    width = found[0][0][0].get_width()
    np.testing.assert_allclose(np.array(left) + width, right, atol=1e-12)
    words = ["all conditions", "without negated conditions"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == words


@pytest.mark.parametrize("first", ["all", "no_negated", "chosen"])
def test_the_set_wanted_comes_first_and_references_are_of_it(first):
    names = ("all", "no_negated", "chosen")
    means = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0.2, 0.3, 0.9, 0.1]]
    rows = with_references(summary_of(means, names), names)
    rows.loc[(rows["method"] == "input") & (rows["conditions"] == "chosen") & (rows["seed"] == "mean"), "mean"] = 0.77
    figure = bars.agreement_bars(rows, "informative", ENTRIES, "b", ["input"], first)
    order = [first, *(name for name in names if name != first)]
    drawn = [[bar.get_height() for bar in container] for container, _ in bars_of(figure)]
    np.testing.assert_allclose(drawn, [means[names.index(name)] for name in order])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [style.SETS[name] for name in order]
    (line,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert line.get_ydata()[0] == {"all": 0.35, "no_negated": pytest.approx(0.55), "chosen": 0.77}[first]


def test_bars_of_a_set_that_was_not_made_start_with_all_conditions():
    figure = bars.agreement_bars(summary_of([[0.1, 0.2, 0.3, 0.4]]), "informative", ENTRIES, "b", (), "no_negated")
    ((container, _),) = bars_of(figure)
    np.testing.assert_allclose([bar.get_height() for bar in container], [0.1, 0.2, 0.3, 0.4])


def test_axis_of_the_bars_names_the_criterion():
    rows = summary_of([[0.1, 0.2, 0.3, 0.4]])
    for criterion, words in style.CRITERIA.items():
        figure = bars.agreement_bars(rows, criterion, ENTRIES, "b")
        assert words in figure.axes[0].get_ylabel()


def test_bars_without_a_standard_error_are_drawn():
    rows = summary_of([[0.1, 0.2, 0.3, 0.4]]).assign(se=np.nan)
    figure = bars.agreement_bars(rows, "informative", ENTRIES, "b")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.100", "0.200", "0.300", "0.400"]


def test_words_stand_in_place_of_bars_that_there_are_none_of():
    """Maps without signs have an agreement of sizes, in bars; others, of pairs say, have none."""
    rows = summary_of([[0.1, np.nan, np.nan, 0.4]])
    sizes = summary_of([[0.6, 0.7, np.nan, 0.9]]).query("criterion == 'informative'")
    sizes = sizes.assign(criterion="informative_absolute")
    figure = bars.agreement_bars(pd.concat([rows, sizes]), "informative", ENTRIES, "b")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.100", "|0.700|\nno signs", "no r", "0.400"]
    ((container, _),) = bars_of(figure)
    np.testing.assert_allclose([bar.get_height() for bar in container], [0.1, 0, 0, 0.4])


def test_units_at_the_foot_are_those_that_means_are_of():
    rows = summary_of([[0.1, np.nan, 0.2, 0.4]])
    assert bars.units(rows.assign(n=rows["mean"].notna() * 20), ENTRIES) == "n = 20"
    assert bars.units(rows.assign(n=rows["mean"].notna() * 20 + 3), ENTRIES) == "n = 3 to 23"
    assert bars.units(rows.assign(n=0), ENTRIES) == "n = 0"


def test_whiskers_over_trainings_are_beside_those_over_units_and_the_foot_says_so():
    rows = summary_of([[0.1, 0.2, 0.3, 0.4]]).assign(n=20)
    figure = bars.agreement_bars(rows, "informative", ENTRIES, "gray")
    assert len(figure.axes[0].collections) == 1 and bars.units(rows, ENTRIES) == "n = 20"
    known = {"weights": (0.05, 3), "smoothgrad": (0.07, 4)}
    told = rows.assign(
        se_two_level=[known.get(method, (np.nan, 0))[0] for method in rows["method"]],
        trainings=pd.array([known.get(method, (0, pd.NA))[1] for method in rows["method"]], dtype="Int64"),
    )
    figure = bars.agreement_bars(told, "informative", ENTRIES, "gray")
    heights = [np.ptp(segment[:, 1]) / 2 for segment in figure.axes[0].collections[1].get_segments() if len(segment)]
    np.testing.assert_allclose(np.array(heights)[np.isfinite(heights)], [0.05, 0.07])
    foot = "n = 20; whiskers: standard error over these, red: over them and trainings = 3 to 4"
    assert bars.units(told, ENTRIES) == foot


def test_saved_figures_say_what_is_drawn_and_that_data_are_simulated(tmp_path):
    figure = bars.agreement_bars(summary_of([[0.1, 0.2, 0.3, 0.4]]), "informative", ENTRIES, "b")
    note = hcp.Options(simulate={}).kind()
    assert note == "simulated data, not HCP"
    paths = [tmp_path / "figure.svg", tmp_path / "figure.png"]
    style.save(figure, paths, note, 50)
    words = text_of(paths[0])
    for entry in ENTRIES:
        assert set(style.entry_label(entry).split()) <= words
    assert "simulated data, not HCP" in paths[0].read_text(encoding="utf-8")
    assert plt.imread(paths[1]).std() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.png", "figure.svg"]


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("one.svg", "two.svg", "one.png", "two.png"):
        figure = bars.agreement_bars(summary_of([[0.1, 0.2, 0.3, 0.4]]), "informative", ENTRIES, "b")
        style.save(figure, [tmp_path / name], "note", 50)
    for suffix in ("svg", "png"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_entry_label_names_the_method_unless_it_is_the_gradient():
    assert [style.entry_label(entry) for entry in ENTRIES] == [
        "Linear, weights", "Linear", "CNN adversarial", "CNN, smoothgrad"
    ]  # fmt: skip


def test_choose_classes_takes_those_wanted_or_the_first_three():
    assert style.choose_classes(["d", "b", "a", "c"], None) == ["a", "b", "c"]
    assert style.choose_classes(["d", "b", "a", "c"], ["d", "a"]) == ["d", "a"]


def test_choose_classes_refuses_what_is_no_class_and_names_those_there_are():
    with pytest.raises(DataError, match=r"show: no class 'MOTER'; did you mean 'MOTOR'\? .*: LANGUAGE, MOTOR, WM"):
        style.choose_classes(["WM", "MOTOR", "LANGUAGE"], ["WM", "MOTER"])


ODD = ["$a_b^c$", "50 % \\alpha", "{x}_\\frac$", "中文", "🧠", "e\u0301", "a & b <c>", "_hidden"]


@pytest.mark.parametrize("name", ODD)
def test_names_are_drawn_as_they_are_written(tmp_path, caplog, name):
    scores = pd.DataFrame(
        {"label": [name], "target": [name], "conditions": "all", "criterion": "informative", "r": 0.5}
    )
    image = np.arange(4.0).reshape(2, 2)
    row = images.Row(name, {(name, name): image}, scores)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.start()
        figure = images.informative_figure([name], {name: image}, image, [row], "RdBu_r", "template")
        style.save(figure, [tmp_path / "a.svg", tmp_path / "a.png"], "note", 50)
    words = [element.text for element in ElementTree.parse(tmp_path / "a.svg").iter() if element.text]
    assert words.count(name) == 2
    assert [name for name in "中文🧠" if name in caplog.text] == [c for c in name if c in "中文🧠"]


def test_what_no_picture_can_hold_is_replaced(tmp_path):
    figure, axis = plt.subplots()
    axis.set_xticks([0], ["a\x08b\uffff"])
    style.save(figure, [tmp_path / "a.svg"], "note", 50)
    assert "a\ufffdb\ufffd" in [element.text for element in ElementTree.parse(tmp_path / "a.svg").iter()]


@pytest.mark.parametrize(
    ("key", "wrong", "words"),
    [
        ("colormap", "RdBuu_r", "no colormap 'RdBuu_r'; did you mean 'RdBu_r'"),
        ("sequential", "virdis", "no sequential 'virdis'; did you mean 'viridis'"),
        ("bars", "bleu", "'bleu' is no colour"),
    ],
)
def test_colours_that_matplotlib_lacks_are_refused(key, wrong, words):
    good = {"colormap": "RdBu_r", "sequential": "viridis", "bars": "#4477aa", "dpi": 150}
    style.check_style(good)
    with pytest.raises(DataError, match=words):
        style.check_style({**good, key: wrong})


DRAW = """
import pathlib, sys
import pandas as pd
from truemap.figures import bars, style
style.start()
entries = [{"model": "m", "method": "gradient", "label": "a_b$ $"}]
row = {"criterion": "pairwise", "conditions": "all", "model": "m", "method": "gradient", "seed": "mean"}
figure = bars.agreement_bars(pd.DataFrame([{**row, "mean": 0.3, "se": 0.1}]), "pairwise", entries, "C0")
style.save(figure, [f"{sys.argv[1]}.{ending}" for ending in ("svg", "png")], "note", 72)
"""
RC = """
text.usetex: True
font.family: serif
axes.prop_cycle: cycler('color', ['k'])
savefig.transparent: True
svg.fonttype: path
axes.formatter.use_mathtext: True
"""


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    return lambda **environment: drawn(tmp_path_factory.mktemp("drawn"), **environment)


def drawn(folder, **environment):
    """Return a picture's bytes, drawn in a process with another environment."""
    environment = {**os.environ, "PYTHONPATH": "workflow", "HOME": str(folder), **environment}
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, "-c", DRAW, str(folder / "a")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [(folder / f"a.{ending}").read_bytes() for ending in ("svg", "png")]


@pytest.fixture(scope="module")
def plain(picture):
    return picture(MPLBACKEND=None, MATPLOTLIBRC=None, MPLCONFIGDIR=None)


@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense"},
        {"MATPLOTLIBRC": "{rc}/matplotlibrc"},
        {"MPLCONFIGDIR": "{rc}"},
        {"MPLCONFIGDIR": "/proc/nowhere"},
        {"PYTHONOPTIMIZE": "2", "LC_ALL": "C", "TZ": "Asia/Tokyo", "HOME": None},
    ],
    ids=lambda environment: "-".join(environment),
)
def test_a_users_environment_changes_no_byte_of_a_figure(picture, plain, tmp_path, environment):
    (tmp_path / "matplotlibrc").write_text(RC)
    found = picture(**{name: value and value.format(rc=tmp_path) for name, value in environment.items()})
    assert found == plain


def scores_of():
    """Two maps a (label, target); r is set by both. A third row is of other conditions, a fourth without signs."""
    rows = [
        (a, b, ("informative" if a == b else "pairwise") + ending, name, r + shift)
        for (i, a), (k, b) in itertools.product(enumerate(CLASSES), repeat=2)
        for r in [(3 * i + k) / 10]
        for name, shift, ending in (
            ("all", -0.05, ""), ("all", 0.05, ""), ("no_negated", 7.0, ""), ("all", 7.0, "_absolute")
        )
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["label", "target", "criterion", "conditions", "r"])


def image_maps():
    return {
        pair: np.random.default_rng(hash_of(pair)).standard_normal((6, 5)) for pair in itertools.product("ABC", "ABC")
    }


def hash_of(pair):
    return 10 * ord(pair[0]) + ord(pair[1])


def panels_of(figure, columns):
    """Rows of axes."""
    axes = figure.axes
    return [axes[start : start + columns] for start in range(0, len(axes), columns)]


def test_r_under_a_map_is_a_mean_over_all_conditions_and_maps_that_have_one():
    scores = scores_of()
    assert style.r_words(scores, "B", "C") == "r = 0.50"
    scores.loc[scores.index[20], "r"] = np.nan  # the first of the two of (B, C)
    assert style.r_words(scores, "B", "C") == "r = 0.55"


def test_r_under_a_map_without_signs_is_that_of_sizes_and_without_any_says_so():
    scores = scores_of()
    sizes = scores.assign(criterion=scores["criterion"] + "_absolute", r=scores["r"] / 2)
    assert style.r_words(pd.concat([scores, sizes]), "B", "C") == "r = 0.50"
    scores["r"] = np.nan
    assert style.r_words(pd.concat([scores, sizes]), "B", "C") == "|r| = 0.25"
    assert style.r_words(scores, "B", "C") == "no r"


def test_a_pair_without_maps_says_so_in_its_place():
    maps = {pair: image for pair, image in image_maps().items() if pair[0] == pair[1]}
    truth = {label: np.zeros((6, 5)) for label in CLASSES}
    figure = images.pairwise_figure(CLASSES, truth, [images.Row("other", maps, scores_of())], "RdBu_r", "template")
    _, below = panels_of(figure, 6)
    assert [[text.get_text() for text in axis.texts] for axis in below] == [["no map"]] * 6
    assert not any(axis.images for axis in below)


def test_r_under_a_map_is_of_the_set_asked_for_and_so_is_r_in_figure_1():
    scores = scores_of()
    assert style.r_words(scores, "B", "C", "no_negated") == "r = 7.50"
    truth = {label: np.full((6, 5), float(k)) for k, label in enumerate(CLASSES, 1)}
    rows = [images.Row("NN", image_maps(), scores, "no_negated")]
    informative = images.informative_figure(CLASSES, truth, np.zeros((6, 5)), rows, "RdBu_r", "mean map")
    assert [axis.get_xlabel() for axis in panels_of(informative, 4)[2][:3]] == ["r = 7.00", "r = 7.40", "r = 7.80"]
    pairwise = images.pairwise_figure(CLASSES, truth, rows, "RdBu_r", "mean map")
    assert panels_of(pairwise, 6)[1][0].get_xlabel() == "r = 7.10"


def test_figure_1a_shows_truth_and_mean_maps_with_r_under_each():
    maps, truth = image_maps(), {label: np.full((6, 5), float(k)) for k, label in enumerate(CLASSES, 1)}
    average = np.full((6, 5), 5.0)
    rows = [images.Row("NN, smoothgrad", maps, scores_of()), images.Row("NN", maps, scores_of())]
    figure = images.informative_figure(CLASSES, truth, average, rows, "RdBu_r", "mean map")
    panels = panels_of(figure, 4)
    assert [axis.get_title() for axis in panels[0]] == ["A", "B", "C", "average"]
    assert [line[0].get_ylabel() for line in panels] == ["mean map", "mean map − average", "NN\nsmoothgrad", "NN"]
    drawn = [[axis.images[0].get_array() for axis in line if axis.images] for line in panels]
    for k, label in enumerate(CLASSES):
        np.testing.assert_array_equal(drawn[0][k], truth[label])
        np.testing.assert_array_equal(drawn[1][k], truth[label] - average)
        for line in (2, 3):
            np.testing.assert_array_equal(drawn[line][k], maps[label, label])
            assert panels[line][k].get_xlabel() == f"r = {0.4 * k:.2f}"
    np.testing.assert_array_equal(drawn[0][3], average)
    assert [len(line) for line in drawn] == [4, 3, 3, 3]


def test_figure_1b_shows_every_change_of_one_class_to_another():
    maps, truth = image_maps(), {label: np.full((6, 5), float(k)) for k, label in enumerate(CLASSES, 1)}
    figure = images.pairwise_figure(CLASSES, truth, [images.Row("NN", maps, scores_of())], "RdBu_r", "template")
    pairs = [("A", "B"), ("A", "C"), ("B", "A"), ("B", "C"), ("C", "A"), ("C", "B")]
    above, below = panels_of(figure, 6)
    assert [axis.get_title() for axis in above] == [f"{a} → {b}" for a, b in pairs]
    for (a, b), top, bottom in zip(pairs, above, below, strict=True):
        np.testing.assert_array_equal(top.images[0].get_array(), truth[b] - truth[a])
        np.testing.assert_array_equal(bottom.images[0].get_array(), maps[a, b])
        assert bottom.get_xlabel() == f"r = {(3 * CLASSES.index(a) + CLASSES.index(b)) / 10:.2f}"


def test_colours_of_an_image_are_symmetric_about_zero():
    maps, truth = image_maps(), {label: np.zeros((6, 5)) for label in CLASSES}
    figure = images.pairwise_figure(CLASSES, truth, [images.Row("NN", maps, scores_of())], "RdBu_r", "template")
    for axis in figure.axes:
        low, high = axis.images[0].get_clim()
        peak = np.abs(axis.images[0].get_array()).max()
        assert (low, high) == (-(peak or 1.0), peak or 1.0)


def test_glass_brains_show_a_map_a_panel_and_their_words(tmp_path):
    """However small its values, a map is red where positive and blue where negative; an empty place stays empty."""
    shape, affine = hcp_grid(8)
    values = np.zeros(shape)
    values[5:9, 10:14, 8:12] = 1e-12
    rows = [("truth", [("WM", values), ("", None)]), ("CNN, smoothgrad", [("REST", None), ("MOTOR", -values.ravel())])]
    figure = brains.glass_brains(rows, shape, affine, "RdBu_r")
    drawn = [text.get_text() for text in figure.texts]
    assert {"truth", "CNN\nsmoothgrad", "WM", "MOTOR", "REST: no map"} <= set(drawn)
    style.save(figure, [tmp_path / "brains.png"], "simulated data, not HCP", 40)
    picture = plt.imread(tmp_path / "brains.png")[..., :3]
    height, width = picture.shape[:2]
    red, blue = (picture[..., a] - picture[..., b] > 0.2 for a, b in ((0, 2), (2, 0)))
    top, left = np.arange(height)[:, None] < height / 2, np.arange(width) < width * 0.55
    assert (red & top & left).any()
    assert (blue & ~top & ~left).any()
    assert not (red & ~(top & left)).any()
    assert not (blue & (top | left)).any()


def with_references(rows, conditions=("all",)):
    """References in the summary of bars, those of the group without a value."""
    values = {"random": 0.01, "input": 0.35, "group_truth": np.nan}
    added = [
        ("informative", name, "reference", label, seed, value + shift, 0.01)
        for name in conditions
        for label, value in values.items()
        for seed, shift in (("mean", 0.2 * (name != "all")), ("0", -3.0))
    ]
    return pd.concat([rows, pd.DataFrame(added, columns=rows.columns)], ignore_index=True)


def test_references_are_dashed_lines_at_their_means_of_all_conditions():
    """A reference without a mean has no line."""
    sets = ("all", "no_negated")
    rows = with_references(summary_of([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]], sets), sets)
    figure = bars.agreement_bars(rows, "informative", ENTRIES, "b", ["random", "input", "group_truth"])
    axis = figure.axes[0]
    dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert [set(line.get_ydata()) for line in dashed] == [{0.01}, {0.35}]
    named = {
        text.get_text(): text.xy[1] for text in axis.texts if text.get_text() in ("random", "input", "group_truth")
    }
    assert named == {"random": 0.01, "input": 0.35}


def test_references_change_no_bar():
    rows = summary_of([[0.1, 0.2, 0.3, -0.3]])
    plain = bars.agreement_bars(rows, "informative", ENTRIES, "b")
    figure = bars.agreement_bars(with_references(rows), "informative", ENTRIES, "b", ["random", "input"])
    for (container, errors), (expected, expected_errors) in zip(bars_of(figure), bars_of(plain), strict=True):
        for bar, other in zip(container, expected, strict=True):
            assert (bar.get_x(), bar.get_height()) == (other.get_x(), other.get_height())
        np.testing.assert_array_equal(errors, expected_errors)
    ticks = [[label.get_text() for label in f.axes[0].get_xticklabels()] for f in (figure, plain)]
    assert ticks[0] == ticks[1]


def test_figures_show_the_truth_wanted_or_the_full_one_where_there_is_no_other():
    rows = [("full", "all"), ("leave_out", "all"), ("", "all"), ("full", "no_negated"), ("leave_out", "no_negated")]
    table = pd.DataFrame(rows, columns=["truth", "conditions"])
    known = table[table["truth"] != "leave_out"]
    assert [style.truth_shown(t, "leave_out") for t in (table, known)] == ["leave_out", "full"]
    assert [style.truth_shown(t, "full") for t in (table, known)] == ["full", "full"]
    assert list(style.one_truth(table, "leave_out").index) == [1, 2]
    assert list(style.one_truth(table, "full").index) == [0, 2]
    assert list(style.one_truth(known, "leave_out").index) == [0, 2]


def test_figures_show_the_set_wanted_or_all_conditions_where_it_was_not_made():
    rows = [(t, c) for c in ("all", "chosen") for t in ("full", "leave_out", "")]
    table = pd.DataFrame(rows, columns=["truth", "conditions"])
    assert style.set_shown(table["conditions"], "chosen") == "chosen"
    assert style.set_shown(table["conditions"], "no_negated") == "all"
    assert list(style.one_truth(table, "full", "chosen").index) == [3, 5]
    assert list(style.one_truth(table, "leave_out", "no_negated").index) == [1, 2]


def test_the_foot_of_a_figure_names_the_conditions_where_they_are_not_all():
    assert style.note("HCP", "all") == "HCP"
    assert style.note("HCP", "no_negated") == "HCP; without negated conditions"
    assert style.note("HCP", "chosen") == "HCP; chosen conditions"
