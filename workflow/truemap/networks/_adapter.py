"""Between the maps of a dataset and a network that takes them turned, with channels, or without thin axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn


class Adapter(nn.Module):
    """Maps of a dataset as a network takes them; linear, so that gradients with respect to the map go through it.

    Parameters
    ----------
    flips : sequence of int
        Axes of a map that are reversed.
    order : sequence of int
        Axes of a map in the order of the network's.
    size : sequence of int
        What the network takes for a map: its axes, thin ones left out if the network does; before them a number of
        channels, each of which is the map.
    """

    def __init__(self, flips: Sequence[int], order: Sequence[int], size: Sequence[int]) -> None:
        super().__init__()
        self.flips, self.order, self.size = tuple(flips), tuple(order), tuple(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return maps ``(n, *size)`` of maps ``(n, *shape)``."""
        x = x.flip([axis + 1 for axis in self.flips]).permute(0, *(axis + 1 for axis in self.order))
        channels = math.prod(self.size) // x[0].numel()
        return x.flatten(1)[:, None].expand(-1, channels, -1).reshape(len(x), *self.size)

    def turned(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of a map in the network's order of axes."""
        return tuple(shape[axis] for axis in self.order)

    def back(self, maps: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Return maps of the dataset, shape (n, *shape), of maps (n, ...) in the network's order of voxels."""
        maps = maps.reshape(len(maps), *self.turned(shape))
        maps = maps.permute(0, *(self.order.index(axis) + 1 for axis in range(len(shape))))
        return maps.flip([axis + 1 for axis in self.flips])
