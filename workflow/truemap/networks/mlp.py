"""One hidden layer of ReLU units (McClure et al. 2020, section 3.1.1)."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import nn

from truemap.config.options import BENT_BY_RELU, Count, NetworkOptions
from truemap.networks._layers import initialise


class Options(NetworkOptions):
    """Flatten, hidden ReLU units, one linear layer with one output a class."""

    hidden: Count = Field(
        10,
        description="ReLU units; 10 in the paper (whose '7 unit' output layer for 3 classes is a slip: "
        "outputs are the classes), 20 in the authors' notebook",
    )
    activation: Literal["relu", "none"] = Field(
        "relu",
        description="none: the same layers without their non-linearity, so that the logits are affine in the map "
        "(the 'structured linear' models of version 3 of the paper)",
    )

    def traits(self) -> set[str]:
        """Layers in sequence, with ReLUs unless they are left out."""
        return {"sequence", *BENT_BY_RELU} | ({"relu", "relu 1"} if self.activation == "relu" else set())


def build(shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return the network: ``(n, *shape)`` to ``(n, classes)`` logits."""
    layers = [nn.Flatten(), nn.Linear(math.prod(shape), options.hidden), nn.Linear(options.hidden, classes)]
    if options.activation == "relu":
        layers.insert(2, nn.ReLU())
    return initialise(nn.Sequential(*layers), options)
