"""Saliency maps of all classes and Algorithm 1's update, against the way a user would write them.

Run from the checkout's root:  .venv/bin/python benchmarks/explain.py
One thread, the default's CNN at 8 mm, 7 classes, 16 maps. Figures are ratios of medians in one run; processor time is
taken, since other processes disturb it less. Each way runs in a process of its own, for its peak memory; that
of the process differs by some 10 MB from run to run, so the tensors held at a time are counted too.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from statistics import median

import torch
from captum.attr import NoiseTunnel, Saliency
from measure import peak, processor_time
from torch import nn
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from truemap.networks._decoder import Decoder, build_network  # noqa: E402 (the package lies in workflow/)
from truemap.networks._layers import InputConv3d  # noqa: E402
from truemap.saliency import gradient, smoothgrad  # noqa: E402
from truemap.saliency._context import Context  # noqa: E402
from truemap.training import free, standard  # noqa: E402

SHAPE, CLASSES, MAPS, DRAWS, TEMPERATURE = (23, 28, 23), 7, 16, 10, 1.5
SETTINGS = {"name": "cnn3d", "filters": [8, 16, 32, 32]}
STEPS, REPEATS = 4, 7


def decoder() -> Decoder:
    """Return the default's CNN with random weights."""
    torch.manual_seed(0)
    network = build_network(SETTINGS, SHAPE, CLASSES).eval().requires_grad_(False)
    return Decoder(network, TEMPERATURE, [f"class-{c}" for c in range(CLASSES)], "cnn3d")


def plain(network: nn.Module) -> nn.Module:
    """Return the same network of PyTorch's own layers, as a user would build it."""
    layers = []
    for layer in network:
        if isinstance(layer, InputConv3d):
            other = nn.Conv3d(1, layer.out_channels, 3, padding=1)
            other.load_state_dict(layer.state_dict())
            layer = other.requires_grad_(False)
        layers.append(layer)
    return nn.Sequential(*layers)


def ways(draws: int = DRAWS) -> dict:
    """Return name -> function that makes the maps, shape (maps, classes, *shape)."""
    model = decoder()
    own, users = model.network, plain(model.network)
    x = torch.randn(MAPS, *SHAPE)
    context = Context(0, None, torch.zeros(SHAPE), -3.0, 3.0)

    def captum(network: nn.Module, draws: int = 0) -> torch.Tensor:
        method = Saliency(lambda z: torch.softmax(network(z) / TEMPERATURE, dim=1))
        if draws:
            arguments = {"nt_type": "smoothgrad", "nt_samples": draws, "nt_samples_batch_size": 1, "stdevs": 2.0}
            tunnel = NoiseTunnel(method)
            return torch.stack([tunnel.attribute(x, target=c, abs=False, **arguments) for c in range(CLASSES)], 1)
        return torch.stack([method.attribute(x, target=c, abs=False) for c in range(CLASSES)], 1)

    def passes() -> None:
        z = x.clone().requires_grad_(True)
        logits = own(z)
        for c in range(CLASSES - 1):
            torch.autograd.grad(logits[:, c].sum(), z, retain_graph=True)

    options = smoothgrad.Options(n=draws, sigma=2.0)
    return {
        "gradient, ours": lambda: gradient.explain(model, x, range(MAPS), gradient.Options(), context),
        "gradient, captum": lambda: captum(users),
        "gradient, captum on our layers": lambda: captum(own),
        "gradient, one forward and six backward passes": passes,
        "smoothgrad, ours": lambda: smoothgrad.explain(model, x, range(MAPS), options, context),
        "smoothgrad, captum": lambda: captum(users, draws),
        "smoothgrad, captum on our layers": lambda: captum(own, draws),
    }


def updates() -> dict:
    """Return name -> function that makes one update of the weights (Algorithm 1: one of its m)."""
    x, y = torch.randn(MAPS, *SHAPE), torch.arange(MAPS) % CLASSES
    result = {}
    for name, module in (("standard", standard), ("free", free)):
        torch.manual_seed(0)
        network = build_network(SETTINGS, SHAPE, CLASSES)
        optimizer, random = torch.optim.Adam(network.parameters()), torch.Generator().manual_seed(0)
        options = module.Options(steps=STEPS) if module is free else module.Options()
        result[name] = lambda m=module, n=network, o=optimizer, p=options, r=random: m.update(n, o, x, y, p, r)
    return result


def measure(name: str) -> dict[str, float]:
    """Return median processor time and peak memory (MB above that before) of one way."""
    run = ways()[name]
    before = peak()
    times = [processor_time(run) for _ in range(3 if "smoothgrad" in name else REPEATS)]
    return {"seconds": median(times), "peak": peak() - before}


def held(run: Callable[[], object]) -> float:
    """Return how many MB of tensors there are at most at a time during one call."""
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(sizes)) / 1e6


def update_ratio() -> float:
    """Return the cost of one of Algorithm 1's m updates as a multiple of a standard update, taken in turns."""
    runs = updates()
    turns = [[processor_time(run) for run in runs.values()] for _ in range(4 * REPEATS)]
    standards, frees = zip(*turns[2:], strict=True)
    return median(frees) / STEPS / median(standards)


def main() -> None:
    """Print all ratios."""
    names = list(ways())
    calls = {name: [sys.executable, __file__, name] for name in names}
    found = {name: json.loads(subprocess.run(calls[name], check=True, capture_output=True).stdout) for name in names}
    # Draws come one after the other: two take as much memory as ten.
    tensors = {name: held(run) for name, run in ways(draws=2).items()}
    for name, row in found.items():
        print(f"{name:48s} {row['seconds']:8.3f} s   tensors {tensors[name]:5.1f} MB, process +{row['peak']:.0f} MB")
    seconds = {name: row["seconds"] for name, row in found.items()}
    made = {name: run() for name, run in ways().items() if name in ("gradient, ours", "gradient, captum")}
    ours, captums = made.values()
    print(f"maps differ by {((ours - captums).norm() / captums.norm()).item():.1e} (relative norm)")
    for method in ("gradient", "smoothgrad"):
        for other in ("captum", "captum on our layers"):
            ratio = seconds[f"{method}, {other}"] / seconds[f"{method}, ours"]
            print(f"{method}: {other} takes {ratio:.2f} times as long as ours")
    floor = seconds["gradient, one forward and six backward passes"]
    print(f"gradient: ours takes {seconds['gradient, ours'] / floor:.2f} times one forward and six backward passes")
    print(f"Algorithm 1: an update takes {update_ratio():.2f} times a standard one")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
