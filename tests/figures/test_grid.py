import itertools
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from pages import asked_for

from truemap.config.names import NO_MAP, NO_NETWORK, NO_SIGNS
from truemap.evaluation.statistics import compare, summarise
from truemap.figures import style
from truemap.figures.cells import cells_of
from truemap.figures.grid import drawn_grid, foot, grid_figure, winner
from truemap.figures.grid_table import grid_page
from truemap.figures.words import WORDS, in_words

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")

MODELS = {"linear": "Linear", "nn": "NN", "cnn": "CNN adversarial"}
METHODS = ["gradient", "smoothgrad", "lrp"]
#: linear has no lrp; the smoothgrad of cnn is the best of all.
MEANS = {
    ("linear", "gradient"): 0.101, ("linear", "smoothgrad"): 0.099,
    ("nn", "gradient"): -0.204, ("nn", "smoothgrad"): 0.306, ("nn", "lrp"): np.nan,
    ("cnn", "gradient"): 0.412, ("cnn", "smoothgrad"): 0.711, ("cnn", "lrp"): 0.509,
}  # fmt: skip
REFERENCES = {"random": 0.004, "input": 0.55, "group_truth": 0.805}
ACCURACIES = {
    ("accuracy", "linear", ""): 0.911, ("accuracy", "nn", ""): 0.822, ("accuracy", "cnn", ""): 0.733,
    ("robust_accuracy", "linear", "pgd"): 0.144, ("robust_accuracy", "nn", "pgd"): 0.255,
    ("robust_accuracy", "cnn", "pgd"): 0.677, ("robust_accuracy", "cnn", "autoattack"): 0.588,
}  # fmt: skip
ENTRIES = [{"model": m, "method": method, "label": MODELS[m]} for m, method in MEANS]
PAIRS = ["model_a", "method_a", "model_b", "method_b", "difference", "significant"]


def summary_of():
    """Means of both criteria (pairwise is less by 0.05), of references and accuracies, among rows of single seeds."""
    values = {**MEANS, **{("reference", name): mean for name, mean in REFERENCES.items()}}
    rows = [
        (criterion, "all", "full", *entry, "mean", mean - shift)
        for criterion, shift in (("informative", 0.0), ("pairwise", 0.05), ("informative_absolute", 0.3))
        for entry, mean in values.items()
    ]
    rows += [(criterion, "all", "", *entry, "mean", mean) for (criterion, *entry), mean in ACCURACIES.items()]
    rows += [(*row[:5], "0", -5.0) for row in rows]
    columns = ["criterion", "conditions", "truth", "model", "method", "seed", "mean"]
    return pd.DataFrame(rows, columns=columns).assign(reason="").sample(frac=1, random_state=0)


def comparisons_of(better=(), model="nn", methods=METHODS):
    """Pairs of a model's methods: those in `better`, (winner, loser), are significant."""
    rows = []
    for a, b in itertools.combinations(methods, 2):
        sign = next((1 if pair == (a, b) else -1 for pair in better if set(pair) == {a, b}), 0)
        rows.append((model, a, model, b, 0.1 * (sign or 1), bool(sign)))
    return pd.DataFrame(rows, columns=PAIRS).assign(criterion="informative")


def drawn(comparisons=None, criterion="informative", attack="pgd", references=tuple(REFERENCES), summary=None):
    comparisons = comparisons_of(methods=[]) if comparisons is None else comparisons
    summary = summary_of() if summary is None else summary
    return grid_figure(summary, comparisons, criterion, ENTRIES, references, attack, "viridis")


def cells(axis):
    """(row, column) -> text."""
    return {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axis.texts}


def frames(figure):
    """(model, method) of each frame."""
    axis = figure.axes[0]
    places = [(patch.get_y() + patch.get_height() / 2, patch.get_x() + patch.get_width() / 2) for patch in axis.patches]
    return [(list(MODELS)[round(y)], METHODS[round(x)]) for y, x in places]


# The winner of a row


def test_a_method_wins_that_is_significantly_better_than_each_other():
    for best in METHODS:
        better = [(best, other) for other in METHODS if other != best]
        assert winner(comparisons_of(better), "nn") == best


def test_no_method_wins_while_one_of_its_pairs_is_not_significant():
    assert winner(comparisons_of([("gradient", "lrp")]), "nn") is None
    assert winner(comparisons_of([("gradient", "lrp"), ("smoothgrad", "lrp")]), "nn") is None
    assert winner(comparisons_of(), "nn") is None


def test_the_pair_of_the_losers_does_not_matter():
    better = [("smoothgrad", "gradient"), ("smoothgrad", "lrp")]
    assert winner(comparisons_of(better), "nn") == "smoothgrad"
    assert winner(comparisons_of([*better, ("lrp", "gradient")]), "nn") == "smoothgrad"


def test_methods_that_beat_each_other_in_a_circle_do_not_win():
    assert (
        winner(comparisons_of([("gradient", "smoothgrad"), ("smoothgrad", "lrp"), ("lrp", "gradient")]), "nn") is None
    )


def test_a_single_method_wins_over_nothing():
    assert winner(comparisons_of(methods=["gradient"]), "nn") is None
    assert winner(comparisons_of([("gradient", "lrp")], methods=["gradient", "lrp"]), "nn") == "gradient"


def test_pairs_with_other_models_and_references_are_not_asked():
    rows = comparisons_of([("gradient", "smoothgrad"), ("gradient", "lrp")])
    others = [
        ("nn", "gradient", "cnn", "gradient", -0.3, True),
        ("nn", "gradient", "reference", "input", -0.3, True),
        ("cnn", "lrp", "cnn", "gradient", 0.3, True),
    ]
    both = pd.concat([rows, pd.DataFrame(others, columns=PAIRS)])
    assert winner(both, "nn") == "gradient"
    assert winner(both, "cnn") == "lrp"
    assert winner(both, "reference") is None


def test_a_winner_is_what_the_tests_say():
    """From the tables of truemap.evaluation.statistics, on units of which one method is better by far."""
    random = np.random.default_rng(0)
    units = pd.concat(
        pd.DataFrame({"unit": [f"s{k}" for k in range(20)], "value": random.normal(mean, 0.05, 20)}).assign(
            criterion="informative", conditions="all", truth="full", model=model, method=method, seed=0, missing=0,
            reason="",
        )
        for (model, method), mean in {
            ("nn", "gradient"): 0.1, ("nn", "smoothgrad"): 0.5, ("nn", "lrp"): 0.1,
            ("cnn", "gradient"): 0.5, ("cnn", "smoothgrad"): 0.5, ("cnn", "lrp"): 0.1, ("reference", "input"): 0.9,
        }.items()
    )  # fmt: skip
    found = compare(units, reference="reference")
    assert [winner(found, model) for model in ("nn", "cnn")] == ["smoothgrad", None]
    assert frames(drawn(found, summary=summarise(units), references=["input"])) == [("nn", "smoothgrad")]


# The heat map


def test_what_a_model_of_given_maps_lacks_stands_in_words():
    """Without signs: sizes alone; without maps of pairs: no r; without a network: no accuracies."""
    rows = [
        ("informative", "full", "mine", "gradient", np.nan, NO_SIGNS),
        ("informative_absolute", "full", "mine", "gradient", 0.37, ""),
        ("pairwise", "full", "mine", "gradient", np.nan, NO_MAP),
        ("pairwise_absolute", "full", "mine", "gradient", np.nan, NO_MAP),
        ("accuracy", "", "mine", "", np.nan, NO_NETWORK),
        ("robust_accuracy", "", "mine", "pgd", np.nan, NO_NETWORK),
    ]
    columns = ["criterion", "truth", "model", "method", "mean", "reason"]
    table = pd.DataFrame(rows, columns=columns).assign(
        conditions="all", seed="mean", n=0, se=np.nan, ci_low=np.nan, ci_high=np.nan, share=np.nan
    )
    entries = [{"model": "mine", "method": "gradient", "label": "Mine"}]
    for criterion, cell in (("informative", "|0.37|"), ("pairwise", "no r")):
        figure = grid_figure(table, comparisons_of(methods=[]), criterion, entries, (), "pgd", "viridis")
        assert cells(figure.axes[0]) == {(0, 0): cell}
        assert cells(figure.axes[1]) == {(0, 0): "no\nnetwork", (0, 1): "no\nnetwork"}
    page = page_rows(grid_page(table.assign(dataset="d", data="maps"), "pgd", None))
    assert {(row["accuracy"], row["robust_accuracy"]) for row in page} == {(NO_NETWORK, NO_NETWORK)}
    assert "nan" not in {value.lower() for row in page for value in row.values()}


@pytest.mark.parametrize(("criterion", "shift"), [("informative", 0.0), ("pairwise", 0.05)])
def test_each_cell_holds_its_mean_or_that_there_is_none_and_cells_without_a_row_are_blank(criterion, shift):
    """And below it the agreement of sizes, where there is one: here of informative means only."""
    figure = drawn(criterion=criterion)
    axis = figure.axes[0]
    expected = {
        (list(MODELS).index(model), METHODS.index(method)): f"{mean - shift:.2f}"
        + (f"\n|{mean - 0.3:.2f}|" if criterion == "informative" else "")
        for (model, method), mean in MEANS.items()
        if np.isfinite(mean)
    }
    assert len(expected) == 7
    assert cells(axis) == {**{at: text.replace("-", "−") for at, text in expected.items()}, (1, 2): "no r"}
    values = np.ma.filled(axis.images[0].get_array(), np.nan)
    for row, model in enumerate(MODELS):
        wanted = [MEANS.get((model, method), np.nan) - shift for method in METHODS]
        np.testing.assert_allclose(values[row], wanted)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["gradient", "SmoothGrad", "lrp"]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(MODELS.values())
    words = {"informative": "class-informative activation", "pairwise": "pairwise class differences"}
    assert figure.axes[-1].get_ylabel() == f"mean r with\n{words[criterion]}"


@pytest.mark.parametrize("attack", ["pgd", "autoattack"])
def test_accuracies_stand_beside_the_agreement_those_of_the_attack_shown(attack):
    side = drawn(attack=attack).axes[1]
    expected = {(row, 0): f"{ACCURACIES['accuracy', model, '']:.2f}" for row, model in enumerate(MODELS)}
    for row, model in enumerate(MODELS):
        if ("robust_accuracy", model, attack) in ACCURACIES:
            expected[row, 1] = f"{ACCURACIES['robust_accuracy', model, attack]:.2f}"
    assert cells(side) == expected
    assert [label.get_text() for label in side.get_xticklabels()] == ["accuracy", "robust\naccuracy"]


@pytest.mark.parametrize(("criterion", "shift"), [("informative", 0.0), ("pairwise", 0.05)])
def test_references_are_lines_in_the_colour_bar_at_their_values(criterion, shift):
    bar = drawn(criterion=criterion).axes[-1]
    lines = [line for line in bar.lines if len(set(line.get_ydata())) == 1]
    np.testing.assert_allclose(sorted(line.get_ydata()[0] for line in lines), np.array([*REFERENCES.values()]) - shift)
    named = {text.get_text(): text.xy[1] for text in bar.texts}
    assert named == {in_words(name): pytest.approx(mean - shift) for name, mean in REFERENCES.items()}


def test_colours_reach_from_zero_or_less_to_the_largest_mean_and_every_reference():
    image = drawn().axes[0].images[0]
    assert image.get_clim() == (-0.204, 0.805)
    assert drawn(references=[]).axes[0].images[0].get_clim() == (-0.204, 0.711)
    positive = summary_of().assign(mean=lambda table: table["mean"].abs())
    assert drawn(summary=positive).axes[0].images[0].get_clim() == (0.0, 0.805)


def test_a_reference_without_a_mean_has_no_line():
    summary = summary_of()
    summary.loc[summary["method"] == "group_truth", "mean"] = np.nan
    assert {text.get_text() for text in drawn(summary=summary).axes[-1].texts} == {"noise", "input itself"}


def test_frames_mark_the_winner_of_each_row_and_no_other():
    rows = [
        comparisons_of([("smoothgrad", "gradient"), ("smoothgrad", "lrp")], "nn"),
        comparisons_of([("smoothgrad", "gradient")], "cnn"),
        comparisons_of([("gradient", "smoothgrad")], "linear", ["gradient", "smoothgrad"]),
    ]
    assert frames(drawn(pd.concat(rows))) == [("linear", "gradient"), ("nn", "smoothgrad")]
    assert frames(drawn(pd.concat(rows), criterion="pairwise")) == []
    assert frames(drawn()) == []


def test_text_is_light_on_dark_cells_and_dark_on_light_ones():
    texts = {text.get_text().split("\n")[0]: to_rgba(text.get_color()) for text in drawn().axes[0].texts}
    assert texts["−0.20"] == to_rgba("white")
    assert texts["0.71"] == to_rgba("black")


def test_a_grid_without_attacks_or_references_of_one_model_is_drawn(tmp_path):
    entries = [entry for entry in ENTRIES if entry["model"] == "cnn"]
    summary = summary_of().query("model == 'cnn' and criterion == 'informative'")
    figure = grid_figure(summary, comparisons_of(methods=[]), "informative", entries, [], None, "viridis")
    assert cells(figure.axes[0]) == {(0, 0): "0.41", (0, 1): "0.71", (0, 2): "0.51"}
    assert len(figure.axes[1].texts) == 0
    style.save(figure, [tmp_path / "grid.svg", tmp_path / "grid.png"], "simulated data, not HCP", 50)
    text = (tmp_path / "grid.svg").read_text(encoding="utf-8")
    assert "simulated data, not HCP" in text and "0.71" in text
    assert plt.imread(tmp_path / "grid.png").std() > 0


def test_a_grid_that_would_be_mostly_empty_is_a_list_of_its_entries():
    few = [("linear", "gradient"), ("nn", "smoothgrad"), ("cnn", "lrp"), ("cnn", "gradient")]
    entries = [{"model": m, "method": k, "label": MODELS[m]} for m, k in few]
    assert cells_of(ENTRIES).columns == ["gradient", "SmoothGrad", "lrp"] and len(cells_of(ENTRIES).rows) == 3
    tests = comparisons_of([("lrp", "gradient")], "cnn", ["lrp", "gradient"])
    figure = grid_figure(summary_of(), tests, "informative", entries, (), "pgd", "viridis")
    axis, side = figure.axes[:2]
    names = ["Linear, gradient", "NN, SmoothGrad", "CNN adversarial, lrp", "CNN adversarial,\ngradient"]
    assert [label.get_text() for label in axis.get_yticklabels()] == names
    shown = [cells(axis)[row, 0].split("\n")[0] for row in range(4)]
    assert shown == [f"{MEANS[entry]:.2f}" for entry in few]
    assert [cells(side)[row, 0] for row in range(4)] == ["0.91", "0.82", "0.73", "0.73"]
    (patch,) = axis.patches
    assert round(patch.get_y() + patch.get_height() / 2) == 2


def test_the_numbers_of_a_grid_are_those_of_its_entries():
    table = drawn_grid(summary_of(), "informative", ENTRIES, "pgd")
    assert list(zip(table["model"], table["method"], strict=True)) == list(MEANS)
    np.testing.assert_allclose(table["mean"], list(MEANS.values()))
    np.testing.assert_allclose(table["mean_of_sizes"], np.array([*MEANS.values()]) - 0.3)
    assert list(table["accuracy"][:2]) == [0.911, 0.911] and table["robust_accuracy"].iloc[2] == 0.255


def test_the_foot_says_what_frames_are_where_there_are_any():
    summary = summary_of().assign(n=20)
    assert (
        foot(summary, comparisons_of(), "informative", "images")
        == "n = 20 images; |r|: of sizes without signs; red: maps that know nothing of the network"
    )
    tests = comparisons_of([("gradient", "smoothgrad"), ("gradient", "lrp")])
    assert "frame: better than each other way to explain the model" in foot(summary, tests, "informative", "subjects")


# The table


def whole_summary(data="simulated data, not HCP"):
    """As statistics writes it: two truths, and two condition sets."""
    every = summary_of()
    agreement = every["criterion"].str.startswith(("informative", "pairwise"))
    parts = []
    for conditions, truth, shift in (("all", "full", 0), ("all", "leave_out", 0.02), ("no_negated", "full", 0.04)):
        part = every[agreement]
        parts.append(part.assign(conditions=conditions, truth=truth, mean=part["mean"] - shift))
    accuracy = every[~agreement]
    parts += [accuracy, accuracy.assign(conditions="no_negated", mean=accuracy["mean"] - 0.1)]
    table = pd.concat(parts, ignore_index=True)
    extra = {"n": 88, "se": 0.011, "ci_low": table["mean"] - 0.022, "ci_high": table["mean"] + 0.022, "missing": 0}
    table = table.assign(share=table["mean"] / 0.805, **extra)
    table.insert(0, "data", data)
    table.insert(0, "dataset", "brains")
    return table


def page_rows(page):
    """Rows of the page's table: column -> text."""
    head, *lines = re.findall(r"<tr.*?>(.*?)</tr>", page, re.DOTALL)
    names = re.findall(r"<th[^>]*>(.*?)</th>", head)
    return [dict(zip(names, re.findall(r"<td>(.*?)</td>", line), strict=True)) for line in lines]


def test_page_holds_a_row_for_every_mean_with_its_accuracies():
    rows = page_rows(grid_page(whole_summary(), "pgd", "group_truth"))
    assert len(rows) == 3 * 3 * (8 + 3)
    (found,) = [
        row for row in rows
        if (row["model"], row["method"], row["criterion"], row["conditions"], row["truth"])
        == ("cnn", "smoothgrad", "pairwise", "all", "leave_out")
    ]  # fmt: skip
    mean = 0.711 - 0.05 - 0.02
    assert {key: found[key] for key in list(found)[5:]} == {
        "n": "88", "mean": f"{mean:.3f}", "se": "0.011", "ci_low": f"{mean - 0.022:.3f}",
        "ci_high": f"{mean + 0.022:.3f}", "share of group_truth": f"{mean / 0.805:.3f}", "accuracy": "0.733",
        "robust_accuracy": "0.677",
    }  # fmt: skip
    assert not any(row["mean"].startswith("-5") for row in rows)


def test_accuracies_beside_a_row_are_of_its_condition_set_and_of_the_attack_asked_for():
    rows = page_rows(grid_page(whole_summary(), "autoattack", "group_truth"))
    shown = {(row["model"], row["conditions"]): (row["accuracy"], row["robust_accuracy"]) for row in rows}
    assert shown["cnn", "all"] == ("0.733", "0.588")
    assert shown["cnn", "no_negated"] == ("0.633", "0.488")
    assert shown["nn", "all"] == ("0.822", "")
    assert shown["reference", "all"] == ("", "")


def test_measures_of_maps_stand_beside_the_agreement_with_their_direction():
    rows = [
        ("complexity", "sparseness", "higher", "cnn", "smoothgrad", "mean", 0.4321),
        ("complexity", "sparseness", "higher", "cnn", "smoothgrad", "0", 9.0),
        ("removal", "morf", "lower", "cnn", "smoothgrad", "mean", 0.2),
        ("removal-random", "morf", "lower", "cnn", "smoothgrad", "mean", 0.3),
        ("removal", "morf", "lower", "mine", "maps", "mean", np.nan),
    ]
    measures = pd.DataFrame(rows, columns=["metric", "measure", "direction", "model", "method", "seed", "mean"])
    page = grid_page(whole_summary(), "pgd", "group_truth", measures=measures)
    beside = ["sparseness (higher)", "morf of removal (lower)", "morf of removal-random (lower)"]
    told = {(r["model"], r["method"]): [r[name] for name in beside] for r in page_rows(page)}
    assert told["cnn", "smoothgrad"] == ["0.432", "0.200", "0.300"] and told["reference", "input"] == ["", "", ""]
    assert len(page_rows(page)) == 3 * 3 * (8 + 3) and "need no truth" in page
    assert "need no truth" not in grid_page(whole_summary(), "pgd", "group_truth")


def test_page_leaves_null_means_blank():
    rows = page_rows(grid_page(whole_summary(), "pgd", "group_truth"))
    null = [row for row in rows if (row["model"], row["method"]) == ("nn", "lrp")]
    assert {row["mean"] for row in null} == {""}
    assert "nan" not in {value.lower() for row in rows for value in row.values()}


def test_page_warns_first_with_the_means_of_references_and_the_best_map():
    page = grid_page(whole_summary(), "pgd", "group_truth")
    said = page[page.index("Read this first") : page.index("<table")]
    for truth, shift in (("truth of all maps", 0.0), ("truth without the map explained", 0.02)):
        for criterion, lower in (("class-informative activation", 0.0), ("pairwise class differences", 0.05)):
            down = shift + lower
            (line,) = re.findall(rf"<li>{criterion}, {truth}: (.*?)</li>", said)
            for name, mean in REFERENCES.items():
                assert f"{WORDS[name]} {mean - down:z.3f}" in line
            assert line.endswith(f"best map {0.711 - down:.3f}")
    assert said.count("<li>") == 4


def test_page_warns_of_the_condition_set_that_figures_show():
    page = grid_page(whole_summary(), "pgd", "group_truth", "no_negated")
    said = page[page.index("Read this first") : page.index("<table")]
    assert said.count("<li>") == 2
    assert f"best map {0.711 - 0.04:.3f}" in said
    assert page_rows(page) == page_rows(grid_page(whole_summary(), "pgd", "group_truth"))


def test_page_names_the_dataset_and_that_its_data_are_simulated():
    page = grid_page(whole_summary(), "pgd", "group_truth")
    for tag in ("title", "h1"):
        (words,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page)
        assert "brains" in words and "simulated data, not HCP" in words
    assert "simulated" not in grid_page(whole_summary("HCP S1200"), "pgd", "group_truth")


def test_page_can_be_sorted_and_needs_nothing_from_outside():
    page = grid_page(whole_summary(), "pgd", "group_truth")
    assert page.count("<table") == 1
    assert "<thead>" in page and "<tbody>" in page
    script = page[page.index("<script>") : page.index("</script>")]
    assert "onclick" in script and "sort(" in script
    assert page.index("</table>") < page.index("<script>")
    assert not asked_for(page)


def test_page_without_a_group_attack_or_references():
    summary = whole_summary().query("model != 'reference' and criterion != 'robust_accuracy'").assign(share=np.nan)
    rows = page_rows(grid_page(summary, None, None))
    assert len(rows) == 3 * 3 * 8
    assert {row["share"] for row in rows} == {""}
    assert "robust_accuracy" not in rows[0]
    assert rows[0]["accuracy"]


# Trainings


@pytest.mark.parametrize(("holds", "style_of"), [(True, "-"), (False, ":")])
def test_a_frame_is_dotted_where_the_difference_holds_for_these_trainings_only(holds, style_of):
    best = METHODS[0]
    comparisons = comparisons_of([(best, other) for other in METHODS[1:]])
    comparisons = comparisons.assign(p_two_level=0.01, significant_two_level=comparisons["significant"] & holds)
    summary = summary_of()
    summary["sd_trainings"] = np.where(summary["model"] == "nn", 0.07, np.nan)
    figure = drawn(comparisons, summary=summary)
    (frame,) = figure.axes[0].patches
    assert frame.get_linestyle() == {"-": "-", ":": ":"}[style_of] and frames(figure) == [("nn", best)]
    row = list(MODELS).index("nn")
    spread = {at: text for at, text in cells(figure.axes[0]).items() if "±0.07" in text}
    assert spread and {at[0] for at in spread} == {row}
