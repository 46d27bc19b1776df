"""The gradient of each class's calibrated probability (McClure et al. 2020, section 2.2.1), or of its logit."""

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
        """What a voxel's change would change."""
        return {"gradient"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return d f_c / d x for every class c, where f is the output that the options name.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples : sequence of int
        Sample ids, for methods that draw noise.
    context : Context
        Seed and training data, for methods that need them.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64
    """
    return output_gradients(decoder, x, options.output).numbers()


def differentiable(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> MapsOf:
    """Return `explain` of one class each as a function that can be differentiated (`class_maps`)."""
    return class_maps(decoder, targets, options)
