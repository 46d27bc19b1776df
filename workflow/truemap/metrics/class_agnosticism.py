"""Whether a map is the same whatever class is explained (Nielsen et al. 2022, section 4.2 and figure 2)."""

from __future__ import annotations

import torch

from truemap.config.options import MethodOptions
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained
from truemap.metrics._maps import rank_correlation

measures = (
    Measure(
        "class_agnosticism", "lower", "Nielsen et al. 2022, figure 2",
        "the map of the own class, or those of all others, are constant",
    ),
)  # fmt: skip


class Options(MethodOptions):
    """`class_agnosticism` (lower is better); no options: nothing is drawn, and no pass is made."""


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return Spearman's correlation of the own class's map with each other class's, averaged over those.

    1 is a map that knows no class. Of two classes the gradients of probabilities are opposite: -1 by construction.
    Other classes whose map is constant are left out.
    """
    maps, own = explained.maps, explained.of_targets(explained.maps)
    found = torch.stack([rank_correlation(own, maps[:, c]) for c in range(maps.shape[1])], dim=1)
    others = found.scatter(1, explained.targets[:, None], torch.nan)
    return {"class_agnosticism": others.nanmean(dim=1)}
