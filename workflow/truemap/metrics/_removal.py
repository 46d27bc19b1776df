"""Voxels put back to a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field

from truemap.config.options import Count, MethodOptions, Seed
from truemap.metrics._explained import Explained
from truemap.saliency._draws import training_maps


class BaselineOptions(MethodOptions):
    """What a voxel is that was taken out."""

    baseline: Literal["zero", "mean", "random"] = Field(
        "zero",
        description="what removed voxels are set to: 0, the mean of the training maps there, or there what a training "
        "map has that is drawn for each sample",
    )
    draw: Seed = Field(
        0, description="for baseline random, which draw it is: two labels with other draws are test and retest"
    )


class StepOptions(BaselineOptions):
    """Voxels are removed in steps."""

    steps: Count = Field(
        20,
        description="parts, as equal as can be, in which the voxels of the mask are removed; one forward pass each. At "
        "most one a voxel",
    )


def to_baseline(explained: Explained, options: BaselineOptions) -> torch.Tensor:
    """Return b - x, by which each voxel moves when it is removed, shape (n, voxels)."""
    inside, known = explained.inside, explained.context
    x = explained.x[:, inside]
    if options.baseline == "random":
        sources = explained.draws(f"baseline {options.draw}")
        return next(training_maps(known, sources, 1, explained.x))[:, inside] - x
    return (known.mean.to(x)[inside] if options.baseline == "mean" else torch.zeros_like(x)) - x


def parts(order: torch.Tensor, steps: int) -> Iterator[torch.Tensor]:
    """Yield the voxels of each step, shape (n, voxels of the step).

    Parameters
    ----------
    order : Tensor of int, shape (n, voxels)
        Numbers of the voxels, the first to be removed first.
    """
    yield from order.tensor_split(min(steps, order.shape[1]), dim=1)


def by_value(maps: torch.Tensor, descending: bool = True) -> torch.Tensor:
    """Return the voxels of each map in the order of their values, shape (n, voxels); equal ones in that of the grid."""
    return maps.sort(dim=1, descending=descending, stable=True).indices
