"""How fast a score's gradient changes with the map, and in which direction most (Ghorbani et al. 2019, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from truemap.geometry import direction, lengths
from truemap.networks._decoder import Decoder
from truemap.training._objective import log_odds

Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Steepest:
    """Directions that change gradients the most, and how well they were found.

    Attributes
    ----------
    directions : Tensor, shape (n, *shape)
        Right singular vectors of the Hessian, of unit norm; their sign says nothing.
    values : Tensor, shape (n,), float64
        Largest singular values; 0 where the Hessian is zero.
    iterations : Tensor of int, shape (n,)
        Of two products with the Hessian each.
    residuals : Tensor, shape (n,), float64
        ||H H v - s^2 v|| / s^2: 0 for a singular vector.
    """

    directions: torch.Tensor
    values: torch.Tensor
    iterations: torch.Tensor
    residuals: torch.Tensor


def score(
    decoder: Decoder, x: torch.Tensor, targets: torch.Tensor, output: Literal["logit", "probability"]
) -> tuple[torch.Tensor, Product]:
    """Return the gradient of a class's score at each map, and the function v -> H v of its Hessian there.

    Of a probability p both are in units of p (1 - p), which changes no direction and keeps them from vanishing where p
    rounds to 0 or 1: with s = log(p / (1 - p)) they are grad s and H_s v + (1 - 2 p) grad s (grad s . v).

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    targets : Tensor of int, shape (n,)
        Class numbers.
    output : {"logit", "probability"}

    Returns
    -------
    gradient : Tensor, shape (n, *shape)
    product : callable
        Of a Tensor like x; its rows do not meet.
    """
    at = x.detach().requires_grad_(True)
    with torch.enable_grad():
        logits = decoder.network(at)
        if output == "logit":
            values = logits.gather(1, targets[:, None])[:, 0]
        else:
            values = -log_odds(logits / decoder.temperature, targets)
        (graph,) = torch.autograd.grad(values.sum(), at, create_graph=True)
    gradient, bend = graph.detach(), -torch.tanh(values.detach() / 2)

    def product(v: torch.Tensor) -> torch.Tensor:
        curved = torch.zeros_like(v)
        if graph.requires_grad:
            # A Hessian is symmetric: v' H is H v.
            (found,) = torch.autograd.grad(graph, at, v, retain_graph=True, allow_unused=True)
            curved = curved if found is None else found
        if output == "probability":
            along = (gradient * v).flatten(1).sum(dim=1)
            curved = curved + gradient * _as(bend * along, v)
        return curved

    return gradient, product


def steepest(product: Product, start: torch.Tensor, iterations: int, tolerance: float) -> Steepest:
    """Return each row's right singular vector of the largest singular value, by power iteration.

    v <- H H v / ||H H v||: of H itself, a largest positive and a largest negative eigenvalue of one size would make
    the vector swing. Each row ends when its residual is at most `tolerance`, whatever the others do.

    Parameters
    ----------
    product : callable
        v -> H v, of rows that do not meet.
    start : Tensor, shape (n, *shape)
        Of unit norm; random, lest it lie where H sees nothing.
    iterations : int
        At most.
    """
    v, left = start, torch.ones(len(start), dtype=torch.bool, device=start.device)
    values, residuals = (torch.zeros(len(start), dtype=torch.float64, device=start.device) for _ in range(2))
    used = torch.zeros(len(start), dtype=torch.long, device=start.device)
    for number in range(iterations):
        # At unit norm before each product, so that squares of small numbers are not lost.
        once = product(v)
        size = lengths(once)
        twice = product(direction(once))
        # H H v in units of ||H v|| and s^2 = ||H v||^2 there.
        missed = lengths(twice - v * _as(size, v))
        residual = torch.where(size > 0, missed / size.clamp_min(torch.finfo(torch.float64).tiny), 0.0)
        values, residuals = torch.where(left, size, values), torch.where(left, residual, residuals)
        used += left
        left = left & (residual > tolerance)
        if not left.any() or number == iterations - 1:
            break
        v = torch.where(_as(left, v) > 0, direction(twice), v)
    return Steepest(v, values, used, residuals)


def _as(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return one number a row as it multiplies maps."""
    return values.to(like).view(-1, *[1] * (like.ndim - 1))
