"""Norms, directions, balls and projections, for training and attacks alike. Noise has shape ``(n, *shape)``."""

from __future__ import annotations

import math
from typing import Literal

import torch


def norms(x: torch.Tensor) -> torch.Tensor:
    """Return the L2 norm of each map, shape ``(n, 1, ...)`` for broadcasting."""
    return x.flatten(1).norm(dim=1).view(-1, *[1] * (x.dim() - 1))


def direction(gradient: torch.Tensor, norm: Literal["l2", "linf"] = "l2") -> torch.Tensor:
    """Return for each map the vector of norm 1 along which a function of this gradient rises most.

    For L2 that is the gradient at unit norm (Algorithm 1, line 10), for Linf its sign. A zero gradient stays
    zero. Scaled by its peak first: squares of values below 1e-22 would be lost in float32.
    """
    if norm == "linf":
        return gradient.sign()
    peak = gradient.flatten(1).abs().amax(1).view(-1, *[1] * (gradient.dim() - 1))
    scaled = gradient / peak
    return torch.where(peak > 0, scaled / norms(scaled), 0.0)


def project(noise: torch.Tensor, radius: float, norm: Literal["l2", "linf"] = "l2") -> torch.Tensor:
    """Return each map's noise moved to the nearest point of the L2 ball (Algorithm 1, lines 13-14) or Linf box."""
    if norm == "linf":
        return noise.clamp(-radius, radius)
    length = norms(noise)
    return torch.where(length > radius, noise * (radius / length.clamp_min(torch.finfo(noise.dtype).tiny)), noise)


def radius(epsilon: float, unit: str, voxels: int, norm: Literal["l2", "linf"] = "l2") -> float:
    """Return the noise bound as a norm: for L2 ``epsilon * sqrt(voxels)`` where it is given per voxel, else epsilon."""
    return epsilon * math.sqrt(voxels) if unit == "voxel" and norm == "l2" else epsilon


def step_lengths(step: float | str, bound: float, count: int, x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Return the lengths of `count` maps' steps: U(0, bound), or a fixed share of the bound; shaped like `norms`."""
    if step == "uniform":
        lengths = bound * torch.rand(count, generator=random)
    else:
        lengths = torch.full((count,), bound * float(step))
    return lengths.to(x).view(-1, *[1] * (x.dim() - 1))


def unit_vectors(like: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Return one vector of L2 norm 1 for each row of `like`, uniform on the sphere, shaped like it.

    g / ||g|| with g ~ N(0, I) (Muller 1959), drawn on the CPU so that each device sees the same noise.
    """
    return direction(torch.randn(like.shape, generator=random).to(like))


def ball(x: torch.Tensor, bound: float, random: torch.Generator) -> torch.Tensor:
    """Return noise shaped like `x`, for each map uniform in the L2 ball of radius `bound`.

    d = bound u^(1/D) g / ||g||,  g ~ N(0, I), u ~ U(0, 1), D the number of voxels (Muller 1959). With many
    voxels nearly all of the ball's volume lies at its surface: at D = 1024 the mean length is 0.999 `bound`.
    """
    directions = unit_vectors(x, random)
    lengths = bound * torch.rand(len(x), generator=random, dtype=torch.float64) ** (1 / x[0].numel())
    return directions * lengths.to(x).view(-1, *[1] * (x.dim() - 1))


def lengths(noise: torch.Tensor) -> torch.Tensor:
    """Return each map's L2 norm, shape (n,), summed in float64.

    A sum of float32 squares comes out 9e-6 short at 902,629 voxels (`training.objective.norms` on a CPU):
    noise would be longer than its bound.
    """
    return torch.linalg.vector_norm(noise.flatten(1), dim=1, dtype=torch.float64)


def within(noise: torch.Tensor, bound: float) -> torch.Tensor:
    """Return each map's noise moved to the nearest point of the L2 ball of radius `bound`."""
    shrink = (bound / lengths(noise).clamp_min(bound)).to(noise)
    return noise * shrink.view(-1, *[1] * (noise.dim() - 1))
