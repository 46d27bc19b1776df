"""An L2 penalty on the weights whose strength is chosen as that of a robust training is.

A control of this project: what robust training gains, a plain penalty may gain too.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import Grid, Positive, TrainingOptions
from truemap.training._objective import loss


class Options(TrainingOptions):
    """The loss of `standard` with an ``l2``; of several strengths the largest is taken that costs no accuracy.

    Of several ``l2`` the one of lowest validation NLL is taken.
    """

    strength: Grid[Positive] = Field(
        0.01, description="penalty strength/2 times the sum of squared weights (biases excluded); added to `l2`"
    )


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Update the weights for one minibatch; return the loss, penalty included.

    L = CE + strength/2 * sum_i w_i^2.
    """
    optimizer.zero_grad()
    value = loss(network, network(x), y, options.l2 + options.strength)
    value.backward()
    optimizer.step()
    return value.item()
