"""Training on maps with random noise, uniform in the L2 ball: the CNN-Rand of McClure et al. 2020 (version 3)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from truemap.options import Grid, Positive, TrainingOptions
from truemap.training.objective import radius
from truemap.training.sphere import unit_vectors
from truemap.training.standard import update as clean_update


class Options(TrainingOptions):
    """Each minibatch gets fresh noise that knows nothing of the network: the control for adversarial noise."""

    epsilon: Grid[Positive] = Field(0.1, description="bound of the noise; 0.1 a voxel is the paper's 95 at 2 mm")
    epsilon_unit: Literal["voxel", "absolute"] = Field(
        "voxel", description="voxel: the L2 bound is epsilon times sqrt(voxels); absolute: it is epsilon"
    )


def ball(x: torch.Tensor, bound: float, random: torch.Generator) -> torch.Tensor:
    """Return noise shaped like `x`, for each map uniform in the L2 ball of radius `bound`.

    d = bound u^(1/D) g / ||g||,  g ~ N(0, I), u ~ U(0, 1), D the number of voxels (Muller 1959). With many
    voxels nearly all of the ball's volume lies at its surface: at D = 1024 the mean length is 0.999 `bound`.
    """
    directions = unit_vectors(x, random)
    lengths = bound * torch.rand(len(x), generator=random, dtype=torch.float64) ** (1 / x[0].numel())
    return directions * lengths.to(x).view(-1, *[1] * (x.dim() - 1))


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Update the weights on the minibatch with noise added; return the loss there.

    W <- W + tau grad_W log p(y | x + d), d ~ U(B(0, eps)), as Algorithm 1 of McClure et al. 2020 with
    the adversarial noise replaced by random noise of the same bound.
    """
    bound = radius(options.epsilon, options.epsilon_unit, x[0].numel())
    return clean_update(network, optimizer, x + ball(x, bound, random), y, options, random)
