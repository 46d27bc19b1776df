"""The truth of the group: what the training subjects' maps say of the classes, the same for every test map.

A control of this project.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from truemap.config.names import GRADIENT
from truemap.config.options import MethodOptions
from truemap.data.background import Background


class Options(MethodOptions):
    """No options."""

    def traits(self) -> set[str]:
        """As the weights of a template."""
        return {GRADIENT}


def refer(
    rows: pd.DataFrame, maps: np.ndarray, background: Background, conditions: str, options: Options, seed: int
) -> np.ndarray:
    """Return the truth that the training maps give in place of the subject's own, shape (n, classes, voxels).

    For the map's own class A its mean minus the average (of class means or of maps, as in the subject's truth), for
    another class B the mean of B minus that of A, over the training maps of the same set of conditions.
    Parameters as in `truemap.references._contract.Refer`.
    """
    means = background.means[conditions]
    classes = sorted(background.means["all"])
    nothing = np.zeros(maps.shape[1])
    average = background.averages[conditions]
    table = {
        (a, b): means[b] - (average if a == b else means[a]) if a in means and b in means else nothing
        for a in set(rows["label"])
        for b in classes
    }
    return np.stack([[table[label, target] for target in classes] for label in rows["label"]])
