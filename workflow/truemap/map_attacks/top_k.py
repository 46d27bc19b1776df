"""The top-k attack: what was most important becomes less so (Ghorbani, Abid & Zou 2019, Algorithm 1)."""

from __future__ import annotations

from pydantic import Field

from truemap.config.options import Number
from truemap.map_attacks._attacked import Attacked, Found
from truemap.map_attacks._descend import DescentOptions, descend
from truemap.map_attacks._maps import largest


class Options(DescentOptions):
    """How many voxels, and the descent."""

    k: Number = Field(
        0.1,
        gt=0,
        lt=1,
        description="voxels that are to become less important, as a share of the mask's: a tenth is Ghorbani et al.'s "
        "100 of CIFAR-10's 1,024 pixels, and Lu et al.'s 5,000 of some 50,000 of ImageNet; their 1,000 of ImageNet are "
        "a fiftieth",
    )


def perturb(attacked: Attacked, bound: float, options: Options) -> Found:
    """Return noise that takes from the k largest voxels of each map their part in it.

    .. math:: D(x) = -\\sum_{i \\in B} R(x)_i

    where R is the map's sizes divided by their sum, and B the k voxels where it was largest.
    """
    first = largest(attacked.own, options.k)
    return descend(attacked, lambda parts: -parts.gather(1, first).sum(dim=1), bound, options)
