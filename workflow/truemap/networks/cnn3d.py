"""The 3D convolutional network of McClure et al. 2020, Table 2."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from truemap.config.options import BENT_BY_RELU, Count, NetworkOptions
from truemap.networks._layers import InputConv3d, SamePool3d, initialise
from truemap.runtime.log import NOTICE, log

#: Filters of Table 2, for maps of 91 x 109 x 91 voxels, of which the last pool leaves 2 x 3 x 2.
TABLE_2 = (32, 32, 64, 64, 64)
LEFT = 2
#: Filters that a block has at least.
LEAST = 8


class Options(NetworkOptions):
    """Blocks of 3x3x3 convolution, ReLU and 2x2x2 average pool, then one linear layer."""

    filters: Annotated[list[Count], Field(min_length=1)] | None = Field(
        None,
        description="filters of each block, outermost first; null: what fits the grid, as the log says. On HCP's at "
        "2 mm that is Table 2's [32, 32, 64, 64, 64]; on a smaller one there are fewer blocks, so that the last pool "
        "leaves two voxels of the shortest axis as it does there, and for each block that is left out half the "
        "filters, but 8 at least (at 8 mm [8, 8, 16])",
    )
    pool_stride: Literal[1, 2] = Field(
        2,
        description="stride of the pools; 1 is what Table 2's number of weights proves (57,768,256 inputs to the "
        "last layer), 2 is what its memory allows on most machines; with 2, blocks that would pool "
        "an axis already used up are left out, and the log says so",
    )
    activation: Literal["relu", "none"] = Field(
        "relu",
        description="none: the same layers without their non-linearity, so that the logits are affine in the map "
        "(the 'structured linear' models of version 3 of the paper)",
    )

    def traits(self) -> set[str]:
        """Convolutions in sequence, with ReLUs unless they are left out."""
        relus = {"relu", *(f"relu {number}" for number in range(1, len(self.filters or TABLE_2) + 1))}
        return {"sequence", "convolution", *BENT_BY_RELU} | (relus if self.activation == "relu" else set())


def fitting(shape: tuple[int, ...]) -> list[int]:
    """Return the filters of each block for maps of this shape (see `Options`)."""
    shortest = min((n for n in shape if n > 1), default=1)
    blocks = min(len(TABLE_2), max(1, int(math.log2(shortest / LEFT))))
    return [max(LEAST, filters >> (len(TABLE_2) - blocks)) for filters in TABLE_2[:blocks]]


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
    if options.filters is None:
        log.log(NOTICE, "cnn3d: filters %s, by the shape of the maps, %s", fitting(shape), tuple(shape))
    layers: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
    channels, size = 1, tuple(shape)
    flat = tuple(n == 1 for n in shape)
    kernel = tuple(1 if thin else 2 for thin in flat)
    wanted = options.filters or fitting(shape)
    for number, filters in enumerate(wanted):
        after = tuple(n if thin else n // options.pool_stride for n, thin in zip(size, flat, strict=True))
        if 0 in after:
            log.log(NOTICE, "cnn3d: %d of %d blocks fit maps of shape %s", number, len(wanted), tuple(shape))
            break
        pool = SamePool3d(kernel) if options.pool_stride == 1 else nn.AvgPool3d(kernel)
        activation = [nn.ReLU()] if options.activation == "relu" else []
        convolution = InputConv3d(filters, 3) if len(layers) == 1 else nn.Conv3d(channels, filters, 3, padding=1)
        layers += [convolution, *activation, pool]
        channels, size = filters, after
    layers += [nn.Flatten(), nn.Linear(channels * math.prod(size), classes)]
    return initialise(nn.Sequential(*layers), options)
