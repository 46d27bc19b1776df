"""Edges of the map itself: an edge detector looks like an explanation, and knows no network (Adebayo et al. 2018)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.ndimage import generic_gradient_magnitude, sobel

from truemap.config.options import MethodOptions
from truemap.data.background import Background


class Options(MethodOptions):
    """No options."""


def refer(
    rows: pd.DataFrame, maps: np.ndarray, background: Background, conditions: str, options: Options, seed: int
) -> np.ndarray:
    """Return the size of the gradient by Sobel's filters, the same for every class, shape (n, classes, voxels).

    The root of the sum of squares over axes; beyond the edge the map is mirrored. Parameters as in
    `truemap.references._contract.Refer`.
    """
    edges = [generic_gradient_magnitude(x.reshape(background.shape), sobel) for x in maps.astype(np.float64)]
    return np.repeat(np.reshape(edges, (len(maps), 1, -1)), len(background.means["all"]), axis=1)
