"""Gradients of class probabilities that stay right where probabilities round to 0 or 1."""

from __future__ import annotations

import math

import torch
from torch import nn

from truemap.saliency._scaled import Scaled


def logit_differences(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and the Jacobian of their differences to the last logit.

    One forward pass and ``classes - 1`` backward passes.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)

    Returns
    -------
    logits : Tensor, shape (n, classes), float64
    jacobian : Tensor, shape (n, classes - 1, voxels)
        Entry c is d(z_c - z_last)/dx.
    """
    x = x.detach().requires_grad_(True)
    logits = network(x)
    count = logits.shape[1] - 1
    jacobian = x.new_empty(len(x), count, x[0].numel())
    for c in range(count):
        difference = (logits[:, c] - logits[:, -1]).sum()
        (gradient,) = torch.autograd.grad(difference, x, retain_graph=c < count - 1)
        jacobian[:, c] = gradient.flatten(1)
    return logits.detach().double(), jacobian


def coefficients(logits: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return K and l with grad p_c = exp(l[c]) sum_j K[c, j] grad z_j, for p = softmax(z / T).

    exp(l[c]) K[c, j] = -p_c p_j / T for j != c, and p_c (sum of the other p) / T for j = c: no ``1 - p``, and
    products are sums of logarithms, taken relative to the largest of their class. Nothing cancels or rounds to zero at
    p = 1 - 1e-12, and the direction stays where p itself is no number any more (logits / T that differ by 745).

    Parameters
    ----------
    logits : Tensor, shape (n, classes), float64

    Returns
    -------
    K : Tensor, shape (n, classes, classes), float64
    l : Tensor, shape (n, classes), float64
    """
    log_p = torch.log_softmax(logits / temperature, dim=1)
    diagonal = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    logs = (log_p[:, :, None] + log_p[:, None, :]).masked_fill(diagonal, -torch.inf)
    largest = logs.amax(dim=2)
    products = (logs - largest[:, :, None]).exp()
    return torch.diag_embed(products.sum(dim=2)) - products, largest - math.log(temperature)


def probability_gradients(network: nn.Module, x: torch.Tensor, temperature: float) -> Scaled:
    """Return the gradient of every class probability, maps of shape (n, classes, *shape)."""
    logits, jacobian = logit_differences(network, x)
    weights, logs = coefficients(logits, temperature)
    maps = torch.empty(len(x), logits.shape[1], jacobian.shape[2], dtype=torch.float64, device=x.device)
    # One map at a time: the whole Jacobian in float64 would double the memory.
    for row, of_row in enumerate(weights):
        # A class's weights add up to zero, so that differences to the last logit do for logits.
        maps[row] = of_row[:, :-1] @ jacobian[row].double()
    logs = logs.masked_fill(~maps.any(dim=2), -torch.inf)
    return Scaled(maps.view(len(x), logits.shape[1], *x.shape[1:]), logs)
