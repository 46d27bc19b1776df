"""Jacobian regularisation by random projections (Hoffman, Roberts and Yaida 2019)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import Count, Grid, Positive, TrainingOptions
from truemap.geometry import unit_vectors
from truemap.training._objective import loss


class Options(TrainingOptions):
    """Cross-entropy plus a penalty on the gradients of the logits with respect to the map."""

    strength: Grid[Positive] = Field(
        0.01,
        description="weight of the penalty: strength/2 times the squared Frobenius norm of the Jacobian, the mean over "
        "the minibatch (with the 1/2, as in Hoffman et al.); 0.01 is theirs for MNIST",
    )
    projections: Count | Literal["all"] = Field(
        1,
        description="random directions in the space of logits a minibatch, from which the norm is estimated without "
        "bias; all: one backward pass for each class, exact",
    )


def squared_norm(logits: torch.Tensor, x: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Return the estimated squared Frobenius norm of each map's Jacobian, shape ``(n,)``, with its graph.

    ||J||_F^2 = C E_v ||d(v . z)/dx||^2 for v uniform on the unit sphere of the C logits z; here the mean over
    the given v (Hoffman et al. 2019). It is exact if they are an orthonormal basis.

    Parameters
    ----------
    logits : Tensor, shape (n, classes)
        Of `x`, which requires a gradient; no map's logits may depend on another map.
    vectors : Tensor, shape (projections, n, classes)
    """
    total = torch.zeros_like(logits[:, 0])
    for v in vectors:
        (gradient,) = torch.autograd.grad((v * logits).sum(), x, create_graph=True)
        total = total + gradient.flatten(1).square().sum(1)
    return logits.shape[1] / len(vectors) * total


def draw(logits: torch.Tensor, projections: int | str, random: torch.Generator) -> torch.Tensor:
    """Return the vectors to project on, ``(projections, n, classes)``: random ones, or the basis for ``all``."""
    if projections == "all":
        return torch.eye(logits.shape[1]).to(logits)[:, None].expand(-1, len(logits), -1)
    return torch.stack([unit_vectors(logits, random) for _ in range(projections)])


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Update the weights for one minibatch; return the loss, penalty included.

    L = CE + strength/2 * mean_n ||J(x_n)||_F^2,  J = dz/dx, z the logits (Hoffman et al. 2019).
    """
    x = x.detach().requires_grad_(True)
    optimizer.zero_grad()
    logits = network(x)
    penalty = squared_norm(logits, x, draw(logits, options.projections, random)).mean()
    value = loss(network, logits, y, options.l2) + 0.5 * options.strength * penalty
    value.backward()
    optimizer.step()
    return value.item()
