"""Maps as attacks see them: sizes that add up to 1, and where their centre is."""

from __future__ import annotations

import torch

from truemap.metrics._maps import peaks


def shares(maps: torch.Tensor) -> torch.Tensor:
    """Return each row's sizes divided by their sum (Ghorbani et al. 2019, section 2.1), with a graph.

    A perturbation then changes not how large a map is but where. A map of zeros stays one.

    Parameters
    ----------
    maps : Tensor, shape (n, voxels), float64
        Of any scale that a number can have: the peak is divided out first, so that the square of a sum, which the
        derivative has, is a number too.
    """
    sizes = maps.abs() / peaks(maps.detach())
    total = sizes.sum(dim=1, keepdim=True)
    return sizes / torch.where(total > 0, total, 1.0)


def centres(parts: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the centre of mass of each row of `shares`, shape (n, axes), in the unit of `places`.

    .. math:: C = \\sum_i R_i p_i

    Parameters
    ----------
    parts : Tensor, shape (n, voxels)
    places : Tensor, shape (voxels, axes), float64
        Where each voxel is.
    """
    return parts @ places


def largest(parts: torch.Tensor, share: float) -> torch.Tensor:
    """Return the positions of each row's largest values, shape (n, k), of two equal ones the first.

    Parameters
    ----------
    parts : Tensor, shape (n, voxels)
    share : float
        k as a share of the voxels; k is 1 at least.
    """
    return parts.argsort(dim=1, descending=True, stable=True)[:, : max(1, round(share * parts.shape[1]))]
