"""Training on the data as they are (the NN and CNN of McClure et al. 2020)."""

from __future__ import annotations

import torch
from torch import nn

from truemap.config.options import TrainingOptions
from truemap.training._objective import loss


class Options(TrainingOptions):
    """Cross-entropy, with an L2 penalty where ``l2`` is above 0."""


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Update the weights for one minibatch; return the loss before the update.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    y : Tensor of int, shape (n,)
    random : torch.Generator
        On the CPU; for methods that draw.
    """
    optimizer.zero_grad()
    value = loss(network, network(x), y, options.l2)
    value.backward()
    optimizer.step()
    return value.item()
