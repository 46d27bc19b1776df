"""The absolute value of the gradient (Simonyan, Vedaldi & Zisserman 2014, section 3): unsigned maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._differentiable import MapsOf, class_maps
from truemap.saliency._outputs import OutputOptions, output_gradients


class Options(OutputOptions):
    """Which output is explained."""


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return the size of each class's gradient.

    .. math:: M_c(x) = |\\partial f_c(x) / \\partial x|

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples, context
        Not used: nothing is drawn.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64
        Not negative.
    """
    return output_gradients(decoder, x, options.output).numbers().abs()


def differentiable(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> MapsOf:
    """Return `explain` of one class each as a function that can be differentiated (`class_maps`)."""
    gradients = class_maps(decoder, targets, options)
    return lambda network, inputs: gradients(network, inputs).abs()
