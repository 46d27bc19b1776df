"""Gradient times input (Shrikumar et al. 2016, arXiv:1605.01713)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._differentiable import MapsOf, class_maps
from truemap.saliency._outputs import OutputOptions, output_gradients


class Options(OutputOptions):
    """Which output is explained."""

    def traits(self) -> set[str]:
        """Each voxel's share of the output, beside a map of zeros."""
        return {"attribution", "zero"}


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
    return lambda network, inputs: inputs.double() * gradients(network, inputs)
