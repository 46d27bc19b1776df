"""Adversarial training on projected-gradient examples (Madry et al. 2018), in L2 as McClure et al. 2020 use it."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import EPSILON_UNIT, Count, EpsilonUnit, Grid, Positive, TrainingOptions
from truemap.geometry import direction, project, radius, step_lengths
from truemap.training._objective import log_odds, loss
from truemap.training.standard import update as clean_update


class Options(TrainingOptions):
    """Each minibatch is attacked first, then one weight update is made on the attacked maps."""

    epsilon: Grid[Positive] = Field(
        1.0, description="bound of the noise; the paper's text says 14 for the synthetic data, the authors' notebook 1"
    )
    epsilon_unit: EpsilonUnit = Field(
        "absolute", description=f"{EPSILON_UNIT}. The Linf bound is epsilon in either case: it holds for each voxel"
    )
    norm: Literal["l2", "linf"] = Field(
        "l2",
        description="l2: steps along the gradient, noise in the L2 ball; linf: steps along the gradient's signs, noise "
        "of each voxel within the bound (Madry et al.)",
    )
    steps: Count = Field(3, description="gradient steps of the attack; 3 in the paper")
    step: Literal["uniform"] | Positive = Field(
        1.0, description="length of a step: a share of the bound (1: the notebook's), or uniform for U(0, bound)"
    )
    clean: bool = Field(
        False, description="make an update on the maps as they are before each attacked one (the notebook)"
    )


def attack(
    network: nn.Module, x: torch.Tensor, y: torch.Tensor, options: Options, random: torch.Generator
) -> torch.Tensor:
    """Return noise ``(n, *shape)`` in the L2 ball or the Linf box that lowers the true class's probability.

    d <- P(d - nu grad_x p / ||grad_x p||) for L2, d <- P(d - nu sign(grad_x p)) for Linf, from d = 0. The
    gradient is taken of log(p / (1 - p)). All of grad p, grad log p and this one are positive multiples of each
    other, so that an attack on the probability (McClure et al.) and one on the cross-entropy (Madry et al.) are
    one; but this one does not vanish near p = 1 (see `truemap.training._objective.log_odds`).
    """
    bound = radius(options.epsilon, options.epsilon_unit, x[0].numel(), options.norm)
    noise = torch.zeros_like(x)
    for _ in range(options.steps):
        noise.requires_grad_(True)
        (gradient,) = torch.autograd.grad(log_odds(network(x + noise), y).sum(), noise)
        lengths = step_lengths(options.step, bound, len(x), x, random)
        noise = project(noise.detach() + lengths * direction(gradient, options.norm), bound, options.norm)
    return noise


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Attack one minibatch and update the weights on the result; return the loss there."""
    if options.clean:
        clean_update(network, optimizer, x, y, options, random)
    noise = attack(network, x, y, options, random)
    optimizer.zero_grad()
    value = loss(network, network(x + noise), y, options.l2)
    value.backward()
    optimizer.step()
    return value.item()
