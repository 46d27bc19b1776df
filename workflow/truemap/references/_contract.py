"""What a module of this family must define: ``Options`` and ``refer``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from truemap.config.registry import Method
from truemap.data.background import Background


class Refer(Protocol):
    """Makes maps that know nothing of a network."""

    def __call__(
        self, rows: pd.DataFrame, maps: np.ndarray, background: Background, conditions: str, options: Any, seed: int
    ) -> np.ndarray:
        """Return a map for each map and class.

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
        options : Options
            Of the module.
        seed : int
            What is drawn for a sample comes from (seed, sample) alone.

        Returns
        -------
        ndarray, shape (n, classes, voxels)
        """
        ...


@dataclass(frozen=True)
class Reference(Method):
    """What saliency maps are compared with."""

    refer: Refer
