"""Whether a network is a decoder at all: what it gives for maps, and whether its gradient is its slope."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from truemap.runtime.files import DataError

#: Functions that make shares or probabilities of logits, by the names that PyTorch's calls have.
LINKS = ("sigmoid", "sigmoid_", "special_expit", "hardsigmoid", "logsigmoid", "log_sigmoid")
#: Steps by which the slope is tried, as shares of the map's length.
STEPS = (1e-6, 1e-5, 1e-4)
#: By how much slopes of half and a quarter of a step may differ from that of the step, and by how much the gradient.
STEADY, SLOPE = 0.02, 0.1
#: Standard deviation of noise on the map, as a share of its own.
BESIDE = 0.01
#: Share of the gradient's length below which no difference counts.
SMALL = 1e-3


def check_outputs(network: nn.Module, x: torch.Tensor, classes: int) -> None:
    """Refuse what gives a map something else than one logit a class, the same beside any other map, with a gradient.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    x : Tensor, shape (2, *shape), float32
    classes : int

    Raises
    ------
    DataError
        Without the network's name and without a remedy.
    """
    drawn = _generator(x)
    with torch.enable_grad():
        inputs = x.clone().requires_grad_(True)
        logits = _logits(network, inputs)
        _check_shape(logits, len(x), classes)
        gradient = torch.autograd.grad(logits.sum(), inputs, allow_unused=True)[0] if logits.requires_grad else None
    if not logits.isfinite().all():
        raise DataError("its logits are NaN or infinite for maps of these data")
    if gradient is None:
        raise DataError("its logits have no gradient with respect to the map; nothing can be explained by gradients")
    logits = logits.detach().double()
    _check_logits(network, x, logits)
    if not torch.equal(drawn, _generator(x)):
        raise DataError(
            "it draws random numbers in evaluation mode too (dropout by a function without `training=self.training`, "
            "or a layer that stays in training mode)"
        )
    with torch.no_grad():
        alone = torch.cat([_logits(network, one[None]) for one in x]).double()
        again = network(x).double()
    allowed = 1e-3 * max(float(logits.abs().max()), 1e-6)
    for what, other in (("alone", alone), ("a second time", again)):
        if float((other - logits).abs().max()) > allowed:
            raise DataError(
                f"a map {what} gets other logits: layers draw random numbers or use the batch, in evaluation mode too "
                "(dropout by a function, or batch normalisation without running statistics)"
            )


def _check_shape(logits: Any, maps: int, classes: int) -> None:
    tensor = isinstance(logits, torch.Tensor)
    if tensor and logits.shape == (maps, classes):
        return
    single = "; of the one logit z of two classes return torch.cat([-z / 2, z / 2], dim=1), z of shape (n, 1)"
    found = tuple(logits.shape) if tensor else type(logits).__name__
    raise DataError(
        f"it gives {found} for {maps} maps, not ({maps}, {classes}): "
        f"one logit a map and class{single if tensor and classes == 2 and logits.numel() == maps else ''}"
    )


class Heard(TorchFunctionMode):
    """Keeps what `LINKS` give, where it has as many numbers as are asked for, and whether all numbers are float64."""

    def __init__(self, numbers: int = -1) -> None:
        super().__init__()
        self.numbers, self.exact = numbers, True
        self.outputs: list[tuple[str, torch.Tensor]] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        """Return what the function gives."""
        found, name = function(*arguments, **(named or {})), getattr(function, "__name__", "")
        if isinstance(found, torch.Tensor):
            self.exact &= found.dtype == torch.float64 or not found.is_floating_point()
            if name in LINKS and found.numel() == self.numbers:
                self.outputs.append((name, found))
        return found


def _generator(x: torch.Tensor) -> torch.Tensor:
    """Return the state of the generator that layers on the device of `x` draw from."""
    return torch.cuda.get_rng_state(x.device) if x.is_cuda else torch.get_rng_state()


def _check_logits(network: nn.Module, x: torch.Tensor, logits: torch.Tensor) -> None:
    """Refuse outputs, shape (n, classes), float64, of which another softmax would be another decoder."""
    ones, mode = logits.new_ones(len(x)), Heard(logits.numel())
    with torch.no_grad(), mode:
        network(x)
    # Shape alone may have changed since, and the type.
    last = [name for name, values in mode.outputs if torch.equal(values.double().reshape(logits.shape), logits)]
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(dim=1), ones, atol=1e-5):
        found, what = "probabilities (not negative, a sum of 1)", "softmax"
    elif bool((logits <= 0).all()) and torch.allclose(logits.exp().sum(dim=1), ones, atol=1e-5):
        found, what = "logarithms of probabilities (a sum of 1)", "log_softmax"
    elif last:
        found, what = f"those of {last[-1]}, a share for each class by itself", last[-1]
    else:
        return
    raise DataError(f"its outputs are {found}; its last {what} is to go, as logits are needed")


def check_gradient(network: nn.Module, x: torch.Tensor) -> None:
    """Refuse a network in float64 whose gradient close to one map, shape (1, *shape), is not the slope of its logits.

    With s a weighted sum of the logits and v a direction of length 1, (s(x + h v) - s(x - h v)) / 2 h goes to g v as h
    goes to 0, but where a part of s is computed without a gradient, or has one that somebody wrote. Tried along the
    gradient g, and along the map.

    Raises
    ------
    DataError
        As `check_outputs`.
    """
    generator, heard = torch.Generator(device="cpu").manual_seed(1), Heard()
    # Beside the map: where it is 0 all over, ReLUs without a bias, and pools of largest values, are at their bend.
    x = x + BESIDE * x.std() * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.device)
    try:
        with torch.enable_grad(), heard:
            point = x.clone().requires_grad_(True)
            logits = network(point)
    except RuntimeError:
        heard.exact = False
    if not heard.exact:
        # A network that casts to float32 cannot be asked in float64.
        return
    weights = torch.randn(logits.shape, generator=generator, dtype=torch.float64).to(x.device)
    (gradient,) = torch.autograd.grad((weights * logits).sum(), point)
    least = SMALL * float(gradient.norm())
    for way in (gradient, x):
        way = way / max(float(way.norm()), 1e-300)
        expected, slope = float((gradient * way).sum()), _slope(network, x, weights, way, least)
        if abs(slope - expected) > max(SLOPE * max(abs(expected), abs(slope)), least):
            raise DataError(
                f"its gradient is not how its logits change: by {expected:.3g} says the gradient, by {slope:.3g} say "
                "finite differences; a part of it has no gradient (torch.no_grad, detach, .data), or one of its own"
            )


def _slope(network: nn.Module, x: torch.Tensor, weights: torch.Tensor, way: torch.Tensor, least: float) -> float:
    """Return the slope of the weighted logits at x along a way, of the smallest step at which it is steady; else NaN.

    Parameters
    ----------
    least : float
        Below it no difference counts.
    """
    reach = max(float(x.norm()), 1e-6)
    with torch.no_grad():
        for step in STEPS:
            slopes = []
            for h in (step * reach, step * reach / 2, step * reach / 4):
                up, down = ((weights * network(x + sign * h * way)).sum() for sign in (1, -1))
                slopes.append(float(up - down) / (2 * h))
            if np.ptp(slopes) <= max(STEADY * max(map(abs, slopes)), least):
                return slopes[0]
    return math.nan


def _logits(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    try:
        return network(x)
    # Whatever a network of somebody else's raises.
    except Exception as error:
        raise DataError(
            f"it cannot take {len(x)} map(s) of shape {tuple(x.shape[1:])} ({type(error).__name__}: {error}); maps "
            "have channels only where `input` says so, of the JSON file beside trained weights"
        ) from error
