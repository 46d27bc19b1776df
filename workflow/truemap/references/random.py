"""Noise: the agreement of a map that knows nothing at all. A control of this project."""

from __future__ import annotations

import numpy as np
import pandas as pd

from truemap.config.names import ATTRIBUTION
from truemap.config.options import MethodOptions
from truemap.data.background import Background
from truemap.numerics import derive_seed


class Options(MethodOptions):
    """No options."""

    def traits(self) -> set[str]:
        """As if it were a share of the output."""
        return {ATTRIBUTION}


def refer(
    rows: pd.DataFrame, maps: np.ndarray, background: Background, conditions: str, options: Options, seed: int
) -> np.ndarray:
    """Return independent N(0, 1) noise for each map and class, from (seed, sample) alone.

    Parameters as in `truemap.references._contract.Refer`.
    """
    shape = (len(background.means["all"]), maps.shape[1])
    return np.stack(
        [np.random.default_rng(derive_seed(seed, "random", int(s))).standard_normal(shape) for s in rows["sample"]]
    )
