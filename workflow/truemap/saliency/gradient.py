"""The gradient of each class's calibrated probability (McClure et al. 2020, section 2.2.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from truemap.networks.decoder import Decoder
from truemap.options import MethodOptions
from truemap.saliency.jacobian import probability_gradients


class Options(MethodOptions):
    """No options."""


def explain(decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, seed: int) -> torch.Tensor:
    """Return d p_c / d x for every class c.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples : sequence of int
        Sample ids, for methods that draw noise.
    seed : int
        For methods that draw noise.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64
    """
    return probability_gradients(decoder.network, x, decoder.temperature)
