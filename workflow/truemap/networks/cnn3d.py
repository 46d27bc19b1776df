"""The 3D convolutional network of McClure et al. 2020, Table 2."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import nn

from truemap.config.options import BENT_BY_RELU, Count, NetworkOptions
from truemap.networks._layers import InputConv3d, SamePool3d, initialise


class Options(NetworkOptions):
    """Blocks of 3x3x3 convolution, ReLU and 2x2x2 average pool, then one linear layer."""

    filters: list[Count] = Field(
        [32, 32, 64, 64, 64], min_length=1, description="filters of each block, outermost first (Table 2)"
    )
    pool_stride: Literal[1, 2] = Field(
        2,
        description="stride of the pools; 1 is what Table 2's number of weights proves (57,768,256 inputs to the "
        "last layer), 2 is what its memory allows on most machines; with 2, blocks that would pool "
        "an axis already used up are left out",
    )
    activation: Literal["relu", "none"] = Field(
        "relu",
        description="none: the same layers without their non-linearity, so that the logits are affine in the map "
        "(the 'structured linear' models of version 3 of the paper)",
    )

    def traits(self) -> set[str]:
        """Convolutions in sequence, with ReLUs unless they are left out."""
        relus = {"relu", *(f"relu {number}" for number in range(1, len(self.filters) + 1))}
        return {"sequence", "convolution", *BENT_BY_RELU} | (relus if self.activation == "relu" else set())


def build(shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return the network: ``(n, *shape)`` to ``(n, classes)`` logits.

    An axis one voxel thick is neither pooled nor counted. With stride 2 the blocks end before the
    shortest other axis would fall below one voxel.

    Raises
    ------
    ValueError
        If `shape` has not three axes.
    """
    if len(shape) != 3:
        raise ValueError(f"cnn3d needs maps with three axes (one may be 1 voxel thick), not shape {shape}")
    layers: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
    channels, size = 1, tuple(shape)
    flat = tuple(n == 1 for n in shape)
    kernel = tuple(1 if thin else 2 for thin in flat)
    for filters in options.filters:
        after = tuple(n if thin else n // options.pool_stride for n, thin in zip(size, flat, strict=True))
        if 0 in after:
            break
        pool = SamePool3d(kernel) if options.pool_stride == 1 else nn.AvgPool3d(kernel)
        activation = [nn.ReLU()] if options.activation == "relu" else []
        convolution = InputConv3d(filters, 3) if len(layers) == 1 else nn.Conv3d(channels, filters, 3, padding=1)
        layers += [convolution, *activation, pool]
        channels, size = filters, after
    layers += [nn.Flatten(), nn.Linear(channels * math.prod(size), classes)]
    return initialise(nn.Sequential(*layers), options)
