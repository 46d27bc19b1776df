"""How far attacked maps are from what they were (Ghorbani, Abid & Zou 2019; Lu et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from truemap.geometry import lengths
from truemap.map_attacks._maps import centres, largest, shares
from truemap.metrics._maps import lengths as row_lengths
from truemap.metrics._maps import rank_correlation

#: Why measures have no value.
UNMOVED = "the noise that came back is zero: there is no way to divide by"
AIMLESS = "no noise was found that leaves the prediction, or noise of random signs, which wants nothing"
FLAT = "a map is zero, or the same everywhere"


def changes(
    before: torch.Tensor, after: torch.Tensor, noise: torch.Tensor, places: torch.Tensor, top: float
) -> dict[str, torch.Tensor]:
    """Return how far maps are from what they were, by the names of measures.

    ``spearman``, ``top_k`` and ``shift`` are of sizes, as Ghorbani, Abid & Zou 2019 (sections 2.1, 2.3, Appendix D)
    have them; ``spearman_signed`` is of the maps with their signs. ``sensitivity`` is eq. 11 of Lu et al. 2020,

    .. math:: S_s = \\frac{\\lVert E(x) - E(\\hat x) \\rVert_2}{\\lVert x - \\hat x \\rVert_2}

    as printed, which falls where maps are given in larger units; ``sensitivity_equal`` is that of maps whose sizes add
    up to 1.

    Parameters
    ----------
    before, after : Tensor, shape (n, voxels), float64
        Maps, with their signs.
    noise : Tensor, shape (n, voxels)
    places : Tensor, shape (voxels, axes), float64
        Where voxels are, in mm.
    top : float
        k as a share of the voxels.

    Returns
    -------
    mapping from str to Tensor, shape (n,), float64
        NaN where there is none: of a map that is zero or constant, or a way of length 0.
    """
    parts = [shares(maps) for maps in (before, after)]
    zero = ~torch.stack([part.any(dim=1) for part in parts]).all(dim=0)
    chosen = [torch.zeros_like(part, dtype=torch.bool).scatter(1, largest(part, top), True) for part in parts]
    signed = [part * maps.sign() for part, maps in zip(parts, (before, after), strict=True)]
    way = lengths(noise)
    way = torch.where(way > 0, way, torch.nan)
    kept = (chosen[0] & chosen[1]).sum(dim=1).double() / chosen[0].sum(dim=1)
    shift = (centres(parts[0], places) - centres(parts[1], places)).norm(dim=1)
    return {
        "spearman": rank_correlation(*parts),
        "spearman_signed": rank_correlation(*signed),
        "top_k": torch.where(zero, torch.nan, kept),
        "shift": torch.where(zero, torch.nan, shift),
        "sensitivity": row_lengths(before - after) / way,
        "sensitivity_equal": torch.where(zero, torch.nan, (signed[0] - signed[1]).norm(dim=1) / way),
    }


def as_rows(told: Mapping[str, torch.Tensor], entry: pd.DataFrame) -> pd.DataFrame:
    """Return `changes` as rows: ``sample, measure, conditions, truth, value, reason``.

    Parameters
    ----------
    told : mapping
        Of `changes`, and perhaps ``gain``.
    entry : DataFrame
        ``sample, l2``, the length of the noise, of each.
    """
    tables = []
    for name, of_maps in told.items():
        values = of_maps.cpu().numpy()
        unmoved = name.startswith("sensitivity") & (entry["l2"] == 0)
        none = np.where(unmoved, UNMOVED, AIMLESS if name == "gain" else FLAT)
        rows = {"sample": entry["sample"], "measure": name, "conditions": "", "truth": "", "value": values}
        tables.append(pd.DataFrame({**rows, "reason": np.where(np.isnan(values), none, "")}))
    return pd.concat(tables)
