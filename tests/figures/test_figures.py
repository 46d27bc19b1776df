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
import scipy.stats
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from truemap.data.grid import Grid
from truemap.datasets import hcp
from truemap.datasets._simulation import hcp_grid
from truemap.figures import bars, brains, images, palette, style
from truemap.figures.words import entry_label
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


def pairs_of(*pairs):
    """All pairs of entries of one family, those given significant."""
    keys = [(entry["model"], entry["method"]) for entry in ENTRIES]
    rows = [(*a, *b, 0.01, {a, b} in [set(pair) for pair in pairs]) for a, b in itertools.combinations(keys, 2)]
    columns = ["model_a", "method_a", "model_b", "method_b", "p_bonferroni", "significant"]
    return pd.DataFrame(rows, columns=columns).assign(criterion="informative", conditions="all")


NO_TESTS = pairs_of()[:0]
NOTHING = pd.DataFrame(columns=["criterion", "conditions", "model_a", "method_a", "value"])


def barred(summary, references=(), conditions="all", tests=NO_TESTS, published=NOTHING, color=None, panels="a"):
    """The rows of the bars, and the figure."""
    rows = bars.drawn_bars(summary, tests, published, ENTRIES, references, conditions)
    return rows, bars.agreement_bars(rows, ENTRIES, color, panels)


def bars_of(figure, panel=0):
    """Lengths of the bars of each condition set, and their faces."""
    for container in figure.axes[panel].containers:
        yield [bar.get_width() for bar in container], [bar.get_facecolor()[:3] for bar in container]


def words_beside(figure, panel=0):
    """What stands beside the bars."""
    return [text.get_text() for text in figure.axes[panel].texts if text.get_text() not in "ab"]


def test_bars_are_as_long_as_the_means_in_the_entries_order():
    means = [0.1, 0.25, 0.6, -0.3]
    _, figure = barred(summary_of([means]), color="#4477aa")
    ((lengths, faces),) = bars_of(figure)
    np.testing.assert_allclose(lengths, means)
    assert set(faces) == {to_rgb("#4477aa")}
    thin, thick = [c for c in figure.axes[0].collections if len(c.get_paths()) == 4][:2]
    assert thin.get_linewidth() < thick.get_linewidth()
    spans = [np.ptp(segment[:, 0]) / 2 for segment in thick.get_segments()]
    np.testing.assert_allclose(spans, [0.01, 0.02, 0.03, 0.04])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["Linear, weights", "Linear, gradient", "CNN adversarial,\ngradient", "CNN, SmoothGrad"]
    assert words_beside(figure) == ["0.100", "0.250", "0.600", "−0.300"]


def test_a_way_to_explain_has_its_colour_by_its_module_whatever_it_is_called():
    entries = [{**entry, "way": "gradient" if entry["model"] == "linear" else "mine"} for entry in ENTRIES]
    rows = bars.drawn_bars(summary_of([[0.1, 0.2, 0.3, 0.4]]), NO_TESTS, NOTHING, entries)
    ((_, faces),) = bars_of(bars.agreement_bars(rows, entries, None, "a"))
    assert faces == [to_rgb(palette.colour_of("gradient"))] * 2 + [to_rgb(palette.OTHER)] * 2


def test_kin_of_one_colour_are_hatched_whatever_the_colour():
    entries = [
        {**entry, "way": way} for entry, way in zip(ENTRIES, ("weights", "pattern", "lrp_epsilon", "mine"), strict=True)
    ]
    rows = bars.drawn_bars(summary_of([[0.1, 0.2, 0.3, 0.4]]), NO_TESTS, NOTHING, entries)
    for color in (None, "steelblue"):
        (axis,) = bars.agreement_bars(rows, entries, color, "a").axes
        found = {patch.get_y(): patch.get_hatch() or "" for patch in axis.patches}
        assert [found[y] for y in sorted(found)] == [palette.hatch_of(entry["way"]) for entry in entries]


@pytest.mark.parametrize("first", ["all", "no_negated", "chosen"])
def test_the_set_wanted_comes_first_and_references_are_bars_of_each(first):
    names = ("all", "no_negated", "chosen")
    means = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0.2, 0.3, 0.9, 0.1]]
    rows, figure = barred(with_references(summary_of(means, names), names), ["input"], first)
    order = [first, *(name for name in names if name != first)]
    values = {"all": 0.35, "no_negated": 0.55, "chosen": 0.55}
    expected = [[*means[names.index(name)], values[name]] for name in order]
    np.testing.assert_allclose([lengths for lengths, _ in bars_of(figure)], expected)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [style.SETS[name] for name in order]
    assert list(rows[rows["panel"] == "a"]["conditions"].drop_duplicates()) == order


def test_bars_of_a_set_that_was_not_made_start_with_all_conditions():
    _, figure = barred(summary_of([[0.1, 0.2, 0.3, 0.4]]), (), "no_negated")
    np.testing.assert_allclose(next(bars_of(figure))[0], [0.1, 0.2, 0.3, 0.4])


def test_bars_of_fifty_entries_fit_on_a_page():
    entries = [{"model": f"cnn-{k}", "method": "integrated_gradients", "label": f"network {k}"} for k in range(50)]
    shown = itertools.product(style.CRITERIA, entries)
    columns = ["criterion", "conditions", "model", "method", "seed", "mean", "se"]
    table = pd.DataFrame([(c, "all", e["model"], e["method"], "mean", 0.5, 0.01) for c, e in shown], columns=columns)
    rows = bars.drawn_bars(table, NO_TESTS, NOTHING, entries)
    figure = bars.agreement_bars(rows, entries, None, "a")
    assert figure.get_figheight() * style.MM < 230
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][7] == "network 7, integrated gradients"


def test_panels_name_their_criterion_and_have_equal_axes():
    rows = summary_of([[0.1, 0.2, 0.3, 0.4]])
    pairs = rows[(rows["seed"] == "mean") & (rows["criterion"] == "informative")]
    pairs = pairs.assign(criterion="pairwise", mean=[0.9, -0.2, 0.1, 0.2])
    _, figure = barred(pd.concat([rows[rows["criterion"] == "informative"], pairs]), panels="ab")
    assert [axis.get_xlabel().split("\n")[1] for axis in figure.axes] == list(style.CRITERIA.values())
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert figure.axes[0].get_xlim()[0] < -0.2 and figure.axes[0].get_xlim()[1] > 0.9
    _, single = barred(pd.concat([rows[rows["criterion"] == "informative"], pairs]))
    assert single.axes[0].get_xlim() == figure.axes[0].get_xlim()


def test_words_stand_in_place_of_bars_that_there_are_none_of():
    """Maps without signs have an agreement of sizes, in bars; others, of pairs say, have none."""
    rows = summary_of([[0.1, np.nan, np.nan, 0.4]])
    sizes = summary_of([[0.6, 0.7, np.nan, 0.9]]).query("criterion == 'informative'")
    sizes = sizes.assign(criterion="informative_absolute")
    _, figure = barred(pd.concat([rows, sizes]))
    assert words_beside(figure) == ["0.100", "|0.700|, no signs", "no r", "0.400"]
    np.testing.assert_allclose(next(bars_of(figure))[0], [0.1, 0, 0, 0.4])


def test_letters_are_of_the_tests_and_the_largest_mean_has_the_first():
    weights, linear, adversarial, smooth = [(entry["model"], entry["method"]) for entry in ENTRIES]
    tests = pairs_of((smooth, weights), (smooth, linear), (adversarial, weights))
    rows, figure = barred(summary_of([[0.1, 0.2, 0.3, 0.4]]), tests=tests)
    assert list(rows["letters"][rows["panel"] == "a"]) == ["c", "bc", "ab", "a"]
    assert words_beside(figure) == ["0.100 c", "0.200 bc", "0.300 ab", "0.400 a"]
    assert "same letter: no difference at Bonferroni p < .05" in bars.foot(rows.assign(n=3), "subjects")


def test_published_means_are_ticks_at_their_values_in_the_bars_that_they_are_of():
    key = {"criterion": "informative", "conditions": "all", "model_a": "cnn", "method_a": "smoothgrad"}
    rows, figure = barred(summary_of([[0.1, 0.2, 0.3, 0.4]]), published=pd.DataFrame([{**key, "value": "0.7"}]))
    ticks = figure.axes[0].collections[-1].get_segments()
    (tick,) = [segment for segment in ticks if np.shape(segment) == (2, 2) and (segment[:, 0] == 0.7).all()]
    assert tick[:, 1].mean() == pytest.approx(3)
    assert "published mean" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert "ticks: published" in bars.foot(rows.assign(n=3), "subjects")


def test_published_means_of_a_dataset_are_those_of_its_name_with_a_value():
    table = pd.DataFrame(
        [("one two", "value", "pairwise", "0.5"), ("two", "value", "pairwise", "0.6"),
         ("one", "greater", "pairwise", ""), ("one", "value", "accuracy", "1")],
        columns=["dataset", "kind", "criterion", "value"],
    ).assign(conditions="all", model_a="m", method_a="gradient")  # fmt: skip
    assert list(bars.published_means(table, "one")["value"]) == ["0.5"]


def test_the_foot_says_how_many_units_means_are_of_and_what_whiskers_are():
    rows, _ = barred(summary_of([[0.1, np.nan, 0.2, 0.4]]))
    assert bars.foot(rows.assign(n=rows["mean"].notna() * 20), "images").startswith("n = 20 images; whiskers: standard")
    assert bars.foot(rows.assign(n=rows["mean"].notna() * 20 + 3), "subjects").startswith("n = 3 to 23 subjects;")
    assert bars.foot(rows.assign(n=0), "subjects").startswith("n = 0 subjects;")
    told = rows.assign(n=20, se_two_level=0.05, trainings=[3, 4] * (len(rows) // 2))
    assert "standard error over subjects, thin: over these and 3 to 4 trainings" in bars.foot(told, "subjects")


def test_saved_figures_say_what_is_drawn_and_that_data_are_simulated(tmp_path):
    _, figure = barred(summary_of([[0.1, 0.2, 0.3, 0.4]]))
    note = hcp.Options(simulate={}).kind()
    assert note == "simulated data, not HCP"
    paths = [tmp_path / "figure.svg", tmp_path / "figure.png"]
    style.save(figure, paths, note, 50)
    words = text_of(paths[0])
    for entry in ENTRIES:
        assert set(entry_label(entry).split()) <= words
    assert "simulated data, not HCP" in paths[0].read_text(encoding="utf-8")
    assert plt.imread(paths[1]).std() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.png", "figure.svg"]


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("one.svg", "two.svg", "one.png", "two.png"):
        _, figure = barred(summary_of([[0.1, 0.2, 0.3, 0.4]]))
        style.save(figure, [tmp_path / name], "note", 50)
    for suffix in ("svg", "png"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_entry_label_names_the_method_in_words():
    assert [entry_label(entry) for entry in ENTRIES] == [
        "Linear, weights", "Linear, gradient", "CNN adversarial, gradient", "CNN, SmoothGrad"
    ]  # fmt: skip
    assert entry_label({"label": "CNN", "method": "my_own"}) == "CNN, my_own"


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
        panel = images.informative_panel([name], {name: image}, image, [row], "template")
        figure = images.images_figure([panel], "RdBu_r")
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


def test_places_are_those_of_every_run(tmp_path):
    """The layout's solver gives other last digits in each run: no digit is left of which that is true."""
    figure, axes = plt.subplots(3, 4, layout="constrained", figsize=(4, 3))
    for number, axis in enumerate(axes.flat):
        axis.imshow(np.zeros((3, 2 + number % 3)))
    style.save(figure, [tmp_path / "a.svg"], "note", 50)
    for axis in axes.flat:
        corners = axis.get_position(original=True).get_points()
        np.testing.assert_array_equal(corners, np.round(corners, style.PLACES))


DRAW = """
import pathlib, sys
import pandas as pd
from truemap.figures import bars, style
style.start()
entries = [{"model": "m", "method": "gradient", "label": "a_b$ $"}]
row = {"criterion": "pairwise", "conditions": "all", "model": "m", "method": "gradient", "seed": "mean"}
none = ["criterion", "conditions", "model_a", "method_a", "model_b", "method_b", "value", "p_bonferroni"]
none = pd.DataFrame(columns=none)
rows = bars.drawn_bars(pd.DataFrame([{**row, "mean": 0.3, "se": 0.1}]), none, none, entries)
figure = bars.agreement_bars(rows, entries, None, "b")
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


def informative_of(truth, average, rows, called):
    return images.images_figure([images.informative_panel(CLASSES, truth, average, rows, called)], "RdBu_r")


def pairwise_of(truth, rows, called):
    return images.images_figure([images.pairwise_panel(CLASSES, truth, rows, called)], "RdBu_r")


def panels_of(figure, columns):
    """Rows of axes."""
    axes = figure.axes[:-1]  # the last one is the colour bar
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
    figure = images.images_figure(
        [images.pairwise_panel(CLASSES, truth, [images.Row("other", maps, scores_of())], "template")], "RdBu_r"
    )
    _, below = panels_of(figure, 6)
    assert [[text.get_text() for text in axis.texts] for axis in below] == [["no map"]] * 6
    assert not any(axis.images for axis in below)


def test_r_under_a_map_is_of_the_set_asked_for_and_so_is_r_in_figure_1():
    scores = scores_of()
    assert style.r_words(scores, "B", "C", "no_negated") == "r = 7.50"
    truth = {label: np.full((6, 5), float(k)) for k, label in enumerate(CLASSES, 1)}
    rows = [images.Row("NN", image_maps(), scores, "no_negated")]
    informative = images.images_figure(
        [images.informative_panel(CLASSES, truth, np.zeros((6, 5)), rows, "mean map")], "RdBu_r"
    )
    assert [axis.get_xlabel() for axis in panels_of(informative, 4)[2][:3]] == ["r = 7.00", "r = 7.40", "r = 7.80"]
    pairwise = pairwise_of(truth, rows, "mean map")
    assert panels_of(pairwise, 6)[1][0].get_xlabel() == "r = 7.10"


def test_figure_1a_shows_truth_and_mean_maps_with_r_under_each():
    maps, truth = image_maps(), {label: np.full((6, 5), float(k)) for k, label in enumerate(CLASSES, 1)}
    average = np.full((6, 5), 5.0)
    rows = [images.Row("NN, smoothgrad", maps, scores_of()), images.Row("NN", maps, scores_of())]
    figure = informative_of(truth, average, rows, "mean map")
    panels = panels_of(figure, 4)
    assert [axis.get_title() for axis in panels[0]] == ["A", "B", "C", "average"]
    assert [line[0].get_ylabel() for line in panels] == ["mean map", "mean map −\naverage", "NN,\nsmoothgrad", "NN"]
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
    figure = images.images_figure(
        [images.pairwise_panel(CLASSES, truth, [images.Row("NN", maps, scores_of())], "template")], "RdBu_r"
    )
    pairs = [("A", "B"), ("A", "C"), ("B", "A"), ("B", "C"), ("C", "A"), ("C", "B")]
    above, below = panels_of(figure, 6)
    assert [axis.get_title() for axis in above] == [f"{a} → {b}" for a, b in pairs]
    for (a, b), top, bottom in zip(pairs, above, below, strict=True):
        np.testing.assert_array_equal(top.images[0].get_array(), truth[b] - truth[a])
        np.testing.assert_array_equal(bottom.images[0].get_array(), maps[a, b])
        assert bottom.get_xlabel() == f"r = {(3 * CLASSES.index(a) + CLASSES.index(b)) / 10:.2f}"


def test_colours_of_an_image_are_symmetric_about_zero():
    maps, truth = image_maps(), {label: np.zeros((6, 5)) for label in CLASSES}
    figure = images.images_figure(
        [images.pairwise_panel(CLASSES, truth, [images.Row("NN", maps, scores_of())], "template")], "RdBu_r"
    )
    for axis in figure.axes[:-1]:
        low, high = axis.images[0].get_clim()
        peak = np.abs(axis.images[0].get_array()).max()
        assert (low, high) == (-(peak or 1.0), peak or 1.0)


def ball(shape, radius=8.0):
    """A brain: a ball in the middle."""
    middle = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    return (middle**2).sum(axis=0) < radius**2


def test_glass_brains_show_a_map_a_place_and_their_words(tmp_path):
    """However small its values, a map is red where positive and blue where negative; an empty place stays empty."""
    shape, affine = hcp_grid(8)
    grid, values = Grid(ball(shape), affine), np.zeros(shape)
    values[10:13, 13:16, 10:13] = 1e-12
    rows = [
        brains.Row("a", "truth", [brains.Brain("WM", values.ravel()), brains.true_map("REST", None)]),
        brains.Row("b", "CNN, SmoothGrad", [brains.compared(None, None, grid.mask), brains.Brain("", -values.ravel())]),
    ]
    figure = brains.glass_brains(rows, grid, "RdBu_r")
    drawn_words = {text.get_text() for text in figure.findobj(plt.Text)}
    assert {"truth", "CNN,\nSmoothGrad", "WM", "no map", "no truth: it is constant", "a", "b"} <= drawn_words
    # Left and right on every brain seen from behind or above.
    assert sum(text.get_text() == "L" for text in figure.findobj(plt.Text)) == 2 * 2
    images_of = [[axis.images for axis in figure.axes[start : start + 3]] for start in range(0, 12, 3)]
    assert [sum(map(len, three)) for three in images_of] == [3, 0, 0, 3]
    for three, sign in ((images_of[0], 1), (images_of[3], -1)):
        for (image,) in three:
            seen = image.get_array()
            assert np.nanmax(sign * seen) == pytest.approx(1) and image.get_clim() == (-1, 1)
    style.save(figure, [tmp_path / "brains.png"], "simulated data, not HCP", 40)
    assert plt.imread(tmp_path / "brains.png").std() > 0


def test_projections_show_the_largest_size_along_the_line_of_sight_inside_the_brain_only():
    shape, affine = hcp_grid(8)
    grid, values = Grid(ball(shape), affine), np.full(shape, 0.1)
    inside, outside = (11, 14, 11), (0, 0, 0)
    values[inside], values[outside] = -3.0, 50.0
    place = affine[:3, :3] @ inside + affine[:3, 3]
    for seen, (_, _, right, up) in zip(brains.projections(values.ravel(), grid), brains.VIEWS, strict=True):
        row, column = np.unravel_index(np.nanargmax(np.abs(seen)), seen.shape)
        found = [brains.BOX[axis][0] + brains.FINE * (number + 0.5) for axis, number in ((right, column), (up, row))]
        np.testing.assert_allclose(found, place[[right, up]], atol=brains.FINE)
        # Between voxels it is interpolated: near the peak, and never what lies outside.
        assert -3.0 <= np.nanmin(seen) < -1.5 and np.nanmax(seen) == pytest.approx(0.1)
        assert np.isnan(seen[0, 0])


def test_r_below_a_brain_is_scipys_over_the_voxels_that_count():
    random = np.random.default_rng(0)
    values, truth, inside = random.standard_normal(50), random.standard_normal(50), np.arange(50) % 3 > 0
    r = scipy.stats.pearsonr(values[inside], truth[inside]).statistic
    assert brains.r_of(values, truth, inside) == f"r = {r:.2f}"
    size = scipy.stats.pearsonr(np.abs(values[inside]), np.abs(truth[inside])).statistic
    assert brains.r_of(values, truth, inside, signed=False) == f"|r| = {size:.2f}"
    assert brains.r_of(values, None, inside) == brains.r_of(np.ones(50), truth, inside) == "no r"


def test_the_table_of_brains_says_where_each_map_is():
    rows = [brains.Row("b", "truth", [brains.Brain("x", np.array([1.0, -2.0])), brains.Brain("y", None, "no map")]),
            brains.Row("", "CNN", [brains.Brain("", np.array([0.5, 0.1]), "r = 0.10")] * 2)]  # fmt: skip
    table = brains.brain_table(rows, ["A", "B"])
    assert list(table["panel"]) == ["b"] * 4 and list(table["column"]) == ["A", "B"] * 2
    np.testing.assert_array_equal(table["largest"], [2.0, np.nan, 0.5, 0.5])


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


def test_references_stand_in_words_below_the_entries_in_one_grey_without_letters():
    sets = ("all", "no_negated")
    rows = with_references(summary_of([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]], sets), sets)
    table, figure = barred(rows, ["random", "input", "group_truth"], tests=pairs_of())
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[4:] == ["noise", "input itself", "group average"]
    (lengths, faces), _ = bars_of(figure)
    np.testing.assert_allclose(lengths[4:], [0.01, 0.35, 0.0])
    assert set(faces[4:]) == {to_rgb(palette.KNOWS_NOTHING)} and to_rgb(palette.KNOWS_NOTHING) not in faces[:4]
    assert words_beside(figure)[4:7] == ["0.010", "0.350", "no r"]
    assert (table["letters"][table["model"] == "reference"] == "").all()


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
