"""m-step minibatch adversarial training: Algorithm 1 of McClure et al. 2020."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import EPSILON_UNIT, Count, EpsilonUnit, Grid, Positive, TrainingOptions
from truemap.geometry import direction, project, radius, step_lengths
from truemap.training._objective import log_odds, loss


class Options(TrainingOptions):
    """Each minibatch is used for several updates while its adversarial noise grows."""

    epsilon: Grid[Positive] = Field(0.1, description="bound of the noise; 0.1 a voxel is the paper's 95 at 2 mm")
    epsilon_unit: EpsilonUnit = Field("voxel", description=EPSILON_UNIT)
    steps: Count = Field(4, description="m: updates of weights and noise a minibatch; an epoch costs m passes")
    step: Literal["uniform"] | Positive = Field(
        "uniform",
        description="length of a noise step: uniform draws from U(0, bound) (the paper), a number is a share of it",
    )
    gradient: Literal["shared", "after"] = Field(
        "shared",
        description="weights at which the noise's gradient is taken. shared: those before the update, from the same "
        "pass as the weights' gradient, as in the `free` training that the algorithm builds on; after: those after "
        "the update, as line 9 of Algorithm 1 is printed, for a second pass an update (twice the time)",
    )


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Make m updates of weights and noise on one minibatch; return the mean loss.

    For i = 1..m: W <- W + tau grad_W log p(y | x + d);  d <- P(d - nu grad_x p / ||grad_x p||), d = 0 at
    first, nu ~ U(0, eps), P the projection on the ball of radius eps.  With ``gradient: shared`` both gradients come
    from one backward pass, that is, at the weights before the update, as in the "free" training the algorithm builds
    on (Shafahi et al. 2019); with ``after`` grad_x is taken at the updated weights, as line 9 has it.  The direction
    of grad p is that of grad log p and of grad log(p / (1 - p)). Neither vanishes in float32 where p rounds to 1, the
    first only where logits differ by 104.
    """
    bound = radius(options.epsilon, options.epsilon_unit, x[0].numel())
    noise = torch.zeros_like(x)
    total = 0.0
    for left in reversed(range(options.steps)):
        noise.requires_grad_(True)
        optimizer.zero_grad()
        value = loss(network, network(x + noise), y, options.l2)
        value.backward()
        optimizer.step()
        gradient = noise.grad
        if options.gradient == "after" and left:  # the last noise meets no weights
            (gradient,) = torch.autograd.grad(log_odds(network(x + noise), y).sum(), noise)
        lengths = step_lengths(options.step, bound, len(x), x, random)
        # Of -log p or the log odds of an error: along it p falls.
        noise = project(noise.detach() + lengths * direction(gradient), bound)
        total += value.item()
    return total / options.steps
