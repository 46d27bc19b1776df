"""One hidden layer of ReLU units (McClure et al. 2020, section 3.1.1)."""

from __future__ import annotations

import math

from pydantic import Field
from torch import nn

from truemap.networks.layers import initialise
from truemap.options import Count, NetworkOptions


class Options(NetworkOptions):
    """Flatten, hidden ReLU units, one linear layer with one output a class."""

    hidden: Count = Field(
        10,
        description="ReLU units; 10 in the paper (whose '7 unit' output layer for 3 classes is a slip: "
        "outputs are the classes), 20 in the authors' notebook",
    )


def build(shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return the network: ``(n, *shape)`` to ``(n, classes)`` logits."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape), options.hidden), nn.ReLU(), nn.Linear(options.hidden, classes)
    )
    return initialise(network, options)
