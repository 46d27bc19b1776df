"""Integrated gradients (Sundararajan, Taly & Yan 2017, eq. 1 and 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from scipy.ndimage import gaussian_filter

from truemap.networks.decoder import Decoder
from truemap.options import Count, MethodOptions, Positive
from truemap.saliency.outputs import output_gradients, output_values


class Options(MethodOptions):
    """Output, baseline and number of points on the path."""

    output: Literal["probability", "logit"] = Field(
        "probability", description="output whose gradient is integrated: calibrated probability, or raw logit"
    )
    baseline: Literal["zero", "blurred"] = Field(
        "zero", description="where the path starts: a map of zeros, or the map itself after a Gaussian blur"
    )
    sigma: Positive = Field(
        2.0, description="sd of the blur in voxels, edges extended by their nearest voxel; for baseline blurred only"
    )
    steps: Count = Field(
        50, description="points on the path (midpoint rule), each costs one forward and one backward pass a class"
    )


def explain(decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, seed: int) -> torch.Tensor:
    """Return each class's gradient, averaged on the straight path from the baseline, times the way.

    .. math:: M_c(x) = (x - x_0) \\odot \\frac{1}{m} \\sum_{k=1}^{m}
              \\frac{\\partial f_c}{\\partial x}\\Big(x_0 + \\frac{k - 1/2}{m} (x - x_0)\\Big)

    The paper's eq. 3 takes the right end of each of the m steps; the midpoint's error falls with
    m^2 instead of m where the gradient is smooth. `completeness_error` measures it.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples, seed
        Not used: nothing is drawn.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64
    """
    start = baseline(x, options)
    total = torch.zeros(len(x), len(decoder.classes), *x.shape[1:], dtype=torch.float64, device=x.device)
    for k in range(options.steps):
        total += output_gradients(decoder, start + (k + 0.5) / options.steps * (x - start), options.output)
    return (x - start).double()[:, None] * total / options.steps


def baseline(x: torch.Tensor, options: Options) -> torch.Tensor:
    """Return the start of each map's path, shape (n, *shape)."""
    if options.baseline == "zero":
        return torch.zeros_like(x)
    axes = tuple(range(1, x.ndim))
    blurred = gaussian_filter(x.detach().cpu().numpy(), options.sigma, axes=axes, mode="nearest")
    return torch.from_numpy(blurred).to(x)


def completeness_error(decoder: Decoder, x: torch.Tensor, maps: torch.Tensor, options: Options) -> torch.Tensor:
    """Return by how much each map misses completeness, the sum of its voxels being f_c(x) - f_c(x_0).

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    maps : Tensor, shape (n, classes, *shape)
        From `explain` with the same options.

    Returns
    -------
    Tensor, shape (n, classes), float64
        Sum of the map less the difference of the outputs; 0 is exact.
    """
    outputs = [output_values(decoder, at, options.output) for at in (x, baseline(x, options))]
    return maps.flatten(2).sum(dim=2) - (outputs[0] - outputs[1])
