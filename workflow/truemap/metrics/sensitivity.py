"""How far a map moves when the input moves a little (Yeh et al. 2019; Alvarez-Melis & Jaakkola 2018)."""

from __future__ import annotations

import torch
from pydantic import Field

from truemap.config.options import Count, MethodOptions, Positive
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained
from truemap.metrics._maps import change, lengths

ZERO = "the map is zero: no change is a share of it"
measures = (
    Measure("max_sensitivity", "lower", "Yeh et al. 2019, max-sensitivity, relative to the map", ZERO),
    Measure("avg_sensitivity", "lower", "Bhatt, Weller & Moura 2020, average sensitivity, relative to the map", ZERO),
    Measure("local_lipschitz", "lower", "Alvarez-Melis & Jaakkola 2018 (robustness), relative to the map", ZERO),
)


class Options(MethodOptions):
    """Inputs nearby, the same for `max_sensitivity`, `avg_sensitivity` and `local_lipschitz` (lower is better)."""

    draws: Count = Field(10, description="inputs nearby that are explained; each costs what explaining costs")
    radius: Positive = Field(
        0.2,
        description="largest change of a voxel, in units of the maps (z-scores); uniform on either side, in the mask",
    )


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return the largest and the mean relative change of the map, and the largest relative to that of the input.

    .. math:: \\max_k c_k, \\quad \\frac{1}{N} \\sum_k c_k, \\quad \\max_k \\frac{c_k}{\\lVert x_k - x \\rVert_2},
              \\quad c_k = \\frac{\\lVert m(x_k) - m(x) \\rVert_2}{\\lVert m(x) \\rVert_2}

    The papers have no denominator: their maps are compared at one scale, those of different ways to explain have none
    in common (captum's ``sensitivity_max`` divides too). Draws of the way to explain itself are the same at
    every :math:`x_k`.
    """
    own, sources = explained.own, explained.draws("sensitivity")
    changes, rates = [], []
    for _ in range(options.draws):
        unit = torch.stack([torch.rand(own.shape[1], generator=source) for source in sources]).to(explained.x)
        x = explained.moved(options.radius * (2 * unit - 1))
        changes.append(change(explained.explain(x), own))
        rates.append(changes[-1] / lengths((x - explained.x)[:, explained.inside].double()))
    found = torch.stack(changes)
    return {
        "max_sensitivity": found.amax(dim=0),
        "avg_sensitivity": found.mean(dim=0),
        "local_lipschitz": torch.stack(rates).amax(dim=0),
    }
