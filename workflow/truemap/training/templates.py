"""Class means as templates: the closed form of `truemap.networks.correlation` (McClure et al. 2020, version 3)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from truemap.config.options import Count, TrainingOptions
from truemap.networks.correlation import Correlation
from truemap.runtime.files import DataError
from truemap.training._objective import loss


class Options(TrainingOptions):
    """Each class's template becomes the mean of its training maps; nothing is optimised."""

    epochs: Literal[1] = Field(1, description="one pass is all: the means are exact after it")
    batch_size: Count | None = Field(32, description="maps read at a time; null is all. The means do not depend on it")
    learning_rate: Literal[1] = Field(1, description="not used")
    l2: Literal[0] = Field(0, description="not used: a correlation does not depend on the length of a template")
    precision: Literal["float32"] = Field("float32", description="means are float32; nothing passes the network")
    micro_batch: None = Field(None, description="not used: `batch_size` is how many maps are read at a time")

    def traits(self) -> set[str]:
        """Nothing is searched for."""
        return {"closed form"}

    def needs(self) -> set[str]:
        """A network that holds templates."""
        return {"templates"}


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Take one minibatch into the means; return the cross-entropy before that.

    t_c <- t_c + sum_{n: y_n = c} (x_n - t_c) / N_c, N_c the number of maps of class c so far, these included.

    Raises
    ------
    DataError
        If the network has no templates.
    """
    if not isinstance(network, Correlation):
        raise DataError(
            "templates: this training sets the templates of `network: correlation`, and the model has another network. "
            "Choose that network, or another training."
        )
    with torch.no_grad():
        value = loss(network, network(x), y, 0.0)
        members = functional.one_hot(y, len(network.counts)).to(x)
        added = members.sum(0)
        network.counts += added
        sums = members.T @ x.flatten(1) - added[:, None] * network.templates
        network.templates += sums / network.counts.clamp_min(1)[:, None]
    return value.item()
