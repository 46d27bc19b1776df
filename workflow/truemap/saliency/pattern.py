"""Activation patterns of multinomial regression (Haufe et al. 2014, eq. 6), the same map for every input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn

from truemap.config.options import MethodOptions
from truemap.networks._adapter import Adapter
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.networks._structure import adapter_of, linear_layer, voxel_weights
from truemap.saliency._context import Context

#: Training maps in float64 at a time.
BLOCK = 16
#: Directions of the logits whose variance is below this share of the largest have none.
NO_VARIANCE = 1e-10


class Options(MethodOptions):
    """No options; linear networks only."""

    def needs(self) -> set[str]:
        """One weight a voxel and class."""
        return {"linear"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return how each voxel of the training maps varies with each logit.

    .. math:: A = \\mathrm{Cov}(x) \\, W^T \\, \\mathrm{Cov}(s)^+, \\quad s = W x

    A's column c is the map of class c. The softmax knows logits only up to a shift that all classes share, and
    training leaves that shift of the weights at its random start: rows of W are taken less their mean over
    the classes. Cov(s) is then singular, hence the pseudo-inverse (the paper inverts it).

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples
        Not used: nothing is drawn.
    context : Context
        Of it only the training maps, read once for all calls.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64

    Raises
    ------
    ValueError
        If the network is not linear.
    """
    layer = linear_layer(decoder, "pattern")
    maps = _patterns(layer, layer.weight._version, adapter_of(decoder.network), context.training).view(
        len(decoder.classes), *x.shape[1:]
    )
    return maps.expand(len(x), *maps.shape)


@lru_cache(maxsize=1)
def _patterns(layer: nn.Linear, _version: int, adapter: Adapter | None, training: Batches) -> torch.Tensor:
    """Return A transposed, shape (classes, voxels), float64.

    Layers and training maps are told apart by identity; the version changes with a weight changed in place.
    No covariance of voxels is formed: Cov(s, x) is a sum over maps, and Cov(s) = Cov(s, x) W^T. The number of maps
    by which both would be divided cancels.
    """
    weight = voxel_weights(layer, adapter, training.volumes.shape).flatten(1)
    weight = weight - weight.mean(dim=0)
    sums, products = torch.zeros_like(weight[0]), torch.zeros_like(weight)
    for rows in torch.arange(len(training)).split(BLOCK):
        maps = training.get(rows)[0].flatten(1).double()
        sums += maps.sum(dim=0)
        products += (maps @ weight.T).T @ maps
    products -= torch.outer(weight @ sums, sums) / len(training)
    return torch.linalg.pinv(products @ weight.T, rtol=NO_VARIANCE, hermitian=True) @ products
