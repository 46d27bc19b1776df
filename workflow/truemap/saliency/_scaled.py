"""Maps whose scale may be too small for a number: what they look like, and the logarithm of how large they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

#: Log of the smallest scale that is kept: times a map's values it is still a number of full precision.
FLOOR = -600.0


@dataclass
class Scaled:
    """Maps as ``values * exp(log)``.

    Attributes
    ----------
    values : Tensor, shape (n, classes, *shape), float64
    log : Tensor, shape (n, classes), float64
        Minus infinity where a map is zero.
    """

    values: torch.Tensor
    log: torch.Tensor

    def rise(self, log: torch.Tensor) -> None:
        """Hold the maps at scales that are at least these: values become smaller, in place."""
        top = torch.maximum(self.log, log)
        # Zero maps have no scale to compare.
        by = torch.where(top > self.log, self.log - top, 0.0)
        if by.any():
            self.values *= by.exp().view(*by.shape, *[1] * (self.values.ndim - 2))
        self.log = top

    def add(self, other: Scaled) -> None:
        """Add other maps, in place (their values too are changed)."""
        self.rise(other.log)
        other.rise(self.log)
        self.values += other.values

    def numbers(self) -> torch.Tensor:
        """Return the maps, shape (n, classes, *shape); the values become them, in place.

        Scales below exp(-600) = 1e-261 are raised to it: a map then keeps its direction, which is what is compared,
        where as a number it would be zero.
        """
        scale = self.log.clamp(min=FLOOR).exp()
        self.values *= scale.view(*scale.shape, *[1] * (self.values.ndim - 2))
        self.log = torch.zeros_like(self.log)
        return self.values


def unscaled(maps: torch.Tensor) -> Scaled:
    """Return maps that are numbers of common size."""
    return Scaled(maps, maps.new_zeros(maps.shape[:2]))


def nothing(x: torch.Tensor, classes: int) -> Scaled:
    """Return maps of zeros for maps of shape (n, *shape): what a sum begins with."""
    values = torch.zeros(len(x), classes, *x.shape[1:], dtype=torch.float64, device=x.device)
    return Scaled(values, values.new_full(values.shape[:2], -torch.inf))
