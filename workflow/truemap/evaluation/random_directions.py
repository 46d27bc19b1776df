"""Angles of random directions, in closed form: what angles of others are read against."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincc, betainccinv

#: Of what angles are told: of scores and maps (Fig. 7a), of losses and influences (Fig. 7b).
KINDS = ("saliency", "influence")
#: What every reader of these numbers has to know.
TRAP = (
    "Any two directions of thousands of voxels are nearly orthogonal: what an angle says is told beside random "
    "directions. These are a low bar, as all gradients of a network of few units lie in the few directions that the "
    "units read."
)


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


def random_mean(dimension: int, signed: bool) -> float:
    """Return the mean angle of random directions with a given one, in degrees: 90, or less where their sign is none.

    The density of an angle b from the right one is proportional to cos(b)^(d - 2): integrated by 200 points (Gauss and
    Legendre) as far as 14 sd, or to the end.

    Parameters
    ----------
    dimension : int
        d, at least 2.
    signed : bool
        See `random_share`.
    """
    if signed:
        return 90.0
    end = min(np.pi / 2, 14 / np.sqrt(dimension))
    points, weights = np.polynomial.legendre.leggauss(200)
    apart = end * (points + 1) / 2
    density = np.cos(apart) ** (dimension - 2) * weights
    return float(90 - np.rad2deg((apart * density).sum() / density.sum()))
