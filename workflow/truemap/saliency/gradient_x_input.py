"""Gradient times input (Shrikumar et al. 2016, arXiv:1605.01713)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field

from truemap.config.options import MethodOptions
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._outputs import output_gradients


class Options(MethodOptions):
    """Which output is explained."""

    output: Literal["probability", "logit"] = Field(
        "probability", description="output whose gradient is taken: calibrated probability, or raw logit"
    )


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return each class's gradient times the map.

    .. math:: M_c(x) = x \\odot \\partial f_c(x) / \\partial x

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples, context
        Not used: nothing is drawn.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64
    """
    return x.double()[:, None] * output_gradients(decoder, x, options.output).numbers()
