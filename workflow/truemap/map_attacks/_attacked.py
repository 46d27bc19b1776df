"""Samples whose maps are attacked, and what attacks may ask of what explains them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import nn

from truemap.data.grid import Grid
from truemap.data.regions import Regions
from truemap.map_attacks._maps import shares
from truemap.networks._decoder import Decoder

#: Parts of maps, shape (n, voxels) -> how far each sample's attack has come, shape (n,); larger is farther.
Objective = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Found:
    """What an attack returns.

    Attributes
    ----------
    noise : Tensor, shape (n, *shape)
        0 for a sample of which nothing was found.
    found : Tensor of bool, shape (n,)
        Whether any noise that was tried leaves the prediction what it was.
    gain : Tensor, shape (n,), float64
        By how much what the attack wants of the decoder's own map has risen; NaN where it wants nothing, or found none.
    """

    noise: torch.Tensor
    found: torch.Tensor
    gain: torch.Tensor


@dataclass(frozen=True)
class Attacked:
    """Samples that are attacked together.

    Noise and maps are of the mask's voxels; those outside have neither.

    Attributes
    ----------
    decoder : Decoder
    network : nn.Module
        What is descended: smooth, or the decoder's own (`truemap.map_attacks._surrogate`).
    maps : callable
        Network and inputs -> maps of the predicted classes, shape (n, *shape)
        (`truemap.saliency._contract.Differentiable`). Only maps of the decoder's own network are what is attacked.
    x : Tensor, shape (n, *shape), float32
    predicted : Tensor of int, shape (n,)
        Number of the class that the decoder predicts.
    samples : list of int
        Sample ids, for what is drawn.
    grid : Grid
        Mask and affine.
    regions : Regions, optional
        Of the dataset, where an attack asks for one.
    norm : {"linf", "l2"}
        Of noise.
    seed : int
    """

    decoder: Decoder
    network: nn.Module
    maps: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    x: torch.Tensor
    predicted: torch.Tensor
    samples: list[int]
    grid: Grid
    regions: Regions | None
    norm: Literal["linf", "l2"]
    seed: int

    @cached_property
    def inside(self) -> torch.Tensor:
        """The mask, shape ``shape``."""
        return torch.from_numpy(self.grid.mask).to(self.x.device)

    @cached_property
    def places(self) -> torch.Tensor:
        """Where the mask's voxels are in mm, shape (voxels, 3), float64."""
        return torch.from_numpy(voxel_places(self.grid)).to(self.x.device)

    @cached_property
    def own(self) -> torch.Tensor:
        """The parts of the maps as they are, shape (n, voxels)."""
        return self.parts(self.decoder.network, self.x)

    def parts(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """Return the maps of inputs as `shares` of the mask's voxels, shape (n, voxels), with a graph if these have."""
        return shares(self.maps(network, inputs)[:, self.inside])

    @torch.no_grad()
    def kept(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return whether the decoder itself predicts of inputs what it predicts of the samples, shape (n,)."""
        return self.decoder.network(inputs).argmax(1) == self.predicted


def voxel_places(grid: Grid) -> np.ndarray:
    """Return where the mask's voxels are in mm, by the affine, shape (voxels, 3)."""
    return np.argwhere(grid.mask) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
