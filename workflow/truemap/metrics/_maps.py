"""Comparing maps whose scale may be as small as 1e-261 (`truemap.saliency._scaled`): squares would be none."""

from __future__ import annotations

import torch

from truemap.numerics import pearson, ranks


def peaks(maps: torch.Tensor) -> torch.Tensor:
    """Return each row's largest absolute value, shape (n, 1); 1 for a row of zeros."""
    peak = maps.abs().amax(dim=1, keepdim=True)
    return torch.where(peak > 0, peak, 1.0)


def lengths(maps: torch.Tensor) -> torch.Tensor:
    """Return each row's L2 norm, shape (n,)."""
    peak = peaks(maps)
    return (maps / peak).norm(dim=1) * peak[:, 0]


def change(maps: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return ||maps - reference|| / ||reference|| of each row, shape (n,); NaN where the reference is zero."""
    length = lengths(reference)
    return torch.where(length > 0, lengths(maps - reference) / length, torch.nan)


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return Pearson's r of each two rows, shape (n,), float64; NaN where one is constant."""
    rows = ((part / peaks(part)).cpu().numpy() for part in (a, b))
    return torch.from_numpy(pearson(*rows)).to(a.device)


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return Spearman's rho of each two rows, ties at their mean rank, shape (n,); NaN where one is constant."""
    return torch.from_numpy(pearson(*(ranks(part.cpu().numpy()) for part in (a, b)))).to(a.device)
