"""The weights of multinomial regression, the same map for every input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from truemap.networks.decoder import Decoder
from truemap.options import MethodOptions


class Options(MethodOptions):
    """No options; linear networks only."""


def explain(decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, seed: int) -> torch.Tensor:
    """Return w_c for every class c, shape (n, classes, *shape), float64.

    Raises
    ------
    ValueError
        If the network is not linear.
    """
    layers = [layer for layer in decoder.network if isinstance(layer, nn.Linear)]
    if decoder.kind != "linear" or len(layers) != 1:
        raise ValueError(f"weights explain a linear network only, not {decoder.kind}")
    maps = layers[0].weight.detach().double().view(len(decoder.classes), *x.shape[1:])
    return maps.expand(len(x), *maps.shape)
