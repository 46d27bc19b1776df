"""Groups of measures of maps, against the same measures asked of Quantus one by one, as a user would.

Run from the checkout's root:  pip install quantus==0.6.0, then  .venv/bin/python benchmarks/metrics.py
One thread, the default's CNN at 8 mm with random weights, maps of noise, plain gradients of the calibrated probability.
Quantus gets the arguments with which it computes what the papers say (no normalisation over the batch, baseline 0, own
classes); captum the infidelity that Quantus has for pictures only. Processor time, medians in one run, each way in a
process of its own; memory is its peak above that before. The measures that draw nothing are compared as well.
"""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
from captum.metrics import infidelity
from explain import CLASSES, SETTINGS, SHAPE, TEMPERATURE, decoder
from measure import peak, processor_time

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from truemap.config.registry import method, resolve_method  # noqa: E402 (the package lies in workflow/)
from truemap.data.volumes import Volumes  # noqa: E402
from truemap.metrics._contract import Metric  # noqa: E402
from truemap.metrics._measure import measured_table  # noqa: E402
from truemap.networks._batches import Batches  # noqa: E402
from truemap.networks._decoder import untrained  # noqa: E402
from truemap.saliency._context import Context  # noqa: E402
from truemap.saliency._contract import Saliency  # noqa: E402

MAPS, DRAWS, SUBSETS, RADIUS, REPEATS = 8, 10, 20, 0.2, 3
#: Quantus wants steps of equal size: 644 voxels of 14,812.
STEPS = 23
VOXELS = int(np.prod(SHAPE))
SIZE = VOXELS // 10
OURS = {
    "sensitivity": {"draws": DRAWS, "radius": RADIUS},
    "faithfulness": {"subsets": SUBSETS, "share": SIZE / VOXELS, "steps": STEPS},
    "complexity": {},
    "removal": {"steps": STEPS},
    "sanity": {},
}
X = np.random.default_rng(0).standard_normal((MAPS, *SHAPE), dtype=np.float32)
Y = np.arange(MAPS) % CLASSES


def ours(name: str) -> pd.DataFrame:
    """Return what rule `measure` writes of one group."""
    model = decoder()
    table = pd.DataFrame({"sample": range(MAPS), "subject": "s", "label": [model.classes[y] for y in Y]})
    data = Batches(Volumes([X], table), model.classes, torch.device("cpu"))
    metric = method("metrics", resolve_method("metrics", {"name": name, **OURS[name]}), Metric)
    way = method("saliency", resolve_method("saliency", {"name": "gradient", "output": "probability"}), Saliency)
    before = partial(
        untrained, {"network": resolve_method("networks", SETTINGS), "shape": SHAPE, "classes": model.classes},
        device=torch.device("cpu"),
    )  # fmt: skip
    known = Context(0, None, torch.zeros(SHAPE), -3.0, 3.0)
    return measured_table(model, data, way, known, metric, np.ones(SHAPE, bool), np.arange(MAPS), 500.0, before)


class Calibrated(torch.nn.Module):
    """The same network with a channel and calibrated logits, as Quantus takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.network = decoder().network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits of maps (n, 1, *shape)."""
        return self.network(x[:, 0].to(next(self.parameters()).dtype)) / TEMPERATURE


def gradients(model: torch.nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: object) -> np.ndarray:
    """Explain as Quantus asks for it: one class a map."""
    x = torch.as_tensor(inputs, dtype=torch.float32).reshape(-1, 1, *SHAPE).requires_grad_(True)
    own = torch.softmax(model(x), dim=1)[torch.arange(len(x)), torch.as_tensor(targets)]
    return torch.autograd.grad(own.sum(), x)[0].numpy()


def theirs(name: str, exact: bool = False) -> dict[str, np.ndarray]:
    """Return measure -> values of the same, asked for one by one.

    To compare values (`exact`) the network is of float64: in float32 the steps of a probability that hardly moves are
    lost. And maps are a million times as large: sparseness adds 1e-7 to each value, the size of these gradients.
    """
    import quantus

    common = {"return_aggregate": False, "disable_warnings": True, "normalise": False, "abs": False}
    model = Calibrated().eval()
    if exact:
        model.double()

    def explain(*given: np.ndarray, **more: object) -> np.ndarray:
        return gradients(*given, **more) * (1e6 if exact else 1)

    asked = {"model": model, "x_batch": X[:, None], "y_batch": Y, "explain_func": explain, "channel_first": True}
    asked |= {"device": "cpu", "batch_size": MAPS, "softmax": True}
    near = {"nr_samples": DRAWS, **common}
    removed = {"features_in_step": VOXELS // STEPS, "perturb_baseline": 0.0, **common}
    groups: dict[str, dict[str, Callable[[], object]]] = {
        "sensitivity": {
            "max_sensitivity": lambda: quantus.MaxSensitivity(lower_bound=RADIUS, **near)(**asked),
            "avg_sensitivity": lambda: quantus.AvgSensitivity(lower_bound=RADIUS, **near)(**asked),
            "local_lipschitz": lambda: quantus.LocalLipschitzEstimate(perturb_std=RADIUS, **near)(**asked),
        },
        "faithfulness": {
            "faithfulness_correlation": lambda: quantus.FaithfulnessCorrelation(
                nr_runs=SUBSETS, subset_size=SIZE, perturb_baseline=0.0, **common
            )(**asked),
            "faithfulness_estimate": lambda: quantus.FaithfulnessEstimate(**removed)(**asked),
            "infidelity": lambda: of_captum(model),
        },
        "complexity": {
            "complexity": lambda: quantus.Complexity(**{**common, "abs": True})(**asked),
            "sparseness": lambda: quantus.Sparseness(**{**common, "abs": True})(**asked),
        },
        "removal": {
            "morf": lambda: quantus.PixelFlipping(**removed)(**asked),
            "lerf": lambda: quantus.PixelFlipping(**removed)(
                **{**asked, "explain_func": lambda *given, **more: -explain(*given, **more)}
            ),
        },
        "sanity": {"cascade": lambda: quantus.MPRT(disable_warnings=True, normalise=False, abs=False)(**asked)},
    }
    return {measure: run() for measure, run in groups[name].items()}


def of_captum(model: torch.nn.Module) -> np.ndarray:
    """Return captum's infidelity with subsets of voxels removed."""

    def removed(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gone = torch.zeros(len(x), VOXELS)
        gone.scatter_(1, torch.stack([torch.randperm(VOXELS)[:SIZE] for _ in x]), 1.0)
        by = x * gone.view_as(x)
        return by, x - by

    x, y = torch.from_numpy(X[:, None]), torch.from_numpy(Y)
    maps = torch.from_numpy(gradients(model, X[:, None], Y))
    with torch.no_grad():
        found = infidelity(
            lambda z: torch.softmax(model(z), dim=1), removed, x, maps, target=y, n_perturb_samples=SUBSETS
        )
    return found.numpy()


def one(whose: str, name: str) -> dict[str, float]:
    """Return median processor time and peak memory (MB above that before) of one way."""
    warnings.simplefilter("ignore")
    if whose == "theirs":
        import quantus  # noqa: F401 (its import is not what is timed)
    run, before = partial({"ours": ours, "theirs": theirs}[whose], name), peak()
    times = [processor_time(run) for _ in range(REPEATS)]
    return {"seconds": median(times), "peak": peak() - before}


def differences() -> dict[str, float]:
    """Return the largest difference of each measure that draws nothing."""
    warnings.simplefilter("ignore")
    found = {}
    for name in ("faithfulness", "complexity", "removal"):
        mine, others = ours(name).pivot(index="sample", columns="measure", values="value"), theirs(name, True)
        for measure, values in others.items():
            if measure in ("morf", "lerf"):
                # The curve without its start: ours has it.
                start = probabilities()
                curves = np.column_stack([start, np.array([np.ravel(row) for row in values])])
                values = np.trapezoid(curves, np.linspace(0, 1, curves.shape[1]), axis=1)
            if measure not in ("faithfulness_correlation", "infidelity"):
                found[measure] = float(np.abs(mine[measure].to_numpy() - np.array(values)).max())
    return found


def probabilities() -> np.ndarray:
    """Return the calibrated probability of each map's class."""
    with torch.no_grad():
        return torch.softmax(Calibrated().eval()(torch.from_numpy(X[:, None])), dim=1).numpy()[np.arange(MAPS), Y]


def main() -> None:
    """Print a line a group, and the whole."""
    total = {"ours": 0.0, "theirs": 0.0}
    for name in OURS:
        row = {}
        for whose in total:
            call = [sys.executable, __file__, whose, name]
            row[whose] = json.loads(
                subprocess.run(call, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            total[whose] += row[whose]["seconds"]
        each = {whose: 1000 * found["seconds"] / MAPS for whose, found in row.items()}
        print(
            f"{name:13s} ours {each['ours']:7.1f} ms a map, +{row['ours']['peak']:.0f} MB; "
            f"theirs {each['theirs']:7.1f} ms, +{row['theirs']['peak']:.0f} MB: {each['theirs'] / each['ours']:.2f} x"
        )
    print(f"all: {total['theirs'] / total['ours']:.2f} x")
    for measure, difference in differences().items():
        print(f"{measure}: differs by {difference:.1e} at most")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        print(json.dumps(one(*sys.argv[1:])))
    else:
        main()
