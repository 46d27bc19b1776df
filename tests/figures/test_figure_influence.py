import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from truemap.data.grid import Grid
from truemap.evaluation.influence import influence_tables
from truemap.figures import style
from truemap.figures.influence import GOES, STAYS, drawn_influence, foot, influence_figure

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")

LABELS = {"plain": "NN", "robust": "NN robust"}
BOUNDS = (0.07, 0.14)
IMAGE = Grid(np.ones((6, 8, 1), bool), np.eye(4))
#: x runs to the left; slices of 4 mm from -20 mm.
BRAIN = Grid(np.ones((5, 6, 7), bool), np.array([[-4.0, 0, 0, 8], [0, 4, 0, -8], [0, 0, 4, -20], [0, 0, 0, 1]]))


def example(grid=IMAGE, count=5, attacked=True):
    draws, rows = np.random.default_rng(0), []
    for role, ranks in (("test", 1), ("attacked", 1), ("before", count), ("after", count)):
        for rank in range(ranks):
            values = draws.standard_normal(grid.mask.size).astype(np.float32)
            single = role in ("test", "attacked")
            rows.append(
                (role, 0 if single else rank + 1, f"{role[0]}{rank}", np.nan if single else -1.5 + rank, values)
            )
    columns = ["role", "rank", "label", "influence", "map"]
    stays = [rank == 2 for *_, rank, _, _, _ in rows]
    told = {
        "model": "plain",
        "stays": stays,
        "seed": 0,
        "epsilon": 0.14,
        "spearman": 0.4,
        "overlap": 2,
        "attacked": attacked,
    }
    return pd.DataFrame(rows, columns=columns).assign(**told)


def summary():
    draws, rows = np.random.default_rng(1), []
    for model in LABELS:
        for attack, change in (("gradient_sign", 0.5), ("random_sign", 0.1)):
            for epsilon in BOUNDS:
                rows += [
                    (model, attack, epsilon, k, 1 - change * epsilon + 0.01 * draws.standard_normal(), 5 - k % 3)
                    for k in range(9)
                ]
    columns = ["model", "attack", "epsilon", "sample", "spearman", "overlap"]
    table = pd.DataFrame(rows, columns=columns).assign(
        seed=0, subject="", label="a", condition="a", negated=False, reason="", slope=0.0, refit_agreement=1.0
    )
    return influence_tables(table.assign(attacked=table["sample"] > 0), 5)[0]


SUMMARY = summary()


def axes_of(figure):
    return {axis.get_gid(): axis for axis in figure.axes if axis.get_gid()}


@pytest.mark.parametrize("count", [5, 3, 7])
def test_each_map_stands_with_its_class_and_influence_at_one_scale(count):
    maps = example(count=count)
    axes = axes_of(influence_figure(maps, SUMMARY, IMAGE, LABELS, count, "RdBu_r"))
    shown = min(count, 5)
    for role, own in (("before", "test"), ("after", "attacked")):
        for rank in range(shown + 1):
            name = own if rank == 0 else role
            (row,) = maps[(maps["role"] == name) & (maps["rank"] == rank)].to_dict("records")
            axis = axes[f"{name}-{rank}"]
            assert axis.spines["left"].get_linewidth() == (STAYS if rank == 2 else GOES)
            np.testing.assert_array_equal(axis.images[0].get_array(), row["map"].reshape(6, 8))
            words = axis.get_xlabel().split("\n")
            assert words[0] == row["label"] and (
                rank == 0 or words[1] == f"I = {row['influence']:.2g}".replace("-", "−")
            )
    assert len({axis.images[0].get_clim() for axis in axes.values() if axis.images}) == 1
    assert len([axis for axis in axes.values() if axis.images]) == 2 * (shown + 1)


def test_volumes_are_slices_through_what_is_largest_with_left_to_the_left():
    maps = example(BRAIN)
    volume = np.zeros(BRAIN.shape, np.float32)
    volume[4, 5, 3] = 9.0  # x = -8 mm: left; y = 12 mm: in front; z = -8 mm
    maps.at[0, "map"] = volume.ravel()
    figure = influence_figure(maps, SUMMARY, BRAIN, LABELS, 5, "RdBu_r")
    image = np.asarray(axes_of(figure)["test-0"].images[0].get_array())
    assert image.shape == (6, 5) and image[0, 0] == 9.0 and (image != 0).sum() == 1
    assert "axial slices at z = −8 mm, left is left" in foot(maps, SUMMARY, BRAIN, LABELS)


def test_curves_are_the_means_with_their_intervals_a_colour_a_training():
    axes = axes_of(influence_figure(example(), SUMMARY, IMAGE, LABELS, 5, "RdBu_r"))
    means = SUMMARY[SUMMARY["seed"] == "mean"]
    colours = {}
    for measure in ("spearman", "overlap"):
        assert len(axes[measure].containers) == 4
        for container in axes[measure].containers:
            line, _, (whiskers,) = container.lines
            label, _, random = container.get_label().partition(", ")
            model = {words: name for name, words in LABELS.items()}[label]
            own = means[(means["measure"] == measure) & (means["model"] == model)].sort_values("epsilon")
            own = own[own["attack"] == ("random_sign" if random else "gradient_sign")]
            np.testing.assert_allclose(np.asarray(line.get_xdata(), float), BOUNDS, rtol=0.1)
            assert line.get_linestyle() == (":" if random else "-")
            np.testing.assert_allclose(line.get_ydata().astype(float), own["mean"])
            ends = np.array([segment[:, 1] for segment in whiskers.get_segments()])
            np.testing.assert_allclose(ends, own[["ci_low", "ci_high"]])
            colours.setdefault(model, set()).add(line.get_color())
    assert all(len(found) == 1 for found in colours.values()) and colours["plain"] != colours["robust"]


def test_the_table_has_all_that_is_drawn_but_voxels_and_no_one():
    rows = drawn_influence(example(count=7), SUMMARY)
    assert (rows["panel"] == "a").sum() == 12 and set(rows["panel"]) == {"a", "b", "c"}
    assert not {"map", "subject", "sample"} & set(rows.columns)
    b = rows[rows["panel"] == "b"]
    assert set(b["measure"]) == {"spearman"} and len(b) == 2 * 2 * 2


def test_the_foot_says_what_came_back_and_of_how_many():
    words = foot(example(), SUMMARY, IMAGE, LABELS)
    assert "a: NN, the test map of median rank correlation under the attack of 0.14 sd, and" in words
    assert "n = 9 subjects (or images)" in words and "8 of 72 attacks would have changed the prediction" in words
    assert "axial" not in words
    assert "which came back as it was" in foot(example(attacked=False), SUMMARY, IMAGE, LABELS)


@pytest.mark.parametrize("grid", [IMAGE, BRAIN], ids=["images", "volumes"])
def test_printed_it_is_as_wide_as_two_columns_with_letters_of_six_points_that_do_not_overlap(grid, tmp_path):
    figure = influence_figure(example(grid), SUMMARY, grid, LABELS, 5, "RdBu_r")
    style.save(figure, [tmp_path / "influence.png"], "simulated data, not HCP", 100)
    assert figure.get_figwidth() * style.MM == pytest.approx(style.WIDE)
    letters = [text for text in figure.findobj(plt.Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in letters) >= style.SMALL
    whole = figure.bbox
    for text in letters:
        box = text.get_window_extent()
        assert whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1 and whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1
    below = [axis.xaxis.label.get_window_extent() for axis in figure.axes if axis.images]
    assert not any(a.overlaps(b) for k, a in enumerate(below) for b in below[k + 1 :])
