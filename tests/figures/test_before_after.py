import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from held import most_held
from matplotlib import pyplot as plt

from truemap.data.grid import Grid
from truemap.figures import style
from truemap.figures.before_after import before_after_figure, drawn_maps, foot

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")

LABELS = {"plain": "NN", "robust": "NN robust"}
ATTACKS = ("top_k", "random_sign")
IMAGE = Grid(np.ones((6, 8, 1), bool), np.eye(4))
#: x runs to the left; slices of 4 mm from -20 mm.
BRAIN = Grid(np.ones((5, 6, 7), bool), np.array([[-4.0, 0, 0, 8], [0, 4, 0, -8], [0, 0, 4, -20], [0, 0, 0, 1]]))


def tables(grid=IMAGE, kept=True):
    """Return measures of two samples and two bounds, and the maps of the first sample, of two networks."""
    draws, rows, maps = np.random.default_rng(0), [], []
    for model in LABELS:
        before = draws.standard_normal(grid.mask.size).astype(np.float32)
        for attack in ATTACKS:
            own = {"model": model, "seed": 0, "method": "gradient", "attack": attack}
            for role in ("before", "after"):
                values = before if role == "before" else before + draws.standard_normal(before.size).astype(np.float32)
                maps.append({**own, "sample": 7, "role": role, "map": values})
            for sample, epsilon in ((7, 0.1), (7, 0.2), (9, 0.1), (9, 0.2)):
                told = {"spearman": 0.5, "top_k": 0.25, "shift": 3.25, "informative_before": 0.4}
                told |= {"informative_after": epsilon, "informative_loss": 0.4 - epsilon}
                for measure, value in told.items():
                    agreed = measure.startswith("informative")
                    rows.append({
                        **own, "sample": sample, "label": "A", "predicted": "A", "epsilon": epsilon,
                        "attacked": kept or attack != "top_k", "measure": measure,
                        "value": value if sample == 7 else 9.0,
                        "conditions": "all" if agreed else "", "truth": "full" if agreed else "",
                    })  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(maps)


def words(figure):
    return {axis.get_gid(): axis.get_xlabel() for axis in figure.axes if axis.get_gid()}


@pytest.mark.parametrize("grid", [IMAGE, BRAIN], ids=["images", "volumes"])
def test_a_row_has_the_map_and_what_each_attack_made_of_it_with_its_measures(grid):
    measures, examples = tables(grid)
    rows = drawn_maps(
        measures, (own for _, own in examples.groupby(["model", "attack"], sort=False)), grid, "full", "all"
    )
    # Before once, after each attack, of each network; of the largest bound, of the first sample.
    assert rows.groupby("model")["role"].value_counts().to_dict() == {
        (model, role): count for model in LABELS for role, count in (("after", 2), ("before", 1))
    }
    assert set(rows["epsilon"]) == {0.2} and set(rows.loc[rows["role"] == "after", "r"]) == {0.2}
    assert set(rows.loc[rows["role"] == "before", "r"]) == {0.4}
    figure = before_after_figure(rows, LABELS, "RdBu_r")
    said = words(figure)
    assert said["plain-gradient-before"] == "r = 0.40"
    assert " ".join(said["robust-gradient-top_k"].split()) == "ρ = 0.5, top 0.25, 3.2 mm r = 0.20"
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["before", "top-k", "random signs"]
    assert ("axial slices at z =" in foot(rows)) is (grid is BRAIN)
    assert figure.get_size_inches()[0] == pytest.approx(style.WIDE / style.MM)
    plt.close(figure)


def test_pictures_are_the_maps_with_sizes_that_add_up_to_1():
    measures, examples = tables()
    rows = drawn_maps(measures, [examples], IMAGE, "full", "all")
    figure = before_after_figure(rows, LABELS, "RdBu_r")
    axes = {axis.get_gid(): axis for axis in figure.axes if axis.get_gid()}
    for (model, attack), own in examples[examples["role"] == "after"].groupby(["model", "attack"]):
        picture = axes[f"{model}-gradient-{attack}"].images[0].get_array()
        values = np.asarray(own["map"].iloc[0], dtype=np.float64)
        np.testing.assert_allclose(np.sort(picture.ravel()), np.sort(values / np.abs(values).sum()), rtol=1e-6)
    limits = {axis.images[0].get_clim() for gid, axis in axes.items() if gid.startswith("plain")}
    assert len(limits) == 1
    plt.close(figure)


def test_more_attacks_hold_no_more_whole_maps():
    grid = Grid(np.ones((40, 40, 60), bool), BRAIN.affine)
    measures, examples = tables(grid)
    own, held = examples.iloc[:2], []
    for count in (2, 20):
        more = (own.assign(attack=f"top_k-{k}", map=[values.copy() for values in own["map"]]) for k in range(count))
        parts = itertools.chain([own], more)
        held.append(most_held(lambda parts=parts: drawn_maps(measures, parts, grid, "full", "all")))
    # The slices that are drawn of 18 more, and no whole map of one.
    assert held[1] - held[0] < 36 * 1.1 * 8 * 40 * 40 + 8 * grid.mask.size


def test_what_came_back_as_it_was_is_said_and_no_value_is_a_dash():
    measures, examples = tables(kept=False)
    measures.loc[measures["measure"] == "informative_after", "value"] = np.nan
    measures.loc[(measures["measure"] == "spearman") & (measures["attack"] == "random_sign"), "value"] = np.nan
    rows = drawn_maps(measures, [examples], IMAGE, "full", "all")
    figure = before_after_figure(rows, LABELS, "RdBu_r")
    said = words(figure)
    assert " ".join(said["plain-gradient-top_k"].split()) == "as it was r –"
    assert " ".join(said["plain-gradient-random_sign"].split()).startswith("ρ = –,")
    assert "came back as it was in some row: top-k" in foot(rows)
    plt.close(figure)
