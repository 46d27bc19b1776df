"""The map itself, as if it explained its own class. A control of this project."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from truemap.config.names import ATTRIBUTION
from truemap.config.options import MethodOptions
from truemap.data.background import Background


class Options(MethodOptions):
    """What is taken away from the map."""

    centre: bool = Field(
        False, description="true: the map minus the mean of all training maps; false: the map as it is"
    )

    def traits(self) -> set[str]:
        """A share of a sum that is the map's own."""
        return {ATTRIBUTION}


def refer(
    rows: pd.DataFrame, maps: np.ndarray, background: Background, conditions: str, options: Options, seed: int
) -> np.ndarray:
    """Return x for the map's own class and -x for the others, shape (n, classes, voxels).

    The truth of a pair is target minus own class, so that a copy of the map agrees with it best turned round.
    Parameters as in `truemap.references._contract.Refer`.
    """
    values = maps.astype(np.float64) - (background.mean if options.centre else 0.0)
    classes = np.array(sorted(background.means["all"]))
    own = rows["label"].to_numpy()[:, None] == classes
    return np.where(own, 1.0, -1.0)[:, :, None] * values[:, None]
