"""Correlation with a template of each class: the simplest classifier of McClure et al. 2020, version 3."""

from __future__ import annotations

import math

import torch
from torch import nn

from truemap.config.options import MethodOptions


class Options(MethodOptions):
    """No options. Its training is `templates`, in closed form; templates of zeros have no gradient to descend."""

    def traits(self) -> set[str]:
        """Templates in place of weights."""
        return {"templates"}

    def needs(self) -> set[str]:
        """Templates have no gradient at their start: no optimiser moves them."""
        return {"closed form"}


class Correlation(nn.Module):
    """Logits that are Pearson correlations of the map with templates.

    z_c = sum_v (x_v - mean x) (t_cv - mean t_c) / (V sd(x) sd(t_c)), over all V voxels v.

    Parameters
    ----------
    classes, voxels : int

    Attributes
    ----------
    templates : Parameter, shape (classes, voxels)
        Zeros at first.
    counts : Tensor, shape (classes,)
        Number of maps that each template is the mean of.
    """

    def __init__(self, classes: int, voxels: int) -> None:
        super().__init__()
        self.templates = nn.Parameter(torch.zeros(classes, voxels))
        self.register_buffer("counts", torch.zeros(classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return correlations ``(n, classes)`` of maps ``(n, *shape)``; 0 where map or template is constant."""
        return _standardised(x.flatten(1)) @ _standardised(self.templates).T


def build(shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return the network: ``(n, *shape)`` to ``(n, classes)`` logits between -1 and 1."""
    return Correlation(classes, math.prod(shape))


def _standardised(rows: torch.Tensor) -> torch.Tensor:
    """Return each row minus its mean, at unit L2 norm; zeros, without a gradient, where a row is constant."""
    # Exactly, because the mean of equal numbers may differ from them in the last bit.
    constant = (rows == rows[:, :1]).all(1, keepdim=True)
    centred = rows - rows.mean(1, keepdim=True)
    # The inner `where` keeps the square root's gradient finite, the outer one makes it zero.
    squares = torch.where(constant, 1.0, centred.square().sum(1, keepdim=True))
    return torch.where(constant, 0.0, centred / squares.sqrt())
