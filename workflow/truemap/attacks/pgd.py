"""Projected gradient descent on the input (Madry et al. 2018), L2, until each map is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import Count, MethodOptions, Positive
from truemap.geometry import ball, direction, within
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed
from truemap.training._objective import log_odds


class Options(MethodOptions):
    """Starts and steps; a map that is wrong costs no more of them."""

    steps: Count = Field(100, description="gradient steps from each start")
    restarts: Count = Field(5, description="starts: the map as it is, then points drawn uniformly from the ball")
    step: Positive = Field(
        0.025, description="length of a step as a share of the bound; 2.5 / steps (Madry et al. 2018) reaches all of it"
    )


def perturb(
    decoder: Decoder,
    x: torch.Tensor,
    labels: torch.Tensor,
    samples: Sequence[int],
    bound: float,
    options: Options,
    seed: int,
) -> torch.Tensor:
    """Return noise d that makes each map wrong where it was found, else that of the largest loss.

    d <- P(d + nu grad_d L / ||grad_d L||), L = -log p of the true class (see `log_odds`), P the projection
    on the ball.
    A map is wrong where another logit is the largest. One that is wrong as it is gets no noise.
    A sample's starts come from (seed, sample) alone, so that no batch size or order changes its noise.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    labels : Tensor of int, shape (n,)
        True classes.
    samples : sequence of int
        Sample ids.
    bound : float
        Largest L2 norm of the noise.

    Returns
    -------
    Tensor, shape (n, *shape)
    """
    sources = [torch.Generator().manual_seed(derive_seed(seed, "pgd", sample)) for sample in samples]
    noise = torch.zeros_like(x)
    highest = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
    left = torch.arange(len(x), device=x.device)
    for start in range(options.restarts):
        if not len(left):
            break
        here = torch.zeros_like(x[left])
        if start > 0:
            here = torch.cat([ball(x[row : row + 1], bound, sources[row]) for row in left.tolist()])
        found, values, wrong = _climb(decoder.network, x[left], labels[left], within(here, bound), bound, options)
        better = wrong | (values > highest[left])
        noise[left[better]], highest[left[better]] = found[better], values[better]
        left = left[~wrong]
    return noise


def _climb(
    network: nn.Module, x: torch.Tensor, labels: torch.Tensor, here: torch.Tensor, bound: float, options: Options
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return, from one start, each map's first noise that makes it wrong or that of the largest loss; loss; wrong."""
    noise, broken = here.clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    highest = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
    left = torch.arange(len(x), device=x.device)
    for number in range(options.steps + 1):
        here.requires_grad_(True)
        logits = network(x[left] + here)
        values = log_odds(logits, labels[left])
        wrong = logits.argmax(1) != labels[left]
        better = wrong | (values > highest[left])
        noise[left[better]], highest[left[better]] = here.detach()[better], values.detach()[better]
        broken[left[wrong]] = True
        if number == options.steps or wrong.all():
            break
        # With the maps that just went wrong: to leave them out would take another forward pass.
        (gradient,) = torch.autograd.grad(values.sum(), here)
        moved = here.detach() + options.step * bound * direction(gradient)
        here, left = within(moved[~wrong], bound), left[~wrong]
    return noise, highest, broken
