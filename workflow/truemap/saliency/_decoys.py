"""Decoys of a map: copies changed in patches, by a blur or by a search (Lu et al. 2020, section 2.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from truemap.networks._structure import relus
from truemap.runtime.files import DataError

#: The bound on the features' change shrinks by it after each success, as in the paper.
SHRINK = 0.95
#: The search aims at this share of the bound: the minimum of eq. 5 lies a little outside what it aims at.
AIM = 0.8
#: Adam's memory is short, because bound and multiplier change at each step.
BETAS = (0.5, 0.9)
#: Values of a layer held at a time; a search keeps a few tensors of that size.
VALUES = 1 << 24


@dataclass(frozen=True)
class Search:
    """How optimised decoys are found; see the options of `truemap.saliency.decoy`."""

    layer: int
    steps: int
    learning_rate: float
    multiplier: float
    low: float
    high: float


def deal_patches(shape: tuple[int, ...], patch: int, masks: int | None) -> torch.Tensor:
    """Return the number of the mask that changes each voxel, shape ``shape``.

    Patches of `patch` voxels an axis tile the map, the last ones cut at its end. They are dealt like the
    colours of a chequerboard: mask numbers repeat with a period an axis, and those periods, whose product
    is at most `masks`, are as equal as the axes allow. None is one mask a patch.
    """
    grid = [math.ceil(size / patch) for size in shape]
    periods = grid if masks is None else _periods(grid, masks)
    numbers = torch.zeros(shape, dtype=torch.long)
    for axis, (size, period) in enumerate(zip(shape, periods, strict=True)):
        place = torch.arange(size) // patch % period
        numbers = numbers * period + place.view([-1 if a == axis else 1 for a in range(len(shape))])
    return numbers


def _periods(grid: list[int], masks: int) -> list[int]:
    periods = [1] * len(grid)
    while True:
        more = [math.prod(periods) // period * (period + 1) for period in periods]
        free = [a for a, period in enumerate(periods) if period < grid[a] and more[a] <= masks]
        if not free:
            return periods
        periods[min(free, key=periods.__getitem__)] += 1


def blurred(x: torch.Tensor, kernel: int) -> torch.Tensor:
    """Return the mean over `kernel` voxels an axis, of those inside the map, shape (n, *shape)."""
    for axis in range(1, x.ndim):
        place = torch.arange(x.shape[axis], device=x.device)
        near = ((place[:, None] - place).abs() <= kernel // 2).to(x.dtype)
        mean = near / near.sum(dim=1, keepdim=True)
        x = (x.movedim(axis, -1) @ mean.T).movedim(-1, axis)
    return x


def optimised(
    network: nn.Module, x: torch.Tensor, masks: torch.Tensor, sign: int, search: Search
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one decoy a mask, pushed up or down as far as a layer's features let it.

    .. math:: \\min_{\\hat x} \\; - \\lVert ((\\tilde x - x) s)^+ \\rVert_1
              + \\lambda \\lVert (|F_l(\\tilde x) - F_l(x)| - \\tau)^+ \\rVert_2^2

    with the decoy = middle + half width of the box * tanh of the variable where the mask is, x elsewhere (eq. 5;
    the paper prints arctanh, which leaves the box, its text has tanh). The first term is in units of that
    half width, F_l in units of its largest value at x: tau can start at 1 on any data. One step of Adam is
    one of the paper's iterations: if all features are within tau the decoy is kept and tau shrinks,
    otherwise lambda doubles. After 100 successes tau is 0.006, the relative difference that the paper
    measures on its decoys.

    Parameters
    ----------
    x : Tensor, shape ``shape``
        One map, so that a decoy depends on no other map.
    masks : Tensor, shape (masks, *shape), bool
    sign : {1, -1}
        Up or down.

    Returns
    -------
    decoys : Tensor, shape (masks, *shape)
        The last that was kept; x itself where none was.
    bound : Tensor, shape (masks,)
        Tau when it was kept; 0 where none was.

    Raises
    ------
    ValueError
        If the network has no such ReLU.
    """
    layer = chosen_relu(network, search.layer)
    before = _before(network, x[None], layer)
    target = before.clamp(min=0)
    scale = target.max() if target.any() else 1.0
    # A feature that is on at x is followed below zero: once off behind its ReLU it would have no gradient
    # and never come back. Its change is then counted too high, never too low.
    floor = torch.zeros_like(before).masked_fill(before > 0, -torch.inf)
    # A map to explain may exceed the training maps; where it does, the box is widened to hold it.
    low, high = x.clamp(max=search.low), x.clamp(min=search.high)
    middle, half = (low + high) / 2, (high - low) / 2
    start = torch.atanh(((x - middle) / half).clamp(-1 + 1e-6, 1 - 1e-6))
    # One step away: at x itself rounding would decide for each voxel whether (.)+ has a gradient.
    free = (start + sign * search.learning_rate).expand(masks.shape).clone().requires_grad_(True)
    adam = torch.optim.Adam([free], lr=search.learning_rate, betas=BETAS)
    decoys, bound = x.expand(masks.shape).clone(), x.new_zeros(len(masks))
    tau, multiplier = x.new_ones(len(masks)), x.new_full([len(masks)], search.multiplier)
    for _ in range(search.steps):
        with torch.enable_grad():
            candidate = torch.where(masks, middle + half * torch.tanh(free), x)
            now = _before(network, candidate, layer)
            change = (now.clamp(min=floor) - target).flatten(1).abs() / scale
            within = change.amax(dim=1) <= tau
            kept = within.view(-1, *[1] * x.ndim)
            decoys, bound = torch.where(kept, candidate.detach(), decoys), torch.where(within, tau, bound)
            tau, multiplier = torch.where(within, SHRINK * tau, tau), torch.where(within, multiplier, 2 * multiplier)
            gain = (sign * (candidate - x) / half).clamp(min=0).flatten(1).sum(dim=1)
            excess = (change - AIM * tau[:, None]).clamp(min=0).square().sum(dim=1)
            # Divided by lambda, which doubles: eq. 5 itself would overflow. Adam does not see the factor.
            (free.grad,) = torch.autograd.grad((excess - gain / multiplier).sum(), free)
        adam.step()
    return decoys, bound


def together(network: nn.Module, x: torch.Tensor, layer: int) -> int:
    """Return how many decoys of a map of shape (1, *shape) are searched at a time; it bounds memory."""
    return max(1, VALUES // max(x.numel(), _before(network, x, chosen_relu(network, layer)).numel()))


def chosen_relu(network: nn.Module, number: int) -> nn.ReLU:
    """Return a ReLU by its number, counted from 1 at the input."""
    layers = relus(network, "decoy with decoys: optimised, unlike decoys: blurred,")
    if number > len(layers):
        raise DataError(f"decoy: layer is {number}, but this network has {len(layers)} ReLU layers")
    return layers[number - 1]


def features(network: nn.Module, x: torch.Tensor, layer: int) -> torch.Tensor:
    """Return what a ReLU, counted from 1 at the input, gives for maps, shape (n, features); later layers do not run."""
    with torch.no_grad():
        return _before(network, x, chosen_relu(network, layer)).clamp(min=0).flatten(1)


def relative_difference(of_map: torch.Tensor, of_decoy: torch.Tensor) -> torch.Tensor:
    """Return how far representations are from each other, shape (n,), float64 (Lu et al. 2020, Figure 5).

    .. math:: \\lVert F_l(\\tilde x) - F_l(x) \\rVert_\\infty \\,/\\,
              \\max(\\lVert F_l(x) \\rVert_\\infty, \\lVert F_l(\\tilde x) \\rVert_\\infty)

    The paper divides by "the maximum absolute value of any intermediate representation": here of the two that are
    compared, so that it is at most 1 for features that are not negative. Two that are 0 do not differ.

    Parameters
    ----------
    of_map, of_decoy : Tensor, shape (n, features)
    """
    of_map, of_decoy = of_map.double(), of_decoy.double()
    largest = torch.maximum(of_map.abs().amax(dim=1), of_decoy.abs().amax(dim=1))
    return torch.where(largest > 0, (of_decoy - of_map).abs().amax(dim=1) / largest, 0.0)


class _Reached(Exception):
    """Ends a forward pass."""


def _before(network: nn.Module, x: torch.Tensor, layer: nn.ReLU) -> torch.Tensor:
    """Return the layer's input; the layers after it do not run."""
    reached: list[torch.Tensor] = []

    def stop(_layer: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        reached.append(inputs[0])
        raise _Reached

    hook = layer.register_forward_pre_hook(stop)
    try:
        network(x)
    except _Reached:
        pass
    finally:
        hook.remove()
    return reached[0]
