"""GradientSHAP, also expected gradients (Lundberg & Lee 2017; Erion et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field

from truemap.config.options import Count, NonNegative
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._draws import generators, noise, training_maps
from truemap.saliency._outputs import OutputOptions, incompleteness, output_gradients
from truemap.saliency._scaled import nothing


class Options(OutputOptions):
    """Output, number of draws and noise."""

    n: Count = Field(
        20,
        description="draws a map of a training map and a point on the path from it, each costs one forward and one "
        "backward pass a class",
    )
    sigma: NonNegative = Field(
        0.0,
        description="sd of Gaussian noise added to the map in each draw, in units of the maps (z-scores); "
        "captum's `stdevs`",
    )

    def traits(self) -> set[str]:
        """Each voxel's share of the output; beside training maps, of which regions are put back to the mean."""
        return {"attribution", "mean"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return integrated gradients averaged over baselines, by Monte Carlo.

    .. math:: M_c(x) = \\frac{1}{n} \\sum_{k=1}^{n} (x_k - b_k) \\odot
              \\frac{\\partial f_c}{\\partial x}\\big(b_k + a_k (x_k - b_k)\\big), \\quad
              a_k \\sim U(0, 1), \\quad x_k \\sim N(x, \\sigma^2)

    where the baselines b are training maps, drawn with replacement. All draws come from (seed, sample)
    alone.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples : sequence of int
        Sample ids.
    context : Context
        Seed and training maps.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64
    """
    sources = generators(context, "gradient_shap", samples)
    starts = training_maps(context, sources, options.n, x)
    shares = torch.stack([torch.rand(options.n, generator=source) for source in sources]).to(x)
    total = nothing(x, len(decoder.classes))
    for start, share in zip(starts, shares.T, strict=True):
        way = x - start
        if options.sigma > 0:
            way = way + options.sigma * noise(sources, x)
        at = start + share.view(-1, *[1] * (x.ndim - 1)) * way
        found = output_gradients(decoder, at, options.output)
        found.values *= way.double()[:, None]
        total.add(found)
    return total.numbers() / options.n


def residual(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], maps: torch.Tensor, options: Options, context: Context
) -> torch.Tensor:
    """Return by how much each map misses completeness: its sum is f_c(x) less the mean of f_c at its baselines.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    maps : Tensor, shape (n, classes, *shape)
        From `explain` with the same arguments; the same baselines are drawn again.

    Returns
    -------
    Tensor, shape (n, classes), float64
        Sum of the map less the difference of the outputs; falls with the root of the draws. NaN where ``sigma`` is
        above 0: maps then lead to noisy copies of x, and their sum is no difference from f_c(x).
    """
    if options.sigma > 0:
        return torch.full(maps.shape[:2], torch.nan, dtype=torch.float64, device=maps.device)
    starts = training_maps(context, generators(context, "gradient_shap", samples), options.n, x)
    return incompleteness(decoder, x, starts, maps, options.output)
