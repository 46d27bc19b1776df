import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from truemap.figures import style
from truemap.figures.angles import WIDTH, angles_figure, drawn_angles, foot

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")
LABELS = {"plain": "Plain", "robust": "Robust & long"}
D = 300


def table():
    random, parts = np.random.default_rng(0), []
    for model, shift in (("plain", 0.0), ("robust", 20.0)):
        for kind, middle in (("saliency", 60.0), ("influence", 140.0)):
            angle = np.clip(middle + shift + 5 * random.standard_normal(40), 0, 90 if kind == "saliency" else 180)
            part = pd.DataFrame({"model": model, "kind": kind, "angle": angle, "dimension": D, "sample": range(40)})
            converged = pd.Series([True] * 39 + [False] if kind == "saliency" else [None] * 40, dtype="boolean")
            parts.append(part.assign(converged=converged))
    found = pd.concat(parts, ignore_index=True)
    found.loc[0, "angle"] = np.nan
    return found


def test_histograms_count_every_angle_once_and_random_directions_add_up_to_one():
    drawn = drawn_angles(table())
    sums = drawn.groupby(["kind", "model"])[["count", "share", "random"]].sum()
    assert sums["count"].to_dict() == {
        ("saliency", "plain"): 39, ("saliency", "robust"): 40, ("influence", "plain"): 40, ("influence", "robust"): 40,
    }  # fmt: skip
    np.testing.assert_allclose(sums[["share", "random"]], 1)
    assert drawn.groupby("kind")["high"].max().to_dict() == {"saliency": 90, "influence": 180}
    own = table().query("kind == 'saliency' and model == 'plain'")["angle"]
    for row in drawn.query("kind == 'saliency' and model == 'plain'").to_dict("records"):
        last = row["high"] == 90
        inside = own.between(row["low"], row["high"], inclusive="both" if last else "left")
        assert row["count"] == inside.sum()


def test_random_directions_are_those_of_the_sphere():
    """The cosine of random directions is nearly normal, of variance 1 / d."""
    drawn = drawn_angles(table()).query("kind == 'influence' and model == 'plain'")
    ends = np.cos(np.deg2rad(drawn[["low", "high"]])) * np.sqrt(D)
    expected = stats.norm.cdf(ends["low"]) - stats.norm.cdf(ends["high"])
    np.testing.assert_allclose(drawn["random"], expected, atol=2e-3)


def test_each_panel_has_a_line_a_network_and_random_directions_once():
    drawn = drawn_angles(table())
    figure = angles_figure(drawn, LABELS)
    axes = {axis.get_gid(): axis for axis in figure.axes}
    assert set(axes) == {"saliency", "influence"}
    for kind, axis in axes.items():
        random, *lines = axis.patches
        for line, model in zip(lines, LABELS, strict=True):
            own = drawn[(drawn["kind"] == kind) & (drawn["model"] == model)]
            np.testing.assert_allclose(line.get_data().values, own["share"])
            np.testing.assert_allclose(np.diff(line.get_data().edges), WIDTH)
        np.testing.assert_allclose(random.get_data().values, own["random"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*LABELS.values(), "random directions"]
    assert len({line.get_edgecolor() for line in lines}) == 2


def test_the_figure_is_of_a_journals_width_and_its_letters_can_be_read(tmp_path):
    style.start()
    data = table()
    drawn = drawn_angles(data)
    figure = angles_figure(drawn, LABELS)
    style.save(figure, [tmp_path / "a.svg", tmp_path / "a.tsv"], f"made up; {foot(data, drawn)}", 100, drawn)
    assert figure.get_figwidth() * style.MM == pytest.approx(style.WIDE)
    texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts) >= style.SMALL
    assert "made up" in (tmp_path / "a.svg").read_text()
    assert len(pd.read_csv(tmp_path / "a.tsv", sep="\t")) == len(drawn)


def test_the_foot_says_what_is_missing_and_what_did_not_converge():
    data = table()
    words = foot(data, drawn_angles(data))
    assert "a: 39 to 40 maps of each network; 1 of 80 have no angle" in words and "b: 40 maps" in words
    # The map without an angle is not counted.
    assert "converged for 77 of 79" in words and "300 voxels" in words


def test_a_panel_without_any_angle_says_so():
    data = table()
    data["angle"] = data["angle"].where(data["kind"] == "influence")
    axis = next(axis for axis in angles_figure(drawn_angles(data), LABELS).axes if axis.get_gid() == "saliency")
    assert "no map has an angle" in {text.get_text() for text in axis.texts}
