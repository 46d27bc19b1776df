"""The mass-centre attack: the map's centre moves as far as it can (Ghorbani, Abid & Zou 2019, Algorithm 1)."""

from __future__ import annotations

import torch

from truemap.geometry import unit_vectors
from truemap.map_attacks._attacked import Attacked, Found
from truemap.map_attacks._descend import DescentOptions, descend
from truemap.map_attacks._maps import centres
from truemap.numerics import derive_seed

#: Shifts in mm that are none: they are where the centre was, up to rounding.
NOWHERE = 1e-9


class Options(DescentOptions):
    """The descent."""


def perturb(attacked: Attacked, bound: float, options: Options) -> Found:
    """Return noise that moves each map's centre of mass.

    .. math:: D(x) = \\lVert C(x) - C(x_t) \\rVert_2, \\quad C(x) = \\sum_i R(x)_i p_i

    where p are the voxels' places in mm, by the affine. At the start D has no gradient, since every way is as good:
    one is drawn for each sample, and D is the shift along it until there is one.
    """
    start = centres(attacked.own, attacked.places)
    first = _ways(attacked, start)

    def shift(parts: torch.Tensor) -> torch.Tensor:
        moved = centres(parts, attacked.places) - start
        far = moved.detach().norm(dim=1) > NOWHERE
        # The norm of what has not moved would have NaN for a derivative, also where it is not asked for.
        return torch.where(far, torch.where(far[:, None], moved, 1.0).norm(dim=1), (moved * first).sum(dim=1))

    return descend(attacked, shift, bound, options)


def _ways(attacked: Attacked, start: torch.Tensor) -> torch.Tensor:
    """Return a direction for each sample, shape (n, axes)."""
    seeds = [derive_seed(attacked.seed, "mass_center", sample) for sample in attacked.samples]
    drawn = [unit_vectors(start[:1], torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.cat(drawn)
