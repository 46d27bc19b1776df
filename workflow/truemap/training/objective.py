"""The loss that all training methods share, and geometry of the L2 ball and of the Linf box."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn
from torch.nn import functional


def negative_log_probability(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return -log p of the true class for each map, shape (n,), with a gradient that is right at p = 1.

    -log p = softplus(log sum_j!=y exp(z_j) - z_y). The gradient of torch's cross-entropy has exp(log p) - 1
    for the true logit, which is 0 in float32 once p rounds to 1: the direction of the attack would be wrong.
    """
    true = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return -functional.logsigmoid(true - others)


def log_odds(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return log((1 - p) / p), p of the true class, shape (n,): log sum_j!=y exp(z_j) - z_y.

    It rises with -log p, and its gradient has the same direction. That of -log p is 1 - p times as long:
    in float32 it is zero once the logits differ by 104, however it is written.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return others - logits.gather(1, labels[:, None])[:, 0]


def loss(network: nn.Module, logits: torch.Tensor, labels: torch.Tensor, l2: float) -> torch.Tensor:
    """Return mean cross-entropy plus ``l2 / 2`` times the sum of squared weights (biases excluded)."""
    value = negative_log_probability(logits, labels).mean()
    if l2 > 0:
        weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
        value = value + 0.5 * l2 * sum(weight.square().sum() for weight in weights)
    return value


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
        lengths = torch.full((count,), bound * step)
    return lengths.to(x).view(-1, *[1] * (x.dim() - 1))
