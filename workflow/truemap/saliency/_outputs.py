"""Outputs of a decoder and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from pydantic import Field

from truemap.config.options import MethodOptions
from truemap.networks._decoder import Decoder
from truemap.saliency._jacobian import probability_gradients
from truemap.saliency._scaled import Scaled, unscaled

Output = Literal["probability", "logit"]


class OutputOptions(MethodOptions):
    """Which output is explained."""

    output: Output = Field(
        "probability", description="output whose gradient is taken: calibrated probability, or raw logit"
    )


def output_gradients(decoder: Decoder, x: torch.Tensor, output: Output) -> Scaled:
    """Return the gradient of every class's output, maps of shape (n, classes, *shape).

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    output : {"probability", "logit"}
        Calibrated probability (classes - 1 backward passes) or raw logit (one a class).
    """
    if output == "probability":
        return probability_gradients(decoder.network, x, decoder.temperature)
    return unscaled(logit_gradients(decoder.network, x))


def logit_gradients(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return d z_c / d x for every class c, shape (n, classes, *shape), float64.

    One forward pass and one backward pass a class.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        logits = network(x)
    count = logits.shape[1]
    gradients = torch.zeros(len(x), count, *x.shape[1:], dtype=torch.float64, device=x.device)
    for c in range(count):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), x, retain_graph=c < count - 1)
        gradients[:, c] = gradient
    return gradients


@torch.no_grad()
def output_values(decoder: Decoder, x: torch.Tensor, output: Output) -> torch.Tensor:
    """Return every class's output, shape (n, classes), float64."""
    logits = decoder.network(x).double()
    return torch.softmax(logits / decoder.temperature, dim=1) if output == "probability" else logits


def incompleteness(
    decoder: Decoder, x: torch.Tensor, starts: Iterable[torch.Tensor], maps: torch.Tensor, output: Output
) -> torch.Tensor:
    """Return the sum of each map less what it should be, f_c(x) less the mean of f_c at its baselines.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    starts : iterable of Tensor, each of shape (n, *shape) or (1, *shape)
        Baselines of each map.
    maps : Tensor, shape (n, classes, *shape)
    output : {"probability", "logit"}

    Returns
    -------
    Tensor, shape (n, classes), float64
    """
    below = torch.stack([output_values(decoder, start, output) for start in starts]).mean(dim=0)
    return maps.flatten(2).sum(dim=2) - (output_values(decoder, x, output) - below)
