"""A training step and saliency maps of Table 2's network at 2 mm on a GPU, beside captum and what the card can do.

Run from the checkout's root:  .venv/bin/python benchmarks/gpu.py
Pools of stride 2 and 1, 8 maps a minibatch, one map that is explained; steps on maps that the card holds, beside those
on maps that are read from a file, ahead of the step and between steps. Of each way: the median of several calls after
one; its peak of memory; the operations of its convolutions and products of matrices, and what its operations read and
write, as shares of what the card does with a large product and a large copy in the same run. Where memory is too small
for a way, it says so. Without a GPU nothing is measured, and it says so; TRUEMAP_GPU=cpu runs it on a CPU and a small
grid, so that its code is tried: those numbers mean nothing.
"""

import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

try:
    from captum import attr as captum
except ImportError:
    captum = None

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from truemap.data.volumes import Volumes  # noqa: E402 (the package lies in workflow/)
from truemap.networks._batches import Batches  # noqa: E402
from truemap.networks._decoder import Decoder, build_network  # noqa: E402
from truemap.networks._devices import prepare_device  # noqa: E402
from truemap.networks._layers import InputConv3d, SamePool3d  # noqa: E402
from truemap.saliency import gradient, integrated_gradients, smoothgrad  # noqa: E402
from truemap.saliency._context import Context  # noqa: E402
from truemap.training import free, pgd, standard  # noqa: E402
from truemap.training._passes import computed_in  # noqa: E402

PLACE = os.environ.get("TRUEMAP_GPU", "cuda")
ON_GPU = PLACE == "cuda"
SHAPE, FILTERS = ((91, 109, 91), [32, 32, 64, 64, 64]) if ON_GPU else ((8, 9, 8), [2, 3])
#: Side of the matrices that are multiplied, bytes that are copied, calls that are timed.
SIDE, COPIED, REPEATS = (8192, 1 << 30, 7) if ON_GPU else (64, 1 << 16, 1)
CLASSES, BATCH, TEMPERATURE, MINIBATCHES = 7, 8, 1.5, 8
STEPS, DRAWS, POINTS = (4, 20, 50) if ON_GPU else (2, 2, 2)
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
Run = Callable[[], object]
Serve = Callable[[Sequence[torch.Tensor]], Iterable[tuple[torch.Tensor, torch.Tensor]]]


class Counted(TorchDispatchMode):
    """Counts what is done within it.

    Attributes
    ----------
    operations : int
        Multiplications and additions of convolutions and products of matrices.
    traffic : int
        Bytes of all that operations read and write, if each does so once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.traffic = 0

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation."""
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        if func.overloadpacket in flop_registry:
            self.operations += flop_registry[func.overloadpacket](*args, **kwargs, out_val=found)
        if not func.is_view:
            tensors = [value for value in tree_leaves((args, kwargs, found)) if isinstance(value, torch.Tensor)]
            self.traffic += sum(value.numel() * value.element_size() for value in tensors)
        return found


@dataclass(frozen=True)
class Card:
    """What a device does: operations a second in each precision, bytes a second that are read or written."""

    rates: dict[str, float]
    bandwidth: float


@dataclass(frozen=True)
class Found:
    """What one way takes; its peak of memory in bytes, NaN on a CPU."""

    seconds: float
    peak: float
    operations: float
    traffic: float


def seconds(run: Run) -> float:
    """Return the time of one call, all of it done."""
    if not ON_GPU:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def typical(run: Run) -> float:
    """Return the median time of several calls after one."""
    run()
    return median(seconds(run) for _ in range(REPEATS))


def card(device: torch.device) -> Card:
    """Measure what the device does with a large product and a large copy."""
    rates = {}
    for name, kind in PRECISIONS.items():
        square = torch.randn(SIDE, SIDE, device=device).to(kind)
        rates[name] = 2 * SIDE**3 / typical(lambda square=square: square @ square)
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Card(rates, 2 * COPIED / typical(lambda: target.copy_(source)))


def measured(build: Callable[[], Run], share: int = 1) -> Found | None:
    """Return what a way takes, a share of each call; None where the card's memory is too small.

    Parameters
    ----------
    build : function
        Makes all that the way needs, and returns it.
    """
    gc.collect()
    if ON_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        run = build()
        with Counted() as counted:
            run()
        took = typical(run)
    except torch.cuda.OutOfMemoryError:
        return None
    peak = torch.cuda.max_memory_allocated() if ON_GPU else float("nan")
    return Found(took / share, peak, counted.operations / share, counted.traffic / share)


def network_of(stride: int, device: torch.device) -> nn.Module:
    """Return Table 2's network, the same weights each time."""
    torch.manual_seed(0)
    settings = {"name": "cnn3d", "filters": FILTERS, "pool_stride": stride}
    return build_network(settings, SHAPE, CLASSES).to(device)


def plain(network: nn.Module) -> nn.Module:
    """Return the same network of PyTorch's own layers, as a user would build it."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, InputConv3d):
            other = nn.Conv3d(1, layer.out_channels, 3, padding=1).to(layer.weight.device)
            other.load_state_dict(layer.state_dict())
            layer = other
        elif isinstance(layer, SamePool3d):
            layer = nn.Sequential(nn.ReplicationPad3d((0, 1, 0, 1, 0, 1)), nn.AvgPool3d(2, stride=1))
        layers.append(layer)
    return nn.Sequential(*layers)


def step_of(module: Any, options: Any, precision: str, stride: int, device: torch.device) -> Run:
    """Return one call of a training's `update`."""
    network = network_of(stride, device)
    optimizer, random = torch.optim.Adam(network.parameters()), torch.Generator().manual_seed(0)
    passing, (x, y) = computed_in(precision, network, options.micro_batch), minibatch(BATCH, device)
    return lambda: module.update(passing, optimizer, x, y, options, random)


def users_step(precision: str, stride: int, device: torch.device) -> Run:
    """Return a plain step as a user would write it, of PyTorch's own layers."""
    network, (x, y) = plain(network_of(stride, device)), minibatch(BATCH, device)
    optimizer = torch.optim.Adam(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            value = functional.cross_entropy(network(x), y)
        value.backward()
        optimizer.step()

    return step


def minibatch(count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return maps of noise and class numbers."""
    x = torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(1))
    return x.to(device), (torch.arange(count) % CLASSES).to(device)


def maps_of(module: Any, options: Any, stride: int, device: torch.device) -> Run:
    """Return one call of `explain`: one map, all classes."""
    network = network_of(stride, device).eval().requires_grad_(False)
    decoder = Decoder(network, TEMPERATURE, [f"class-{c}" for c in range(CLASSES)], "cnn3d")
    (x, _), context = minibatch(1, device), Context(0, None, torch.zeros(SHAPE, device=device), -3.0, 3.0)
    return lambda: module.explain(decoder, x, [0], options, context)


def users_maps(method: str, stride: int, device: torch.device) -> Run:
    """Return the same by captum, class by class, of PyTorch's own layers; without a method by PyTorch alone."""
    network = plain(network_of(stride, device)).eval().requires_grad_(False)
    (x, _) = minibatch(1, device)

    def probabilities(z: torch.Tensor) -> torch.Tensor:
        return torch.softmax(network(z) / TEMPERATURE, dim=1)

    def passes() -> torch.Tensor:
        z = x.clone().requires_grad_(True)
        found = probabilities(z)
        return torch.stack([torch.autograd.grad(found[:, c].sum(), z, retain_graph=True)[0] for c in range(CLASSES)])

    if not method:
        return passes
    slope = captum.Saliency(probabilities)
    noisy = {"nt_type": "smoothgrad", "nt_samples": DRAWS, "nt_samples_batch_size": 1, "stdevs": 2.0}
    attribute = {
        "gradient": lambda c: slope.attribute(x, target=c, abs=False),
        "smoothgrad": lambda c: captum.NoiseTunnel(slope).attribute(x, target=c, abs=False, **noisy),
        "integrated gradients": lambda c: captum.IntegratedGradients(probabilities).attribute(
            x, target=c, n_steps=POINTS, method="riemann_middle", internal_batch_size=1
        ),
    }[method]
    return lambda: torch.stack([attribute(c) for c in range(CLASSES)])


def told(name: str, found: Found | None, precision: str, known: Card) -> None:
    """Print what one way takes."""
    if found is None:
        print(f"  {name:56s} the card's memory is too small: not measured")
        return
    rate = found.operations / found.seconds / known.rates[precision]
    width = found.traffic / found.seconds / known.bandwidth
    print(
        f"  {name:56s} {1e3 * found.seconds:9.2f} ms  {found.peak / 1e9:6.2f} GB  {found.operations / 1e12:7.3f} T "
        f"operations, {rate:5.1%} of the matrix rate  {found.traffic / 1e9:7.2f} GB read and written, {width:5.1%}"
    )


def goal(what: str, over: Found | None, under: Found | None, wanted: str = "none") -> None:
    """Print a ratio of times, with the goal beside it."""
    ratio = f"{over.seconds / under.seconds:.2f}" if over and under else "not measured"
    print(f"  {what}: {ratio} (goal: {wanted})")


def trainings(stride: int, device: torch.device, known: Card) -> None:
    """Print what training steps take, and the goals."""
    ours = {
        "a plain step": (standard, standard.Options(), 1),
        "Algorithm 1, one gradient for both: one of its updates": (free, free.Options(steps=STEPS), STEPS),
        "Algorithm 1, noise's gradient after: one of its updates":
            (free, free.Options(steps=STEPS, gradient="after"), STEPS),
        "PGD, 3 steps": (pgd, pgd.Options(), 1),
        "a plain step, a map at a time": (standard, standard.Options(micro_batch=1), 1),
    }  # fmt: skip
    for precision in PRECISIONS:
        found = {}
        for name, (module, options, share) in ours.items():
            found[name] = measured(lambda m=module, o=options, p=precision: step_of(m, o, p, stride, device), share)
            told(f"{name}, {precision}", found[name], precision, known)
        users = measured(lambda p=precision: users_step(p, stride, device))
        told(f"a plain step, PyTorch's own layers, {precision}", users, precision, known)
        step, algorithm, *_ = found.values()
        goal(f"Algorithm 1, times a plain step, {precision}", algorithm, step, "at most 1.25")
        goal(f"PyTorch's own layers, times ours, {precision}", users, step)
        if precision == "bf16":
            floor = replace(step, seconds=step.operations / known.rates[precision]) if step else None
            goal("floor of a plain step's operations, times the step, bf16", floor, step, "at least 0.4")


def readings(stride: int, device: torch.device, known: Card) -> None:
    """Print what a step takes with its minibatch: held on the card, read ahead, and read between steps."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(
            f"{folder}/maps.npy",
            np.random.default_rng(0).standard_normal((MINIBATCHES * BATCH, *SHAPE), "f4").astype("f2"),
        )
        stored = np.load(f"{folder}/maps.npy", mmap_mode="r")
        labels = [str(row % CLASSES) for row in range(len(stored))]
        volumes, classes = Volumes([stored], pd.DataFrame({"label": labels})), sorted(set(labels))
        held, read = (Batches(volumes, classes, device, resident) for resident in (True, False))
        ways = {"held on the card": held.each, "read ahead": read.each, "read between steps": partial(map, read.get)}
        found = {}
        for name, serve in ways.items():
            found[name] = measured(lambda serve=serve: epoch_of(serve, stride, device), MINIBATCHES)
            told(f"a plain step and its minibatch, {name}, bf16", found[name], "bf16", known)
        goal("read ahead, times held on the card", found["read ahead"], found["held on the card"], "at most 1.05")


def epoch_of(serve: Serve, stride: int, device: torch.device) -> Run:
    """Return one call of a plain step for each minibatch that is served."""
    network = network_of(stride, device)
    optimizer, random = torch.optim.Adam(network.parameters()), torch.Generator().manual_seed(0)
    passing, parts = computed_in("bf16", network), torch.randperm(MINIBATCHES * BATCH, generator=random).split(BATCH)

    def epoch() -> None:
        for x, y in serve(parts):
            standard.update(passing, optimizer, x, y, standard.Options(), random)

    return epoch


def explanations(stride: int, device: torch.device, known: Card) -> None:
    """Print what maps of all classes take, and the goals; in float32, as all maps are."""
    ours = {
        "gradient": (gradient, gradient.Options()),
        "smoothgrad": (smoothgrad, smoothgrad.Options(n=DRAWS)),
        "integrated gradients": (integrated_gradients, integrated_gradients.Options(steps=POINTS)),
    }
    passes = measured(lambda: users_maps("", stride, device))
    told(f"gradient, PyTorch: one forward, {CLASSES} backward passes", passes, "float32", known)
    for name, (module, options) in ours.items():
        found = measured(lambda m=module, o=options: maps_of(m, o, stride, device))
        told(name, found, "float32", known)
        users = measured(lambda n=name: users_maps(n, stride, device)) if captum else None
        if captum:
            told(f"{name}, captum", users, "float32", known)
        goal(f"captum, times ours, {name}", users, found, "at least 3" if name == "gradient" else "none")


def main() -> None:
    """Print all of it."""
    if ON_GPU and not torch.cuda.is_available():
        print("no GPU here: nothing was measured")
        return
    device = prepare_device(PLACE, 1)
    known = card(device)
    name = torch.cuda.get_device_name(device) if ON_GPU else "a CPU and a small grid: these numbers mean nothing"
    print(f"{name}; PyTorch {torch.__version__}; maps of {SHAPE}, {BATCH} a minibatch")
    products = ", ".join(f"{rate / 1e12:.3g} T in {kind}" for kind, rate in known.rates.items())
    print(f"operations a second of products: {products}; bytes a second of a copy: {known.bandwidth / 1e9:.4g} G")
    if captum is None:
        print("captum is not installed: its ways are not measured")
    for stride in (2, 1):
        print(f"pools of stride {stride}")
        trainings(stride, device, known)
        readings(stride, device, known)
        explanations(stride, device, known)


if __name__ == "__main__":
    main()
