"""Training on maps with random noise, uniform in the L2 ball: the CNN-Rand of McClure et al. 2020 (version 3)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import EPSILON_UNIT, EpsilonUnit, Grid, Positive, TrainingOptions
from truemap.geometry import ball, radius
from truemap.training.standard import update as clean_update


class Options(TrainingOptions):
    """Each minibatch gets fresh noise that knows nothing of the network: the control for adversarial noise."""

    epsilon: Grid[Positive] = Field(0.1, description="bound of the noise; 0.1 a voxel is the paper's 95 at 2 mm")
    epsilon_unit: EpsilonUnit = Field("voxel", description=EPSILON_UNIT)


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
