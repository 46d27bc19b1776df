"""Whether the sum of a map over voxels is what the output loses without them (Bhatt et al. 2020; Yeh et al. 2019)."""

from __future__ import annotations

import torch
from pydantic import Field

from truemap.config.options import Count, Fraction
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained
from truemap.metrics._maps import correlation
from truemap.metrics._removal import StepOptions, by_value, parts, to_baseline

EQUAL = "the sums of the map or the changes of the output are all equal"
measures = (
    Measure("faithfulness_correlation", "higher", "Bhatt, Weller & Moura 2020, faithfulness", EQUAL),
    Measure("faithfulness_estimate", "higher", "Alvarez-Melis & Jaakkola 2018 (self-explaining networks)", EQUAL),
    Measure("infidelity", "lower", "Yeh et al. 2019, infidelity"),
    Measure("infidelity_scaled", "lower", "Yeh et al. 2019, infidelity at the scale that is best for the map, of "
            "the changes' mean square", "the output changes nowhere"),
)  # fmt: skip


class Options(StepOptions):
    """Voxels that are removed together: random subsets, and parts of the map's own order.

    `faithfulness_correlation`, `faithfulness_estimate` (higher is better), `infidelity`, `infidelity_scaled` (lower).
    """

    subsets: Count = Field(50, description="random subsets of voxels, one forward pass each")
    share: Fraction = Field(0.1, gt=0, description="of the voxels of the mask, in each subset; one voxel at least")


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return correlations of sums of the map with losses of the output, and mean squared differences.

    .. math:: r_S\\Big(\\sum_{v \\in S} m_v,\\; f(x) - f(x_S)\\Big), \\quad
              \\frac{1}{N} \\sum_S \\Big(\\sum_{v \\in S} m_v (x_v - b_v) - (f(x) - f(x_S))\\Big)^2

    where :math:`x_S` is x with the voxels of S at their baseline b. `faithfulness_correlation` and both
    infidelities have S from the same random subsets; `faithfulness_estimate` has the parts of the map's own order, the
    largest values first, each part removed alone. f is the output that the way to explain has (see
    `Explained.outputs`). Infidelity takes the map for a gradient, as its authors do, unless the way to explain says
    that a voxel's value is its share of the output (trait ``attribution``): its sum is then not multiplied by the
    input again. Its unit is that of f squared.
    `infidelity_scaled` is the least that any multiple of the map gives, divided by the mean of
    :math:`(f(x) - f(x_S))^2`: 0 is faithful, 1 is no better than a map of zeros.
    """
    own, away = explained.own, to_baseline(explained, options)
    before = explained.outputs(explained.x)
    attribution = "attribution" in (explained.saliency.options.traits() or ())

    def removed(voxels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the map's sum over voxels, what it promises that the output loses, and what the output loses."""
        by = torch.zeros_like(away).scatter(1, voxels, away.gather(1, voxels))
        of_map = own.gather(1, voxels)
        total = of_map.sum(dim=1)
        promised = total if attribution else -(of_map * away.gather(1, voxels)).sum(dim=1)
        return total, promised, before - explained.outputs(explained.moved(by))

    sources, count = explained.draws("faithfulness"), max(1, round(options.share * own.shape[1]))
    drawn = [
        torch.stack([torch.randperm(own.shape[1], generator=source)[:count] for source in sources]).to(own.device)
        for _ in range(options.subsets)
    ]
    sums, promised, losses = (torch.stack(found, dim=1) for found in zip(*map(removed, drawn), strict=True))
    ordered = map(removed, parts(by_value(own), options.steps))
    of_parts, _, losses_of_parts = (torch.stack(found, dim=1) for found in zip(*ordered, strict=True))
    return {
        "faithfulness_correlation": correlation(sums, losses),
        "faithfulness_estimate": correlation(of_parts, losses_of_parts),
        "infidelity": (promised - losses).square().mean(dim=1),
        "infidelity_scaled": _unexplained(promised, losses),
    }


def _unexplained(promised: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """Return min over s of sum (s promised - losses)^2, as a share of sum losses^2, shape (n,)."""
    # At unit length: squares of what is small enough would be lost.
    a, b = (rows / rows.abs().amax(dim=1, keepdim=True) for rows in (promised, losses))
    a = torch.where(a.isfinite(), a, 0.0)
    shared = (a * b).sum(dim=1).square() / a.square().sum(dim=1).clamp(min=1.0)
    return 1 - shared / b.square().sum(dim=1)
