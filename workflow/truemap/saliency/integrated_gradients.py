"""Integrated gradients (Sundararajan, Taly & Yan 2017, eq. 1 and 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from torch import nn

from truemap.config.options import Count, Positive
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._differentiable import MapsOf, averaged, gradient_of, numbers
from truemap.saliency._outputs import OutputOptions, incompleteness, output_gradients
from truemap.saliency._scaled import Scaled, nothing


class Options(OutputOptions):
    """Output, baseline and number of points on the path."""

    baseline: Literal["zero", "blurred", "mean"] = Field(
        "zero",
        description="where the path starts: a map of zeros, the map itself after a Gaussian blur, or the mean of the "
        "training maps",
    )
    sigma: Positive = Field(
        2.0, description="sd of the blur in voxels, edges extended by their nearest voxel; for baseline blurred only"
    )
    steps: Count = Field(
        50, description="points on the path (midpoint rule), each costs one forward and one backward pass a class"
    )

    def traits(self) -> set[str]:
        """Each voxel's share of the output, beside the baseline; to a blur regions are not put back: sizes are left."""
        return set() if self.baseline == "blurred" else {"attribution", self.baseline}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return each class's gradient, averaged on the straight path from the baseline, times the way.

    .. math:: M_c(x) = (x - x_0) \\odot \\frac{1}{m} \\sum_{k=1}^{m}
              \\frac{\\partial f_c}{\\partial x}\\Big(x_0 + \\frac{k - 1/2}{m} (x - x_0)\\Big)

    The paper's eq. 3 takes the right end of each of the m steps; the midpoint's error falls with
    m^2 instead of m where the gradient is smooth. `residual` measures it.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples
        Not used: nothing is drawn.
    context : Context
        Of it only the mean.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64
    """
    return scaled(decoder, x, options, context).numbers()


def scaled(decoder: Decoder, x: torch.Tensor, options: Options, context: Context) -> Scaled:
    """Return the maps of `explain` with the logarithms of their scales."""
    start = baseline(x, options, context)
    total = nothing(x, len(decoder.classes))
    for k in range(options.steps):
        total.add(output_gradients(decoder, start + (k + 0.5) / options.steps * (x - start), options.output))
    total.values *= (x - start).double()[:, None] / options.steps
    return total


def baseline(x: torch.Tensor, options: Options, context: Context) -> torch.Tensor:
    """Return the start of each map's path, shape (n, *shape)."""
    if options.baseline == "zero":
        return torch.zeros_like(x)
    if options.baseline == "mean":
        return context.mean.to(x).expand_as(x)
    axes = tuple(range(1, x.ndim))
    blurred = gaussian_filter(x.detach().cpu().numpy(), options.sigma, axes=axes, mode="nearest")
    return torch.from_numpy(blurred).to(x)


def residual(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], maps: torch.Tensor, options: Options, context: Context
) -> torch.Tensor:
    """Return by how much each map misses completeness, the sum of its voxels being f_c(x) - f_c(x_0).

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    maps : Tensor, shape (n, classes, *shape)
        From `explain` with the same arguments.

    Returns
    -------
    Tensor, shape (n, classes), float64
        Sum of the map less the difference of the outputs; 0 is exact.
    """
    return incompleteness(decoder, x, [baseline(x, options, context)], maps, options.output)


def differentiable(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> MapsOf:
    """Return `explain` of one class each as a function that can be differentiated, by the baseline too if it moves."""

    def maps(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        return numbers(*of_class(network, inputs))

    of_class = class_averages(decoder, targets, options, context)
    return maps


def class_averages(
    decoder: Decoder, targets: torch.Tensor, options: Options, context: Context
) -> Callable[[nn.Module, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Return the maps of `differentiable` as values and logarithms of their scales."""

    def start(inputs: torch.Tensor) -> torch.Tensor:
        return _blurred(inputs, options.sigma) if options.baseline == "blurred" else baseline(inputs, options, context)

    def point(number: int, inputs: torch.Tensor) -> torch.Tensor:
        below = start(inputs)
        return below + (number + 0.5) / options.steps * (inputs - below)

    def found(network: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gradient = gradient_of(network, targets, options, decoder.temperature)
        values, log = averaged(inputs, options.steps, point, gradient)
        return (inputs - start(inputs)).double() * values, log

    return found


def _blurred(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return `baseline` where it is blurred, with a graph: the filter as one matrix an axis."""
    for axis in range(1, x.ndim):
        matrix = gaussian_filter1d(np.eye(x.shape[axis]), sigma, axis=0, mode="nearest")
        x = (x.movedim(axis, -1) @ torch.from_numpy(matrix).to(x).T).movedim(-1, axis)
    return x
