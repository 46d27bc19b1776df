"""DeepLIFT averaged over training maps as baselines, DeepSHAP (Lundberg & Lee 2017, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field

from truemap.config.options import Count, MethodOptions
from truemap.networks._decoder import Decoder
from truemap.networks._structure import known
from truemap.saliency._context import Context
from truemap.saliency._draws import generators, training_maps
from truemap.saliency._outputs import incompleteness
from truemap.saliency.deeplift import contributions


class Options(MethodOptions):
    """Number of baselines; explains logits."""

    n: Count = Field(
        10,
        description="training maps drawn a map as baselines, each costs two forward passes and one backward pass a "
        "class",
    )

    def traits(self) -> set[str]:
        """Each voxel's share of the output; beside training maps, of which regions are put back to the mean."""
        return {"attribution", "mean"}

    def needs(self) -> set[str]:
        """ReLUs and nothing else that bends: pools of largest values and other activations have no rule here."""
        return {"affine but for relu"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return the mean of the DeepLIFT maps (rescale rule) over baselines.

    .. math:: M_c(x) = \\frac{1}{n} \\sum_{k=1}^{n} M^{\\mathrm{DeepLIFT}}_c(x; b_k)

    where the baselines b are training maps, drawn with replacement, from (seed, sample) alone.

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

    Raises
    ------
    ValueError
        If nobody looked at the network, and it is not a sequence of layers for which the rule is defined.
    """
    known(decoder, "deeplift_shap")
    total = torch.zeros(len(x), len(decoder.classes), *x.shape[1:], dtype=torch.float64, device=x.device)
    for start in training_maps(context, generators(context, "deeplift_shap", samples), options.n, x):
        total += contributions(decoder.network, x, start)
    return total / options.n


def residual(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], maps: torch.Tensor, options: Options, context: Context
) -> torch.Tensor:
    """Return by how much each map misses summation to delta: its sum is z_c(x) less the mean of z_c at its baselines.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    maps : Tensor, shape (n, classes, *shape)
        From `explain` with the same arguments; the same baselines are drawn again.

    Returns
    -------
    Tensor, shape (n, classes), float64
        Sum of the map less the difference of the logits; 0 but for rounding.
    """
    starts = training_maps(context, generators(context, "deeplift_shap", samples), options.n, x)
    return incompleteness(decoder, x, starts, maps, "logit")
