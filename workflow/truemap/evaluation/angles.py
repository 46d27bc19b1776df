"""Angles between what changes a prediction and what changes its explanation (Ghorbani et al. 2019, section 5, Fig. 7).

Any two directions of a space of thousands of voxels are nearly orthogonal, so each angle stands beside what random
directions have there. That is a low bar: all gradients of a network with few units lie in the few directions that these
units read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from scipy.special import betaincc, betainccinv

from truemap.evaluation.curvature import score, steepest
from truemap.exemplars.attack import most
from truemap.exemplars.influence import Influence
from truemap.geometry import direction, lengths, unit_vectors
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed
from truemap.training._objective import negative_log_probability

#: Why there is no angle.
FLAT = "the score has no curvature here, as a network of ReLUs or a linear one has none: soften it first"
LEVEL = "the score does not change here: its gradient is zero"
UNMOVED = "the loss, or the influence, does not change here: its gradient is zero"


def angle(a: torch.Tensor, b: torch.Tensor, signed: bool) -> np.ndarray:
    """Return the angle between each pair of rows in degrees, shape (n,); NaN where a row is zero.

    Parameters
    ----------
    a, b : Tensor, shape (n, *shape)
    signed : bool
        False for directions whose sign says nothing: 0 to 90 in place of 0 to 180.
    """
    u, v = (direction(part.double()) for part in (a, b))
    # By differences and sums of unit vectors (Kahan), as the arc cosine loses small angles.
    apart, together = lengths(u - v), lengths(u + v)
    if not signed:
        apart, together = torch.minimum(apart, together), torch.maximum(apart, together)
    found = torch.rad2deg(2 * torch.atan2(apart, together))
    zero = (lengths(u) == 0) | (lengths(v) == 0)
    return found.masked_fill(zero, torch.nan).cpu().numpy()


def random_share(degrees: np.ndarray | float, dimension: int, signed: bool) -> np.ndarray:
    """Return the share of random directions whose angle with a given one is smaller.

    The squared cosine has the Beta distribution of 1/2 and (d - 1)/2 (Muller 1959: the direction of normal numbers).

    Parameters
    ----------
    degrees : ndarray or float
    dimension : int
        d, at least 2.
    signed : bool
        See `angle`.
    """
    degrees = np.asarray(degrees, dtype=np.float64)
    acute = np.minimum(degrees, 180 - degrees)
    share = betaincc(0.5, (dimension - 1) / 2, np.cos(np.deg2rad(acute)) ** 2)
    if not signed:
        return share
    return np.where(degrees <= 90, share / 2, 1 - share / 2)


def random_angle(share: np.ndarray | float, dimension: int, signed: bool) -> np.ndarray:
    """Return the angle below which this share of random directions lies, in degrees: the inverse of `random_share`."""
    share = np.asarray(share, dtype=np.float64)
    low = share <= 0.5
    of_acute = np.where(low, 2 * share, 2 * (1 - share)) if signed else share
    acute = np.rad2deg(np.arccos(np.sqrt(betainccinv(0.5, (dimension - 1) / 2, of_acute))))
    return np.where(low, acute, 180 - acute) if signed else acute


def saliency_angles(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    inside: torch.Tensor,
    seed: int,
    output: Literal["logit", "probability"] = "logit",
    iterations: int = 500,
    tolerance: float = 1e-3,
) -> pd.DataFrame:
    """Return the angle between a score's gradient and the direction that changes that gradient most (Fig. 7a).

    Both within the mask: what does not vary cannot be attacked.

    Parameters
    ----------
    decoder : Decoder
        Smooth (`truemap.networks._soft.softened`); of a ReLU network's logits all angles are null.
    x : Tensor, shape (n, *shape)
    targets : Tensor of int, shape (n,)
        Class whose score it is; the paper takes the predicted one.
    samples : sequence of int
        Sample ids, for the start of the search.
    inside : Tensor of bool, shape ``shape``
        The mask.

    Returns
    -------
    DataFrame
        ``sample``; ``angle`` in degrees, 0 to 90, null with a ``reason``; ``dimension``; ``share`` of random directions
        of that dimension that are nearer, and their median angle ``random``; ``value``, the largest singular value (of
        a probability in units of p (1 - p)); ``iterations``, ``residual`` and ``converged`` (residual at most
        `tolerance`) of the search.
    """
    gradient, product = score(decoder, x, targets, output)
    sources = (torch.Generator().manual_seed(derive_seed(seed, "angles", sample)) for sample in samples)
    start = torch.cat([unit_vectors(x[:1], source) for source in sources])
    found = steepest(lambda v: product(v * inside) * inside, direction(start * inside), iterations, tolerance)
    degrees = angle(gradient * inside, found.directions, signed=False)
    curved = (found.values > 0).cpu().numpy()
    return _table(samples, np.where(curved, degrees, np.nan), int(inside.sum()), False).assign(
        reason=np.where(curved, np.where(np.isnan(degrees), LEVEL, ""), FLAT),
        value=found.values.cpu().numpy(),
        iterations=found.iterations.cpu().numpy(),
        residual=found.residuals.cpu().numpy(),
        converged=(found.residuals <= tolerance).cpu().numpy(),
    )


def influence_angles(
    influence: Influence,
    x: torch.Tensor,
    labels: torch.Tensor,
    samples: Sequence[int],
    inside: torch.Tensor,
    influential: str = "helpful",
) -> pd.DataFrame:
    """Return the angle between the gradient of the loss and that of the most influential map's influence (Fig. 7b).

    Parameters
    ----------
    x, labels
        See `truemap.exemplars.influence.Influence.of`.
    influential : str
        See the option of `truemap.exemplars.attack`.

    Returns
    -------
    DataFrame
        ``sample``; ``angle``, 0 to 180: of the directions in which the loss and eq. 3's influence rise; ``dimension``,
        ``share``, ``random`` and ``reason`` as in `saliency_angles`.
    """
    known = influence.of(x, labels)
    weights = torch.zeros_like(known).scatter(1, most(known, influential, 1), torch.ones_like(known))
    _, of_influence = influence.towards(x, labels, weights)
    with torch.enable_grad():
        at = x.detach().requires_grad_(True)
        losses = negative_log_probability(influence.decoder.network(at), labels)
        (of_loss,) = torch.autograd.grad(losses.sum(), at)
    degrees = angle(of_loss * inside, of_influence * inside, signed=True)
    found = _table(samples, degrees, int(inside.sum()), True)
    return found.assign(reason=np.where(np.isnan(degrees), UNMOVED, ""))


def _table(samples: Sequence[int], degrees: np.ndarray, dimension: int, signed: bool) -> pd.DataFrame:
    """Return the columns that both tables have, angles beside random ones."""
    share, middle = random_share(degrees, dimension, signed), random_angle(0.5, dimension, signed)
    columns = {"sample": list(samples), "angle": degrees, "dimension": dimension}
    return pd.DataFrame({**columns, "share": share, "random": float(middle)})
