"""Whether maps find the voxels that a network uses, where these are known: hits and false alarms."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata


def hits(maps: np.ndarray, used: np.ndarray) -> pd.DataFrame:
    """Return how well the sizes of maps tell the voxels that are used from the others.

    Parameters
    ----------
    maps : ndarray, shape (n, voxels)
    used : ndarray of bool, shape (voxels,)
        Some are. If all are, nothing can be told from anything, and all but the hits is null.

    Returns
    -------
    DataFrame
        Of each map ``auc`` (area under the ROC curve of its sizes: the chance that a used voxel is larger than another
        one, ties by half), ``hit_rate`` and ``false_alarm_rate`` (shares of the used and of the other voxels among its
        m largest, m the number of used ones; of voxels of one size at that border the same share), ``outside`` (share
        of the sum of its sizes outside the used voxels). Null where a map is zero.
    """
    sizes = np.abs(maps.astype(np.float64))
    count, others = int(used.sum()), int((~used).sum())
    ranks = rankdata(sizes, axis=1)
    auc = (ranks[:, used].sum(axis=1) - count * (count + 1) / 2) / (count * others or np.nan)
    border = np.partition(sizes, len(used) - count, axis=1)[:, len(used) - count, None]
    above, at = sizes > border, sizes == border
    found = above + at * ((count - above.sum(axis=1)) / at.sum(axis=1))[:, None]
    total = sizes.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        outside = sizes[:, ~used].sum(axis=1) / total
    table = {
        "auc": auc,
        "hit_rate": found[:, used].mean(axis=1),
        "false_alarm_rate": found[:, ~used].sum(axis=1) / (others or np.nan),
        "outside": outside if others else np.nan,
    }
    return pd.DataFrame(table).where(pd.Series(total > 0), axis=0)
