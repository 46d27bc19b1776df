"""Maps of one class a sample as functions of the input, with a graph: what attacks on maps (`map_attacks`) descend.

PyTorch can differentiate a gradient again, but not maps that were detached, nor those of rules of their own. Here are
the parts that ways to explain with `differentiable` share. Each is what ``explain`` gives for that class: of one class
one backward pass, where all take one each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from truemap.networks._decoder import Decoder
from truemap.saliency._outputs import Output
from truemap.saliency._scaled import FLOOR, Scaled, nothing
from truemap.training._objective import log_odds

#: Network and input -> maps of one class each.
MapsOf = Callable[[nn.Module, torch.Tensor], torch.Tensor]
#: Inputs of shape (n, *shape) -> their gradients as values (n, *shape) and logarithms of scales (n,), with a graph.
Gradient = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def class_gradient(
    network: nn.Module, x: torch.Tensor, targets: torch.Tensor, output: Output, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient of each sample's own output as values times exp(log), with a graph if `x` has one.

    Of a calibrated probability p = s(u), where u = log(p / (1 - p)) are its log odds:

    .. math:: \\nabla p = p (1 - p) \\nabla u, \\quad \\log p (1 - p) = \\log s(u) + \\log s(-u)

    A map is normalised before it is attacked, and the factor is positive: where p rounds to 1 the gradient of u is the
    map, at full precision, and so is its derivative. Sums over several inputs weigh by the factor, of which the
    logarithm is given.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    targets : Tensor of int, shape (n,)
    output : {"probability", "logit"}
    temperature : float

    Returns
    -------
    values : Tensor, shape (n, *shape)
        Of the network's type.
    log : Tensor, shape (n,), float64
    """
    with torch.enable_grad():
        inputs = x if x.requires_grad else x.detach().requires_grad_(True)
        logits = network(inputs).double()
        if output == "logit":
            score = logits.gather(1, targets[:, None])[:, 0]
            log = torch.zeros_like(score)
        else:
            score = -log_odds(logits / temperature, targets)
            log = functional.logsigmoid(score) + functional.logsigmoid(-score)
        (values,) = torch.autograd.grad(score.sum(), inputs, create_graph=x.requires_grad)
    if not x.requires_grad:
        return values, log.detach()
    # The gradient of a linear network is a constant, which has no graph of its own.
    return (values if values.requires_grad else values + 0 * inputs), log


def numbers(values: torch.Tensor, log: torch.Tensor) -> torch.Tensor:
    """Return ``values * exp(log)``, float64, with scales raised to those of `truemap.saliency._scaled`."""
    return values.double() * log.clamp(min=FLOOR).exp().view(-1, *[1] * (values.ndim - 1))


class _Averaged(torch.autograd.Function):
    """The mean gradient over inputs made of one; each is made again for the backward pass, so that one is held."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        count: int,
        point: Callable[[int, torch.Tensor], torch.Tensor],
        gradient: Gradient,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        total = nothing(x, 1)
        for number in range(count):
            values, log = gradient(point(number, x.detach()))
            total.add(Scaled(values.double()[:, None], log[:, None]))
        top = total.log[:, 0]
        context.save_for_backward(x, top)
        context.made = count, point, gradient
        context.mark_non_differentiable(top)
        return total.values[:, 0] / count, top

    @staticmethod
    def backward(context: Any, cotangent: torch.Tensor, _of_top: Any) -> tuple[torch.Tensor, None, None, None]:
        x, top = context.saved_tensors
        count, point, gradient = context.made
        total = torch.zeros_like(x)
        for number in range(count):
            with torch.enable_grad():
                inputs = x.detach().requires_grad_(True)
                values, log = gradient(point(number, inputs))
                part = values.double() * (log - top).exp().view(-1, *[1] * (values.ndim - 1))
            (back,) = torch.autograd.grad(part, inputs, cotangent / count)
            total += back
        return total, None, None, None


def averaged(
    x: torch.Tensor, count: int, point: Callable[[int, torch.Tensor], torch.Tensor], gradient: Gradient
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of gradients at `count` inputs made of one, as values and logarithms, with a graph.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    count : int
    point : callable
        Number of the input and x -> the input, shape (n, *shape), with a graph to x.
    gradient : callable
        See `Gradient`.

    Returns
    -------
    values : Tensor, shape (n, *shape), float64
    log : Tensor, shape (n,), float64
        A constant: derivatives of weights are in the values.
    """
    found: tuple[torch.Tensor, torch.Tensor] = _Averaged.apply(x, count, point, gradient)
    return found


def class_maps(decoder: Decoder, targets: torch.Tensor, options: Any) -> MapsOf:
    """Return `class_gradient` as maps; options name the ``output``."""

    def maps(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        return numbers(*class_gradient(network, inputs, targets, options.output, decoder.temperature))

    return maps


def gradient_of(network: nn.Module, targets: torch.Tensor, options: Any, temperature: float) -> Gradient:
    """Return `class_gradient` as a function of the input alone; options name the ``output``."""
    return lambda x: class_gradient(network, x, targets, options.output, temperature)
