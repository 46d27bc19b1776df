"""Iterative attacks on maps (Ghorbani, Abid & Zou 2019, Algorithm 1), whatever they want of the map."""

from __future__ import annotations

import torch
from pydantic import Field

from truemap.config.options import Count, MethodOptions, Positive
from truemap.geometry import direction, project, within
from truemap.map_attacks._attacked import Attacked, Found, Objective


class DescentOptions(MethodOptions):
    """Steps of the descent, and the smooth network that it is made on."""

    iterations: Count = Field(
        30,
        description="P, steps of the descent; 300 in Ghorbani et al. 2019. Each costs three to six times what "
        "explaining one class does",
    )
    step: Positive = Field(
        0.0625,
        description="alpha, length of a step as a share of the bound: Ghorbani et al. 2019 take 0.5 of a grey level, "
        "which is 1/16 of their largest bound, 8. With it 16 steps cross half the ball",
    )
    beta: Positive = Field(
        10.0,
        description="sharpness of the softplus that stands for each ReLU, in units of its input: doubled until the "
        "smooth network predicts the decoder's class of all maps that are attacked. The papers give none. The first "
        "that agrees is not the one that attacks go farthest with: agreement asks for classes, which a network too "
        "soft has too, with other maps than the decoder's, while too sharp a one bends nowhere. Attacks went farthest "
        "at 1 to 10 on an mlp, at 30 to 100 on a cnn3d of subjects, at 3 to 300 alike on one of images: where it "
        "matters try several, as attacks of different labels; each map that comes back shows at least what is possible",
    )

    def needs(self) -> set[str]:
        """ReLUs that softplus can stand for, and no other activation."""
        return {"relu only"}


def descend(attacked: Attacked, objective: Objective, bound: float, options: DescentOptions) -> Found:
    """Return the noise of the iterate that brings the decoder's own map farthest, of those that keep its prediction.

    .. math:: d^p = \\Pi\\big(d^{p-1} + \\alpha\\, \\mathrm{dir}(\\nabla_x D(x + d^{p-1}))\\big)

    where D is the objective of the smooth network's map, dir the sign (L2: unit length) and the projection that on the
    ball. The prediction is asked of the decoder itself, and so is the map by which the best iterate is told: of the
    smooth network's an iterate may be best that leaves the decoder's map where it was, and the map that users see is
    the decoder's. That costs one gradient more an iterate, where a smooth network stands in its place; where none
    does, one map serves both.

    Parameters
    ----------
    objective : callable
        See `Objective`.
    bound : float
        Largest norm of the noise.
    """
    network, alone = attacked.decoder.network, attacked.network is attacked.decoder.network
    noise = torch.zeros_like(attacked.x)
    start = objective(attacked.own)
    best = Found(noise.clone(), torch.zeros_like(start, dtype=torch.bool), torch.full_like(start, torch.nan))
    farthest = torch.full_like(start, -torch.inf)
    for number in range(options.iterations + 1):
        last = number == options.iterations
        inputs = (attacked.x + noise).requires_grad_(not last)
        values = None if last and not alone else objective(attacked.parts(attacked.network, inputs))
        if number > 0:
            told = values if alone else objective(attacked.parts(network, inputs.detach()))
            better = attacked.kept(inputs.detach()) & (told.detach() > farthest)
            best.noise[better], farthest[better] = noise[better], told.detach()[better]
            best.found[better], best.gain[better] = True, (farthest - start)[better]
        if not last:
            (gradient,) = torch.autograd.grad(values.sum(), inputs)
            way = direction(torch.where(attacked.inside, gradient, 0.0), attacked.norm)
            noise = inside_ball(noise + options.step * bound * way, bound, attacked.norm)
    return best


def inside_ball(noise: torch.Tensor, bound: float, norm: str) -> torch.Tensor:
    """Return each map's noise moved to the nearest point of the ball."""
    return within(noise, bound) if norm == "l2" else project(noise, bound, "linf")
