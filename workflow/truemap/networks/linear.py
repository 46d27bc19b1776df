"""Multinomial regression: one weight a voxel and class (McClure et al. 2020, section 2.1)."""

from __future__ import annotations

import math

from torch import nn

from truemap.config.options import BENT_BY_RELU, NetworkOptions
from truemap.networks._layers import initialise


class Options(NetworkOptions):
    """Multinomial regression; its L2 coefficient is the training option ``l2``."""

    def traits(self) -> set[str]:
        """One linear layer."""
        return {"linear", "sequence", *BENT_BY_RELU}


def build(shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return ``logits = W x + b``.

    Parameters
    ----------
    shape : tuple of int
        Shape of one map.
    classes : int
        Number of logits.

    Returns
    -------
    nn.Module
        Maps ``(n, *shape)`` to ``(n, classes)``; its last layer holds W.
    """
    return initialise(nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), classes)), options)
