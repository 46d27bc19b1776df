"""Every figure as it is printed: its width in the file, and each of its letters big enough, inside and readable."""

import itertools
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import attacked_tables
import matplotlib
import numpy as np
import pandas as pd
import pytest
import test_before_after as before_and_after
import test_figure_angles as directions
import test_figure_influence as influences
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg

from truemap.config.names import NO_NETWORK
from truemap.data.grid import Grid
from truemap.datasets._simulation import hcp_grid
from truemap.evaluation.fragility import fragility_summary
from truemap.evaluation.prediction import COLUMNS
from truemap.evaluation.ranks import AT_RANDOM, HELD_OUT, RELATIVE, TAU
from truemap.figures import (
    angles,
    bars,
    before_after,
    brains,
    fragility,
    grid,
    images,
    influence,
    prediction,
    strength,
    style,
)  # fmt: skip
from truemap.figures.palette import LETTERS, contrast

matplotlib.use("Agg")
pytestmark = pytest.mark.usefixtures("drawing")

DPI = 150
LONG = "A network of a very long name, trained with adversarial examples"
NAMES = {"linear": "Linear", "cnn": "CNN", "long": LONG}
REFERENCES = ["random", "input", "input-centred", "group_truth"]
NOTE = "simulated data, not HCP; n = 20 subjects; whiskers: standard error over subjects; a note as long as notes are"


@dataclass
class Drawn:
    """A figure with the files that it was saved as."""

    figure: plt.Figure
    png: bytes
    svg: str


def entries(methods=("gradient", "guided_backprop")):
    return [{"model": m, "method": k, "label": label, "way": k} for m, label in NAMES.items() for k in methods]


def summary(methods=("gradient", "guided_backprop"), sets=("all", "no_negated")):
    """Means of both signs, some null; sizes; accuracies, those of the last model without a network."""
    random = np.random.default_rng(0)
    rows = []
    for criterion, conditions in itertools.product(("informative", "pairwise"), sets):
        for number, (model, method) in enumerate(
            [*itertools.product(NAMES, methods), *(("reference", r) for r in REFERENCES)]
        ):
            mean = np.nan if number == 3 else random.normal(0.2, 0.3)
            rows.append((criterion, conditions, "full", model, method, mean, ""))
            rows.append((f"{criterion}_absolute", conditions, "full", model, method, 0.4, ""))
    for model, conditions in itertools.product(NAMES, sets):
        known = model != "long"
        rows.append(("accuracy", conditions, "", model, "", 0.9 if known else np.nan, "" if known else NO_NETWORK))
        rows.append(
            ("robust_accuracy", conditions, "", model, "pgd", 0.7 if known else np.nan, "" if known else NO_NETWORK)
        )
    columns = ["criterion", "conditions", "truth", "model", "method", "mean", "reason"]
    extra = {"seed": "mean", "n": 20, "se": 0.02, "se_two_level": 0.05, "sd_trainings": 0.03, "trainings": 3}
    return pd.DataFrame(rows, columns=columns).assign(**extra)


def comparisons(table):
    rows = []
    for (criterion, conditions), part in table[table["criterion"].isin(["informative", "pairwise"])].groupby(
        ["criterion", "conditions"]
    ):
        own = part[part["model"] != "reference"]
        for (i, a), (k, b) in itertools.combinations(enumerate(own.itertuples()), 2):
            rows.append(
                (
                    criterion,
                    conditions,
                    "full",
                    a.model,
                    a.method,
                    b.model,
                    b.method,
                    a.mean - b.mean,
                    0.01,
                    (i + k) % 3 > 0,
                )
            )
    columns = [
        "criterion",
        "conditions",
        "truth",
        "model_a",
        "method_a",
        "model_b",
        "method_b",
        "difference",
        "p_bonferroni",
        "significant",
    ]
    return pd.DataFrame(rows, columns=columns).assign(
        p_two_level=0.01, significant_two_level=lambda t: t["significant"]
    )


def figure_2(panels):
    table = summary()
    key = {"criterion": "informative", "conditions": "all", "model_a": "cnn", "method_a": "gradient"}
    published = pd.DataFrame([{**key, "value": "0.7"}])
    rows = bars.drawn_bars(table, comparisons(table), published, entries(), REFERENCES)
    return bars.agreement_bars(rows, entries(), None, panels)


def figure_1(panels):
    random, classes = np.random.default_rng(0), ["LANGUAGE", "WM", "MOTOR"]
    maps = {
        pair: random.standard_normal((9, 9)) for pair in itertools.product(classes, repeat=2) if pair != ("WM", "MOTOR")
    }
    criteria = {
        pair: "informative" if pair[0] == pair[1] else "pairwise" for pair in itertools.product(classes, repeat=2)
    }
    scores = pd.DataFrame([(a, b, c, "all", -0.5, 1) for (a, b), c in criteria.items()],
                          columns=["label", "target", "criterion", "conditions", "r", "sample"])  # fmt: skip
    rows = [images.Row(f"{label}, gradient", maps, scores) for label in NAMES.values()]
    means = {label: random.standard_normal((9, 9)) for label in classes}
    parts = {"a": images.informative_panel(classes, means, means["WM"], rows, "mean map"),
             "b": images.pairwise_panel(classes, means, rows, "mean map")}  # fmt: skip
    return images.images_figure([parts[panel] for panel in panels], "RdBu_r")


def figure_3(_):
    shape, affine = hcp_grid(8)
    middle = np.indices(shape) - np.array(shape)[:, None, None, None] / 2
    where = Grid((middle**2).sum(axis=0) < 90, affine)
    values = np.random.default_rng(0).standard_normal(where.mask.size)
    classes = ["LANGUAGE", "RELATIONAL", "EMOTION"]
    above = [brains.true_map(f"{classes[0]}, given {label}", values) for label in classes]
    below = [brains.compared(maps, values, where.mask.reshape(-1)) for maps in (values, -values, None)]
    rows = [brains.Row("a", "mean map", above), brains.Row("b", f"{LONG}, gradient", below)]
    rows += [brains.Row("", "CNN", below)] * 4
    return brains.glass_brains(rows, where, "RdBu_r")


def figure_grid(methods):
    table = style.one_truth(summary(methods), "full")
    tests = style.one_truth(comparisons(table), "full")
    chosen = entries(methods)[:4] if len(methods) == 2 else entries(methods)
    return grid.grid_figure(table, tests, "informative", chosen, REFERENCES, "pgd", "viridis")


def figure_strength(_):
    values, of = (0.05, 0.1, 0.5), {"of": "cnn", "label": LONG, "option": "epsilon", "method": "gradient"}
    swept = [{"model": f"cnn--{v}", "candidate": f"e-{v}", "value": v, **of} for v in values]
    series = {"informative": "gradient", "pairwise": "gradient", "accuracy": "", "robust_accuracy": "pgd"}
    rows = [(c, f"cnn--{v}", m, 0.2 + k / 10 + v, 0.02) for v in values for k, (c, m) in enumerate(series.items())]
    table = pd.DataFrame(rows, columns=["criterion", "model", "method", "mean", "se"]).assign(seed="mean", n=20)
    curves = [("cnn", f"e-{v}", epoch, v + epoch / 10) for v in values for epoch in range(4)]
    histories = pd.DataFrame(curves, columns=["model", "candidate", "epoch", "validation_accuracy"])
    return strength.strength_figure(strength.drawn_strengths(table, swept, histories, "pgd"), swept)


def figure_prediction(kind):
    truths = [("informative", "leave_out"), ("network", "network")]
    measures = [("complexity", "complexity"), ("sensitivity", "max_sensitivity"), ("cascade", "cascade_absolute")]
    truths = truths[: 1 if "narrow" in kind else None]
    rows = [
        (across, "x", *truth, *measure, "higher", "all", statistic, 0.3, 0.2, 0.4, 0.01, 8, 20, 3, "")
        for across in ("methods", "trainings", "anchors", "series") for truth in truths for measure in measures
        for statistic in (TAU, RELATIVE, AT_RANDOM, HELD_OUT)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS).assign(methods="all")
    if "tau" in kind:
        return prediction.tau_figure(prediction.drawn_taus(table))
    return prediction.regret_figure(prediction.drawn_regrets(table))


def figure_fragility(panel):
    rows = fragility.drawn_fragility(fragility_summary(attacked_tables.table(), ["random_sign"]), "full", "all")
    labels = attacked_tables.ASKED["labels"]
    return fragility.fragility_figure(rows, panel, {**labels, "robust": LONG}, ["random_sign"], "sd of the data")


def figure_fragility_of_one(panel):
    attacked = attacked_tables.table(models=("plain",), methods=("gradient",))
    rows = fragility.drawn_fragility(fragility_summary(attacked, ["random_sign"]), "full", "all")
    return fragility.fragility_figure(rows, panel, {"plain": LONG}, ["random_sign"], "sd of the data")


def figure_fragility_of_many(panel):
    """Nine ways to explain, one bound, names that have no blank to break at."""
    rows = fragility.drawn_fragility(
        fragility_summary(attacked_tables.table(models=("plain",), methods=("gradient",)), ["random_sign"]),
        "full",
        "all",
    )
    ways = (*MANY[:6], "optimised-gradient", "decoy-integrated_gradients", "optimised-integrated_gradients")
    rows = pd.concat([rows[rows["epsilon"] == rows["epsilon"].max()].assign(method=way) for way in ways])
    return fragility.fragility_figure(rows, panel, {"plain": "CNN"}, ["random_sign"], "sd of the data, in any voxel")


def figure_fragility_maps(_):
    measures, examples = before_and_after.tables(before_and_after.BRAIN)
    rows = before_after.drawn_maps(measures, [examples], before_and_after.BRAIN, "full", "all")
    return before_after.before_after_figure(rows, {"plain": "NN", "robust": LONG}, "RdBu_r")


def figure_influence(_):
    labels = {"plain": "NN", "robust": LONG}
    return influence.influence_figure(influences.example(), influences.SUMMARY, influences.IMAGE, labels, 5, "RdBu_r")


def figure_angles(_):
    return angles.angles_figure(angles.drawn_angles(directions.table()), {"plain": "NN", "robust": LONG})


MANY = ("gradient", "smoothgrad", "integrated_gradients", "guided_backprop", "lrp_epsilon", "deeplift_shap", "grad_cam",
        "gradient_x_input", "gradient_shap", "deconvnet", "guided_grad_cam", "absolute_gradient", "x")  # fmt: skip
#: The head of a function that draws a figure.
FIGURE = r"^def ([a-z]\w+)\((?:[^()]|\([^()]*\))*\) -> plt\.Figure:"
FIGURES = [
    ("1a", figure_1, "a", 89), ("1b", figure_1, "b", 183), ("1", figure_1, "ab", 183),
    ("2a", figure_2, "a", 89), ("2b", figure_2, "b", 89), ("2", figure_2, "ab", 183),
    ("3", figure_3, None, 183),
    ("grid", figure_grid, ("gradient", "guided_backprop"), 89), ("large grid", figure_grid, MANY, 183),
    ("strength", figure_strength, None, 183),
    ("tau", figure_prediction, "tau", 183), ("narrow tau", figure_prediction, "narrow tau", 89),
    ("narrow regret", figure_prediction, "narrow regret", 89), ("regret", figure_prediction, "regret", 183),
    *((f"fragility {panel}", figure_fragility, panel, 183) for panel in fragility.PANELS),
    *((f"narrow fragility {panel}", figure_fragility_of_one, panel, 89) for panel in fragility.PANELS),
    *((f"fragility of many {panel}", figure_fragility_of_many, panel, 183) for panel in fragility.PANELS),
    ("fragility maps", figure_fragility_maps, None, 183), ("influence", figure_influence, None, 183),
    ("angles", figure_angles, None, 183),
]  # fmt: skip


@pytest.fixture(scope="module", params=FIGURES, ids=[name for name, *_ in FIGURES])
def drawn(request, tmp_path_factory):
    _, draw, argument, width = request.param
    folder = tmp_path_factory.mktemp("drawn")
    style.start()
    figure = draw(argument)
    style.save(figure, [folder / "a.png", folder / "a.svg"], NOTE, DPI)
    FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    figure.draw(figure.canvas.get_renderer())
    return Drawn(figure, (folder / "a.png").read_bytes(), (folder / "a.svg").read_text()), width


def words_of(figure):
    """All texts that show something, with their boxes in pixels."""
    renderer = figure.canvas.get_renderer()
    beyond = set(beyond_the_ends(figure))
    for text in figure.findobj(plt.Text):
        if text.get_visible() and text.get_text().strip() and text not in beyond:
            box = text.get_window_extent(renderer)
            if box.width > 0:
                yield text, box


def beyond_the_ends(figure):
    """Labels of ticks that are there, and not drawn."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = [tick for tick in axis._update_ticks() if axes.axison]
            for tick in (*axis.majorTicks, *axis.minorTicks):
                if tick not in drawn:
                    yield from (tick.label1, tick.label2)


def test_the_width_in_the_files_is_that_of_a_journals_columns(drawn):
    files, width = drawn
    at = files.png.index(b"pHYs") + 4
    pixels, (per_metre,) = struct.unpack(">I", files.png[16:20])[0], struct.unpack(">I", files.png[at : at + 4])
    assert 1000 * pixels / per_metre == pytest.approx(width, abs=0.3)
    (points,) = re.findall(r'<svg [^>]*width="([\d.]+)pt"', files.svg.replace("\n", " "))
    assert float(points) / 72 * 25.4 == pytest.approx(width, abs=0.01)


def test_letters_have_six_points_and_stay_text(drawn):
    files, _ = drawn
    found = list(words_of(files.figure))
    assert min(text.get_fontsize() for text, _ in found) >= 6
    # Sizes in an SVG are in units of its own, which are points.
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: [^;\"]*?([\d.]+)px", files.svg)]
    assert len(sizes) > 5 and min(sizes) >= 6


def test_no_letter_passes_the_edge(drawn):
    files, _ = drawn
    width, height = files.figure.get_size_inches() * DPI
    for text, box in words_of(files.figure):
        inside = box.x0 > -0.5 and box.y0 > -0.5 and box.x1 < width + 0.5 and box.y1 < height + 0.5
        assert inside, (text.get_text(), box.extents, (width, height))


def test_no_words_lie_on_others(drawn):
    files, _ = drawn
    boxes = [(text, box.padded(-1)) for text, box in words_of(files.figure) if not text.get_rotation() % 90]
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one.get_text(), other.get_text())


def test_letters_can_be_read_on_their_ground(drawn):
    files, _ = drawn
    figure = files.figure
    found = [(text, box, text.get_color()) for text, box in words_of(figure)]
    for text, _, _ in found:
        text.set_visible(False)
    figure.draw(figure.canvas.get_renderer())
    ground = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    for text, _, _ in found:
        text.set_visible(True)
    for text, box, color in found:
        rows = slice(len(ground) - int(box.y1), len(ground) - int(box.y0))
        pixels = ground[rows, int(box.x0) : int(box.x1)].reshape(-1, 3)
        colours, counts = np.unique(pixels, axis=0, return_counts=True)
        read = sum(n for c, n in zip(colours, counts, strict=True) if contrast(c, color) >= LETTERS)
        assert read >= 0.8 * counts.sum(), (text.get_text(), color)


def test_every_kind_of_figure_is_looked_at():
    folder, here = Path(style.__file__).parent, Path(__file__).read_text(encoding="utf-8")
    made = {
        f"{path.stem}.{name}(" for path in folder.glob("*.py")
        for name in re.findall(FIGURE, path.read_text("utf-8"), re.M)
    }  # fmt: skip
    assert len(made) >= 10 and not {call for call in made if call not in here}
