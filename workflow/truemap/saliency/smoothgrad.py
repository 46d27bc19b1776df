"""SmoothGrad: the gradient averaged over noisy copies of the map (Smilkov et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import Count, Positive
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._differentiable import MapsOf, averaged, gradient_of, numbers
from truemap.saliency._draws import generators, noise
from truemap.saliency._outputs import OutputOptions, output_gradients
from truemap.saliency._scaled import Scaled, nothing


class Options(OutputOptions):
    """Output, and Gaussian noise on the input."""

    n: Count = Field(20, description="noisy copies a map; the paper's later version uses 20, the notebook 10")
    sigma: Positive = Field(
        2.0, description="sd of the noise, in units of the maps (z-scores); 2 for HCP, 0.3 synthetic"
    )

    def traits(self) -> set[str]:
        """What a voxel's change would change."""
        return {"gradient"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return the mean over n draws of d f_c(x + noise) / d x, shape (n, classes, *shape), float64.

    A sample's noise comes from (seed, sample) alone, so that no batch size or order changes a map.
    """
    return scaled(decoder, x, samples, options, context).numbers()


def scaled(decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context) -> Scaled:
    """Return the maps of `explain` with the logarithms of their scales."""
    sources = generators(context, "smoothgrad", samples)
    total = nothing(x, len(decoder.classes))
    for _ in range(options.n):
        total.add(output_gradients(decoder, x + options.sigma * noise(sources, x), options.output))
    total.values /= options.n
    return total


def differentiable(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> MapsOf:
    """Return `explain` of one class each as a function that can be differentiated; the noise is drawn once."""

    def maps(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        return numbers(*of_class(network, inputs))

    of_class = class_averages(decoder, x, targets, samples, options, context)
    return maps


def class_averages(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> Callable[[nn.Module, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Return the maps of `differentiable` as values and logarithms of their scales."""
    sources = generators(context, "smoothgrad", samples)
    drawn = [options.sigma * noise(sources, x).to(x) for _ in range(options.n)]

    def found(network: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gradient = gradient_of(network, targets, options, decoder.temperature)
        return averaged(inputs, options.n, lambda number, at: at + drawn[number], gradient)

    return found
