"""The output while voxels are removed, most or least relevant first (Samek et al. 2017; Tomsett et al. 2020)."""

from __future__ import annotations

import torch

from truemap.metrics._contract import Curve, Measure
from truemap.metrics._explained import Explained
from truemap.metrics._removal import StepOptions, by_value, parts, to_baseline

measures = (
    Measure("morf", "lower", "Samek et al. 2017, most relevant first"),
    Measure("lerf", "higher", "Tomsett et al. 2020, least relevant first"),
)


class Options(StepOptions):
    """How voxels are removed, most relevant first (`morf`, lower is better) or least (`lerf`, higher)."""


def measure(explained: Explained, options: Options) -> dict[str, Curve]:
    """Return both curves, and the areas under them, of the calibrated probability of the sample's class.

    The curve's abscissa is the share of the mask's voxels that is removed, from 0 to 1, so that its area
    (trapezoids) is the mean probability on the way. Relevant is what has a large value, not a large size; voxels of
    equal values go in the order of the grid.
    """
    away, before = to_baseline(explained, options), explained.log_probabilities(explained.x)
    return {
        name: curve(explained, by_value(explained.own, descending), options, away, before)
        for name, descending in (("morf", True), ("lerf", False))
    }


def curve(
    explained: Explained, order: torch.Tensor, options: StepOptions, away: torch.Tensor, before: torch.Tensor
) -> Curve:
    """Return the shares of voxels that are removed, shape (steps + 1,), and the probabilities, (n, steps + 1).

    Parameters
    ----------
    order : Tensor of int, shape (n, voxels)
        Numbers of the voxels, the first to be removed first.
    away : Tensor, shape (n, voxels)
        By how much a voxel moves when it is removed.
    before : Tensor, shape (n,)
        Logarithm of the probabilities before.
    """
    by, gone, values = torch.zeros_like(away), [0], [before]
    for voxels in parts(order, options.steps):
        by = by.scatter(1, voxels, away.gather(1, voxels))
        gone.append(gone[-1] + voxels.shape[1])
        values.append(explained.log_probabilities(explained.moved(by)))
    shares = torch.tensor(gone, dtype=torch.float64, device=away.device) / order.shape[1]
    return Curve(shares, torch.stack(values, dim=1).exp())
