"""Noise: the agreement of a map that knows nothing at all. A control of this project."""

from __future__ import annotations

import numpy as np
import pandas as pd

from truemap.config.options import MethodOptions
from truemap.data.background import Background
from truemap.numerics import derive_seed


class Options(MethodOptions):
    """No options."""


def refer(
    rows: pd.DataFrame, maps: np.ndarray, background: Background, conditions: str, options: Options, seed: int
) -> np.ndarray:
    """Return independent N(0, 1) noise for each map and class.

    Parameters
    ----------
    rows : DataFrame
        ``sample, label`` of each map.
    maps : ndarray, shape (n, voxels)
        The maps that are "explained".
    background : Background
        Of the training maps.
    conditions : str
        Set of conditions that the result is scored in.
    seed : int
        A sample's noise comes from (seed, sample) alone.

    Returns
    -------
    ndarray, shape (n, classes, voxels)
    """
    shape = (len(background.means["all"]), maps.shape[1])
    return np.stack(
        [np.random.default_rng(derive_seed(seed, "random", int(s))).standard_normal(shape) for s in rows["sample"]]
    )
