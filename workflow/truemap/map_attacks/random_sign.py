"""Noise of random signs, with which attacks are compared (Ghorbani, Abid & Zou 2019, section 3)."""

from __future__ import annotations

import torch
from pydantic import Field

from truemap.config.options import Count, MethodOptions
from truemap.geometry import direction
from truemap.map_attacks._attacked import Attacked, Found
from truemap.numerics import derive_seed


class Options(MethodOptions):
    """How often signs are drawn."""

    draws: Count = Field(
        10,
        description="draws at most for a sample, until one leaves the prediction what it was; one nearly always does",
    )


def perturb(attacked: Attacked, bound: float, options: Options) -> Found:
    """Return noise of which each voxel of the mask is plus or minus the bound (L2: so long as a whole).

    A sample's signs come from (seed, sample) alone, the same ones for every bound, model and way to explain.
    """
    seeds = [derive_seed(attacked.seed, "random_sign", sample) for sample in attacked.samples]
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]
    noise = torch.zeros_like(attacked.x)
    found = torch.zeros(len(noise), dtype=torch.bool, device=noise.device)
    for _ in range(options.draws):
        drawn = torch.stack([torch.randint(2, noise.shape[1:], generator=source) for source in sources])
        signs = torch.where(attacked.inside, 2.0 * drawn.to(noise) - 1, 0.0)
        tried = bound * direction(signs, attacked.norm)
        new = attacked.kept(attacked.x + tried) & ~found
        noise[new], found[new] = tried[new], True
        if found.all():
            break
    return Found(noise, found, torch.full((len(noise),), torch.nan, dtype=torch.float64, device=noise.device))
