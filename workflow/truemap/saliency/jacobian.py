"""Gradients of class probabilities that stay right where probabilities round to 0 or 1."""

from __future__ import annotations

import torch
from torch import nn


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


def coefficients(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return K with grad p_c = sum_j K[c, j] grad z_j, for p = softmax(z / T).

    K[c, j] = -p_c p_j / T for j != c and K[c, c] = p_c (sum of the other p) / T: no ``1 - p``, and
    products are formed as sums of logarithms, so that nothing cancels or rounds to zero at p = 1 - 1e-12.

    Parameters
    ----------
    logits : Tensor, shape (n, classes), float64

    Returns
    -------
    Tensor, shape (n, classes, classes), float64
    """
    log_p = torch.log_softmax(logits / temperature, dim=1)
    products = (log_p[:, :, None] + log_p[:, None, :]).exp() / temperature
    diagonal = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    products = products.masked_fill(diagonal, 0.0)
    return torch.diag_embed(products.sum(dim=2)) - products


def probability_gradients(network: nn.Module, x: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the gradient of every class probability, shape (n, classes, *shape), float64."""
    logits, jacobian = logit_differences(network, x)
    maps = torch.empty(len(x), logits.shape[1], jacobian.shape[2], dtype=torch.float64, device=x.device)
    # One map at a time: the whole Jacobian in float64 would double the memory.
    for row, weights in enumerate(coefficients(logits, temperature)):
        # A class's weights add up to zero, so that differences to the last logit do for logits.
        maps[row] = weights[:, :-1] @ jacobian[row].double()
    return maps.view(len(x), logits.shape[1], *x.shape[1:])
