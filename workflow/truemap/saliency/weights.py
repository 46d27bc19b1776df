"""The weights of multinomial regression, the same map for every input (McClure et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from truemap.config.options import MethodOptions
from truemap.networks._decoder import Decoder
from truemap.networks._structure import adapter_of, linear_layer, voxel_weights
from truemap.saliency._context import Context


class Options(MethodOptions):
    """No options; linear networks only."""

    def traits(self) -> set[str]:
        """What a voxel's change would change."""
        return {"gradient"}

    def needs(self) -> set[str]:
        """One weight a voxel and class."""
        return {"linear"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return w_c for every class c, shape (n, classes, *shape), float64.

    Raises
    ------
    ValueError
        If the network is not linear.
    """
    maps = voxel_weights(linear_layer(decoder, "weights"), adapter_of(decoder.network), x.shape[1:])
    return maps.expand(len(x), *maps.shape)
