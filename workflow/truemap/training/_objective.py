"""The loss that all training methods share, and geometry of the L2 ball and of the Linf box."""

from __future__ import annotations

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
