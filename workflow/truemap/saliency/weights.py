"""The weights of multinomial regression, the same map for every input (McClure et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from truemap.config.options import MethodOptions
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._layers import linear_layer


class Options(MethodOptions):
    """No options; linear networks only."""

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
    maps = linear_layer(decoder, "weights").weight.detach().double().view(len(decoder.classes), *x.shape[1:])
    return maps.expand(len(x), *maps.shape)
