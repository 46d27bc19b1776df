"""The target attack: a region of one's choice becomes important (Lu et al. 2020, section 3.1)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from truemap.config.options import Count, Number
from truemap.map_attacks._attacked import Attacked, Found, voxel_places
from truemap.map_attacks._descend import DescentOptions, descend
from truemap.runtime.files import DataError

Side = Annotated[list[Number], Field(min_length=2, max_length=2)]


class Options(DescentOptions):
    """Which voxels, and the descent."""

    box: Annotated[list[Side], Field(min_length=3, max_length=3)] | None = Field(
        None,
        description="first and last of each axis, `[[x, x], [y, y], [z, z]]`, both within: voxels of the mask that are "
        "in it are the target",
    )
    unit: Literal["voxel", "mm"] = Field("voxel", description="of `box`: numbers of voxels from 0, or mm by the affine")
    region: str | None = Field(
        None, description="name of one of the dataset's `regions` (column name of regions.tsv), in place of a box"
    )
    size: Count = Field(
        4,
        description="where there is neither: edge in voxels of a box at the end of the mask, at the voxel whose "
        "numbers have the largest sum. Of a picture that is the bottom right, 4 x 4 as in Lu et al. 2020",
    )

    @model_validator(mode="after")
    def _one(self) -> Options:
        if self.box is not None and self.region is not None:
            raise ValueError("target: give a `box` or a `region`, not both")
        return self


def perturb(attacked: Attacked, bound: float, options: Options) -> Found:
    """Return noise that gives the target as large a part of each map as can be.

    .. math:: D(x) = \\sum_{i \\in A} R(x)_i

    where R is the map's sizes divided by their sum, and A the target.

    Raises
    ------
    DataError
        If no voxel of the mask is in the box, or there is no such region.
    """
    chosen = torch.from_numpy(_voxels(attacked, options)).to(attacked.x.device)
    return descend(attacked, lambda parts: parts[:, chosen].sum(dim=1), bound, options)


def _voxels(attacked: Attacked, options: Options) -> np.ndarray:
    """Return which of the mask's voxels are the target, shape (voxels,), bool."""
    indices = np.argwhere(attacked.grid.mask)
    if options.region is not None:
        return _region(attacked, options.region)
    if options.box is None:
        end = indices[indices.sum(axis=1).argmax()]
        return np.asarray(((indices <= end) & (indices > end - options.size)).all(axis=1))
    places = indices if options.unit == "voxel" else voxel_places(attacked.grid)
    sides = np.sort(np.array(options.box), axis=1)
    chosen: np.ndarray = np.asarray(((places >= sides[:, 0]) & (places <= sides[:, 1])).all(axis=1))
    if not chosen.any():
        low, high = (extreme.round(1).tolist() for extreme in (places.min(axis=0), places.max(axis=0)))
        raise DataError(
            f"target: no voxel of the mask is in the box {options.box} ({options.unit}); the mask is from {low} to "
            f"{high}. Set another `box`."
        )
    return chosen


def _region(attacked: Attacked, name: str) -> np.ndarray:
    names = attacked.regions.names if attacked.regions else []
    if name not in names:
        raise DataError(f"target: no region '{name}' here. Known: {', '.join(names) or 'none'}. Set another `region`.")
    labels = attacked.regions.labels[attacked.grid.mask.reshape(-1)]
    return np.isin(labels, [names.index(name) + 1])
