"""TRADES (Zhang et al. 2019), L2: accuracy on the maps as they are, and an output that noise does not change."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import EPSILON_UNIT, Count, EpsilonUnit, Grid, Positive, TrainingOptions
from truemap.geometry import direction, project, radius, step_lengths, unit_vectors
from truemap.training._objective import loss

#: Length of the noise the attack starts from, as a share of its bound: at 0 the divergence has no gradient. The
#: authors' code draws 0.001 N(0, I): a voxel's sd is then 1/31 of their bound on it.
START = 1e-3


class Options(TrainingOptions):
    """Cross-entropy plus a penalty on the worst change of the predicted probabilities within the L2 ball."""

    strength: Grid[Positive] = Field(
        6.0, description="weight of the penalty (1/lambda of Zhang et al., who use 1 and 6)"
    )
    epsilon: Positive = Field(0.1, description="bound of the noise; 0.1 a voxel is McClure et al.'s 95 at 2 mm")
    epsilon_unit: EpsilonUnit = Field("voxel", description=EPSILON_UNIT)
    steps: Count = Field(3, description="gradient steps of the attack; 10 in the authors' code")
    step: Literal["uniform"] | Positive = Field(
        0.7,
        description="length of a step: a share of the bound (the authors' code: 2 / steps), or uniform for U(0, bound)",
    )


def divergence(clean: torch.Tensor, noisy: torch.Tensor) -> torch.Tensor:
    """Return KL(p || q) for each map, shape (n,), p and q the softmax of the two logits.

    sum_j p_j (log p_j - log q_j). Logits are taken relative to the likeliest class of `clean`. Its gradient
    is then minus the sum of the others: p - q itself is 0 in float32 once both round to 1.
    """
    top = clean.argmax(1, keepdim=True)
    log_p, log_q = ((z - z.gather(1, top)).log_softmax(1) for z in (clean, noisy))
    return (log_p.exp() * (log_p - log_q)).sum(1)


def attack(network: nn.Module, x: torch.Tensor, options: Options, random: torch.Generator) -> torch.Tensor:
    """Return noise ``(n, *shape)`` in the L2 ball that changes the output most.

    d <- P(d + nu grad_d KL(p(x) || p(x + d)) / ||grad_d KL||), from a random d of length 0.001 bound.

    grad_d KL = J(x + d)' (q - p), J = dz/dx. That first d is so short that q - p is rounding noise in float32 (the
    step's direction had a median cosine of .7 with float64's in a new cnn3d): for it q - p is the limit for small d,
    (diag(p) - p p') J(x) d, with no difference of logits in it.
    """
    bound = radius(options.epsilon, options.epsilon_unit, x[0].numel())
    noise = START * bound * unit_vectors(x, random)
    source = x.detach().requires_grad_(True)
    logits = network(source)
    p, top = logits.detach().double().softmax(1), logits.argmax(1, keepdim=True)
    along = _along(logits, source, noise).double()
    change = p * (along - (p * along).sum(1, keepdim=True))
    for step in range(options.steps):
        if step > 0:
            source = noise.requires_grad_(True)
            logits = network(x + source)
            change = logits.detach().double().softmax(1) - p
        (gradient,) = torch.autograd.grad(logits, source, _balanced(change, top).to(logits))
        lengths = step_lengths(options.step, bound, len(x), x, random)
        noise = project(noise.detach() + lengths * direction(gradient), bound)
    return noise


def _along(logits: torch.Tensor, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return J d, shape (n, classes): the derivative of each map's logits along its noise; their graph is kept.

    J'v is linear in v, so that J d is its gradient along d (Pearlmutter 1994).
    """
    v = torch.zeros_like(logits, requires_grad=True)
    (back,) = torch.autograd.grad(logits, x, v, create_graph=True)
    return torch.autograd.grad(back, v, noise, retain_graph=True)[0]


def _balanced(change: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """Return changes of probabilities (n, classes) at peak 1, that of the likeliest class minus the sum of the others.

    Its own is 0 in float64 too where p and q round to 1; unscaled the others would be 0 in float32.
    """
    others = change.scatter(1, top, 0.0)
    change = others.scatter(1, top, -others.sum(1, keepdim=True))
    return change / change.abs().amax(1, keepdim=True).clamp_min(torch.finfo(change.dtype).tiny)


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Attack one minibatch, then update the weights; return the loss, penalty included.

    L = CE(x, y) + strength * mean_n max_d KL(p(x_n) || p(x_n + d)), ||d|| <= eps (Zhang et al. 2019, with
    KL for the surrogate loss, as in their code). The gradient goes through both probabilities.
    """
    noise = attack(network, x, options, random)
    optimizer.zero_grad()
    clean = network(x)
    penalty = divergence(clean, network(x + noise)).mean()
    value = loss(network, clean, y, options.l2) + options.strength * penalty
    value.backward()
    optimizer.step()
    return value.item()
