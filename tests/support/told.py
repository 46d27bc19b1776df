"""What the first page is made from, of made-up units and maps; names that a page could fall for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from truemap.config.names import REFERENCE
from truemap.data.grid import Grid
from truemap.evaluation.answer import answer
from truemap.evaluation.statistics import compare, summarise
from truemap.figures import digest, viewer
from truemap.figures.pictures import picture

HOSTILE = '</script><b>"&{0}'
ENTRIES = [
    {"model": "linear", "method": "gradient", "label": HOSTILE, "seed": 0},
    {"model": "cnn", "method": "gradient", "label": "CNN", "seed": 1},
    {"model": "cnn", "method": "smooth_grad", "label": "CNN", "seed": 1},
]
REFERENCES = ["input", "group_truth"]
#: Mean r of each; the leave-out truth takes 0.3 from the input.
MEANS = {("linear", "gradient"): 0.5, ("cnn", "gradient"): 0.3, ("cnn", "smooth_grad"): 0.1,
         (REFERENCE, "input"): 0.45, (REFERENCE, "group_truth"): 0.7}  # fmt: skip
CLASSES = ["A", "B", "C"]


def units_of(subjects: int = 12) -> pd.DataFrame:
    """Agreement of subjects with both truths, and their accuracies."""
    random, rows = np.random.default_rng(0), []
    for criterion in ("informative", "pairwise"):
        for truth in ("full", "leave_out"):
            for (model, method), mean in MEANS.items():
                less = 0.3 * (truth == "leave_out" and method == "input")
                values = mean - less + 0.05 * random.standard_normal(subjects)
                rows += [(criterion, truth, model, method, f"s{k}", value) for k, value in enumerate(values)]
    for model in ("linear", "cnn"):
        rows += [("accuracy", "", model, "", f"s{k}", 0.5 + 0.04 * (k % 9)) for k in range(subjects)]
    columns = ["criterion", "truth", "model", "method", "unit", "value"]
    return pd.DataFrame(rows, columns=columns).assign(conditions="all", seed=0, missing=0, reason="")


def grid_of(brain: bool) -> Grid:
    """A small brain on 8 mm voxels, or an image."""
    if not brain:
        return Grid(np.ones((8, 8, 1), bool), np.eye(4))
    affine = np.array([[-8.0, 0, 0, 88], [0, 8, 0, -124], [0, 0, 8, -70], [0, 0, 0, 1]])
    places = np.indices((23, 28, 23)).transpose(1, 2, 3, 0) - np.array([11, 14, 11])
    return Grid((places**2).sum(-1) < 60, affine)


def shown_of(
    grid: Grid, entries: list[dict], who: tuple[str, ...] = ("mean over test maps", "s0")
) -> list[viewer.Shown]:
    """Random truths, and maps that are these and noise."""
    random = np.random.default_rng(1)
    found = []
    for one in who:
        truth = {pair: random.standard_normal(grid.mask.sum()) for pair in viewer.pairs(CLASSES)}
        maps = {
            (e["model"], e["method"]): {p: t + random.standard_normal(t.shape) for p, t in truth.items()}
            for e in entries
        }
        found.append(viewer.Shown(one, truth, maps))
    return found


def told_of(dataset: str, folder: Path, brain: bool = True, data: str = "simulated data, not HCP") -> dict:
    """Return what scripts/digest.py writes."""
    units, every, grid = units_of(), digest.all_entries(ENTRIES, REFERENCES), grid_of(brain)
    summary = summarise(units, group=(REFERENCE, "group_truth"))
    comparisons = compare(units, reference=REFERENCE)
    one_truth = [table[table["truth"].isin(["full", ""])] for table in (summary, comparisons)]
    samples = pd.DataFrame({"subject": ["s1", "s2", "s3"] * 3, "label": np.repeat(CLASSES, 3),
                            "split": ["train", "validation", "test"] * 3})  # fmt: skip
    file = folder / "figure-2a.png"
    image = io.BytesIO()
    Image.new("RGB", (2102, 900), "white").save(image, "PNG", dpi=(300, 300))
    file.write_bytes(image.getvalue())
    order = {"id": "x", "criterion": "informative", "statement": "one above the other", "ours": "difference +0.2",
             "test": "paired t(11) = 9.00, Bonferroni p = 0.001", "holds": True, "opposite": False}  # fmt: skip
    return {
        "format": digest.FORMAT, "dataset": dataset, "data": data, "conditions": "all", "truth": "full",
        "group": "group_truth", "about": digest.about(samples, grid), "entries": every, "seeds": [0, 1, 1],
        "models": {"linear": {"network": "linear", "training": "standard", "seeds": [0], "saliency": ["gradient"]},
                   "cnn": {"network": "cnn3d", "training": "free", "seeds": [1],
                           "saliency": ["gradient", "smooth_grad"]}},
        "answers": {name: answer(*one_truth, ENTRIES, name) for name in ("informative", "pairwise")},
        "orders": [order, {**order, "holds": False}], "grid": digest.grid_numbers(summary, comparisons, units, every),
        "shares": digest.share_rows(summary, {"linear": HOSTILE, "cnn": "CNN"}), "classes": CLASSES,
        "pictures": [picture(file, dataset, [str(file)])],
        "viewer": viewer.viewed(shown_of(grid, ENTRIES), ENTRIES, CLASSES, grid),
        "measures": ["complexity predicts neither."], "fragility": ["Training protects no map."],
        "influence": ["Two of five stay."],
        "versions": {"torch": "2.0"},
        "quality": {"maps": 9, "flagged": 1, "flags": {"flip?": 1}, "skipped": 0},
    }  # fmt: skip


CLAIMS = pd.DataFrame(
    [
        ("a", "reproduced", "value"), ("b", "not reproduced", "greater"),
        ("c", "not testable here (<simulated>)", "value"),
        ("d", "not run: no such dataset, model or method here", "value"),
    ],
    columns=["id", "verdict", "kind"],
).assign(
    source="arXiv:1, section <2>", dataset="brains", criterion="informative", value="0.5", statement="one & another",
    ours="0.49", test="95% CI [0.4, 0.6]",
)  # fmt: skip
TIMES = pd.DataFrame({"rule": ["train", "score"], "jobs": [2, 1], "seconds": [90.0, 30.0], "longest": [60.0, 30.0],
                      "peak_mb": [500.0, np.nan]})  # fmt: skip
