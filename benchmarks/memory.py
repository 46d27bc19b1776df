"""What is counted of a job's memory before it runs, against what it takes on a CPU.

Run from the checkout's root:  .venv/bin/python benchmarks/memory.py [8 4]
Table 2's network on maps of 8 and of 4 mm, one thread. Counted is on tensors without numbers (PyTorch's meta tensors);
measured is the process' peak above that before, each way in a process of its own: with a malloc that gives freed blocks
back to the system, which is what tensors and kernels take, and with glibc's own, which keeps those below 32 MB.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from measure import peak

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from truemap.config.registry import method, resolve_method  # noqa: E402 (the package lies in workflow/)
from truemap.networks._decoder import Decoder, build_network  # noqa: E402
from truemap.networks._shapes import pretended  # noqa: E402
from truemap.saliency._context import Context  # noqa: E402
from truemap.saliency._contract import Saliency  # noqa: E402
from truemap.training._contract import Training  # noqa: E402
from truemap.training._passes import computed_in  # noqa: E402

MALLOC = {"measured": {"MALLOC_MMAP_THRESHOLD_": "65536"}, "with glibc's malloc": {}}
SHAPES, CLASSES, BATCH, MAPS = {"8": (23, 28, 23), "4": (46, 55, 46)}, 7, 8, 4
NETWORK = {"name": "cnn3d", "filters": [32, 32, 64, 64, 64], "pool_stride": 2}
#: As much memory as more steps and draws take.
TRAININGS = [
    {"name": "standard"}, {"name": "standard", "micro_batch": 1}, {"name": "free", "steps": 2, "gradient": "after"},
    {"name": "pgd", "steps": 2}, {"name": "trades", "steps": 2}, {"name": "jacobian"},
    {"name": "nsloss", "strength_unit": "absolute"},
]  # fmt: skip
METHODS = [
    {"name": "gradient"}, {"name": "smoothgrad", "n": 2}, {"name": "integrated_gradients", "steps": 2},
    {"name": "deeplift"}, {"name": "guided_backprop"},
]  # fmt: skip


def prepared(family: str, settings: dict, shape: tuple[int, ...]):
    """Return what is to be done, with all that is there before it."""
    torch.manual_seed(0)
    settings = resolve_method(family, settings)
    if family == "training":
        network = build_network(NETWORK, shape, CLASSES)
        training, x, y = method(family, settings, Training), torch.zeros(BATCH, *shape), torch.arange(BATCH) % CLASSES
        optimizer, random = torch.optim.Adam(network.parameters()), torch.Generator("cpu").manual_seed(0)
        passing = computed_in("float32", network, training.options.micro_batch)

        def steps() -> None:
            for _ in range(2):
                training.update(passing, optimizer, x, y, training.options, random)

        return steps
    network = build_network(NETWORK, shape, CLASSES).eval().requires_grad_(False)
    decoder, x = Decoder(network, 1.0, [str(c) for c in range(CLASSES)], "cnn3d"), torch.zeros(MAPS, *shape)
    saliency, context = method(family, settings, Saliency), Context(0, None, torch.zeros(shape), -3.0, 3.0)
    return lambda: saliency.explain(decoder, x, range(MAPS), saliency.options, context)


def measured(family: str, settings: dict, shape: tuple[int, ...]) -> float:
    """Return MB of this process, above those of before."""
    # Of libraries what a first call loads is no part of the job.
    prepared(family, settings, (8, 8, 8))()
    work = prepared(family, settings, shape)
    before = peak()
    work()
    return peak() - before


def counted(family: str, settings: dict, shape: tuple[int, ...]) -> float:
    """Return MB that are counted, above those of before."""
    with pretended("cpu") as shapes:
        work = prepared(family, settings, shape)
        before = shapes.peak = shapes.now
        work()
    return (shapes.peak - before) / 1e6


def main(which: list[str]) -> None:
    """Print both, and their ratio."""
    for mm in which:
        for family, all_settings in (("training", TRAININGS), ("saliency", METHODS)):
            for settings in all_settings:
                known = counted(family, settings, SHAPES[mm])
                name, said = " ".join(map(str, settings.values())), f"counted {known:7.0f} MB"
                call = [sys.executable, __file__, "measure", json.dumps([family, settings, SHAPES[mm]])]
                for malloc, setting in MALLOC.items():
                    run = subprocess.run(call, check=True, capture_output=True, text=True, env=os.environ | setting)
                    found = float(run.stdout)
                    said += f", {malloc} {found:7.0f} MB, {found / known:.2f}"
                print(f"{mm} mm  {name:28s} {said}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["measure"]:
        print(measured(*json.loads(sys.argv[2])))
    else:
        main(sys.argv[1:] or ["8", "4"])
