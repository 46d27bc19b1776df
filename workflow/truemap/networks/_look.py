"""What a network is made of, found by running maps through it: what methods may rely on, whoever wrote it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from truemap.networks._checks import check_gradient, check_outputs
from truemap.networks._structure import only_linear, relu_layers, replaced, sequence
from truemap.runtime.files import DataError

#: Functions that are activations, by the names that PyTorch's calls have; for messages only.
ACTIVATIONS = {
    "relu", "relu_", "relu6", "gelu", "silu", "silu_", "elu", "celu", "selu", "leaky_relu", "leaky_relu_",
    "prelu", "rrelu", "mish", "glu", "hardtanh", "hardswish", "hardsigmoid", "softplus", "softsign", "softmax",
    "softmin", "log_softmax", "sigmoid", "sigmoid_", "tanh", "tanh_", "tanhshrink", "softshrink", "hardshrink",
    "threshold", "clamp", "clamp_", "clamp_min", "clamp_max", "maximum", "minimum", "where",
}  # fmt: skip
#: Pools of largest values and normalisations, which have a gradient that methods for ReLUs leave as it is.
LARGEST = {f"max_pool{n}d": n for n in (1, 2, 3)} | {f"adaptive_max_pool{n}d": n for n in (1, 2, 3)}
NORMALISING = ("layer_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm")
AVERAGES = {1: functional.adaptive_avg_pool1d, 2: functional.adaptive_avg_pool2d, 3: functional.adaptive_avg_pool3d}
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
#: Of the largest output: by how much an affine network in float64 may miss being one.
ROUNDING = 1e-8


@dataclass(frozen=True)
class Looked:
    """What was found.

    Attributes
    ----------
    traits : set of str
        ``relu`` (has nn.ReLU layers), ``relu k`` (the k-th of them is the k-th that runs, once), ``relu only`` (without
        its nn.ReLU layers, pools of largest values and normalisations it is affine), ``affine but for relu``
        (without its nn.ReLU layers it is), ``sequence`` and ``linear`` (see `truemap.networks._layers`),
        ``convolution``. Of a planted network its ``model.json`` says ``planted`` too.
    others : list of str
        Activations that are functions or modules other than nn.ReLU, by name.
    """

    traits: set[str]
    others: list[str]

    def described(self) -> dict[str, list[str]]:
        """Return it as ``model.json`` has it."""
        return {"traits": sorted(self.traits), "activations": self.others}


def look(network: nn.Module, x: torch.Tensor, classes: int, name: str) -> Looked:
    """Return what a network is made of.

    Asked of a copy in float64, without its nn.ReLU layers: is f affine, that is, does
    f(0.7 u - 1.3 v + 1.6 w) equal 0.7 f(u) - 1.3 f(v) + 1.6 f(w)? Whatever else bends, by any name, breaks that.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; maps ``(n, *shape)`` to logits.
    x : Tensor, shape (2, *shape), float32
        Two maps of the data.
    classes : int
    name : str
        What errors call it.

    Raises
    ------
    DataError
        If it does not give one finite logit a class, or gives a map something else beside another map, or has no
        gradient or one that is not its slope.
    """
    try:
        check_outputs(network, x, classes)
        bare = copy.deepcopy(network).double()
        check_gradient(bare, x[:1].double())
    except DataError as error:
        raise DataError(f"network '{name}': {error}. Mend the network, or take another.") from error
    relus = relu_layers(network)
    calls, heard = _calls(network, relus, x)
    traits = {"relu"} if relus else set()
    with suppress(ValueError):
        sequence(network, "")
        traits.add("sequence")
    if only_linear(network):
        traits.add("linear")
    if heard & set(CONVOLUTIONS):
        traits.add("convolution")
    for number, layer in enumerate(relus, 1):
        if calls[number - 1 : number] != [layer] or calls.count(layer) > 1:
            break
        traits.add(f"relu {number}")
    if _is_affine(bare, x.double(), Bare()):
        traits.add("affine but for relu")
    if "affine but for relu" in traits or _is_affine(bare, x.double(), Bare(largest=True)):
        traits.add("relu only")
    return Looked(traits, sorted(heard & ACTIVATIONS))


class Bare(TorchFunctionMode):
    """Calls of functions as they are; or, with `largest`, with what methods for ReLUs leave alone taken away."""

    def __init__(self, largest: bool = False) -> None:
        super().__init__()
        self.largest = largest
        self.heard: set[str] = set()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        """Return what the function gives, or what stands for it: an average pool of that size, or its input."""
        name, named = getattr(function, "__name__", ""), named or {}
        self.heard.add(name)
        if not self.largest:
            return function(*arguments, **named)
        if name in NORMALISING:
            return arguments[0]
        found = function(*arguments, **named)
        if name in LARGEST and isinstance(found, torch.Tensor):
            return AVERAGES[LARGEST[name]](arguments[0], found.shape[-LARGEST[name] :])
        return found


def _calls(network: nn.Module, relus: list[nn.ReLU], x: torch.Tensor) -> tuple[list[nn.Module], set[str]]:
    """Return nn.ReLU layers in the order in which they run, and the names of the functions called outside them."""
    calls: list[nn.Module] = []
    mode = Bare()

    def enter(layer: nn.Module, _inputs: Any) -> None:
        calls.append(layer)

    with ExitStack() as stack, torch.no_grad(), mode, replaced(relus, lambda a: a):
        for layer in relus:
            stack.callback(layer.register_forward_pre_hook(enter).remove)
        network(x[:1])
    return calls, mode.heard


def _is_affine(network: nn.Module, x: torch.Tensor, mode: Bare) -> bool:
    """Return whether the network is affine without its nn.ReLU layers, along two maps and noise."""
    relus = relu_layers(network)
    generator = torch.Generator(device="cpu").manual_seed(0)
    noise = torch.randn(x[:1].shape, generator=generator, dtype=torch.float64).to(x.device) * x.std()
    points, shares = torch.stack([x[0], x[1], noise[0]]), x.new_tensor([0.7, -1.3, 1.6])
    mixed = torch.einsum("k,k...->...", shares, points)
    try:
        with torch.no_grad(), replaced(relus, lambda a: a), mode:
            # One map at a time, as at 2 mm these activations are the largest of all.
            values = torch.cat([network(one[None]) for one in (*points, mixed)]).double()
    except RuntimeError:
        # A network that casts to float32 cannot be asked in float64.
        return False
    expected = shares @ values[:3]
    largest = float(values.abs().max())
    return bool((values[3] - expected).abs().max() <= ROUNDING * max(largest, 1e-300))
