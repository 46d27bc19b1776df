"""The class's probability for the input weighted by its map (Dabkowski & Gal 2017; Lu et al. 2020, eq. 10)."""

from __future__ import annotations

import math

import torch
from pydantic import Field

from truemap.config.options import Fraction, MethodOptions
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained

measures = (
    Measure("fidelity", "lower", "Lu et al. 2020, eq. 10 (S_F)", "the map's sizes are all equal: they weigh nothing"),
)


class Options(MethodOptions):
    """How a map becomes weights; `fidelity` (S_F, lower is better)."""

    percentile: Fraction = Field(
        0.99, description="quantile of the map's sizes above which they are cut (Lu et al. 2020, section 3)"
    )


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return how much less probable the class is for the input weighted by the map than by the map's mean.

    .. math:: S_F = -\\ln \\frac{p_c(w \\odot x)}{p_c(\\bar w \\, x)}

    where w is the size of the map in the mask, cut at a quantile and rescaled to [0, 1], and :math:`\\bar w` its mean:
    a map without structure has 0. The paper prints a mean over w; its text subtracts it to the same end.
    Outside the mask the input stays.
    """
    sizes = explained.own.abs()
    # Not torch.quantile, which takes 16 million numbers at most.
    ordered, place = sizes.sort(dim=1).values, options.percentile * (sizes.shape[1] - 1)
    sizes = sizes.minimum(ordered[:, [math.floor(place)]].lerp(ordered[:, [math.ceil(place)]], place % 1))
    low = sizes.amin(dim=1, keepdim=True)
    weights = (sizes - low) / (sizes.amax(dim=1, keepdim=True) - low)
    x = explained.x[:, explained.inside]
    by_map, by_mean = (
        explained.log_probabilities(explained.moved((w - 1) * x)) for w in (weights, weights.mean(dim=1, keepdim=True))
    )
    return {"fidelity": by_mean - by_map}
