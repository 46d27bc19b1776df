"""How few voxels a map is made of (Bhatt, Weller & Moura 2020; Chalasani et al. 2020)."""

from __future__ import annotations

import torch

from truemap.config.options import MethodOptions
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained
from truemap.metrics._maps import peaks

ZERO = "the map is zero"
measures = (
    Measure("complexity", "lower", "Bhatt, Weller & Moura 2020, complexity", ZERO),
    Measure("sparseness", "higher", "Chalasani et al. 2020, Gini index", ZERO),
)


class Options(MethodOptions):
    """`complexity` (lower is better) and `sparseness` (higher); no options: nothing is drawn, and no pass is made."""


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return the entropy and the Gini index of the sizes of a map's V voxels.

    .. math:: H = -\\sum_v p_v \\ln p_v, \\quad p_v = |m_v| / \\sum_u |m_u|

    .. math:: G = \\frac{\\sum_{k=1}^{V} (2k - V - 1) |m|_{(k)}}{V \\sum_v |m_v|}

    with :math:`|m|_{(1)} \\le |m|_{(2)} \\le \\dots` H is 0 where one voxel is all, ln V where all are equal; G is
    1 - 1/V and 0. Of all voxels of the mask.
    """
    sizes = (explained.own / peaks(explained.own)).abs()
    total = sizes.sum(dim=1)
    share = sizes / total[:, None]
    count = sizes.shape[1]
    weights = 2 * torch.arange(1, count + 1, device=sizes.device) - count - 1
    return {
        "complexity": -torch.special.xlogy(share, share).sum(dim=1),
        "sparseness": (weights * sizes.sort(dim=1).values).sum(dim=1) / (count * total),
    }
