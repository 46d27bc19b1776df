"""Networks trained on permuted labels, beside those whose maps are compared with theirs."""

from __future__ import annotations

import pandas as pd

KEYS = ["model", "seed", "metric"]
ACCURACIES = {"permuted": "accuracy_permuted", "true": "accuracy_true", "test": "accuracy_test"}


def twin_table(twins: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Return how well each twin learnt its labels, and how alike maps are, by way to explain and measure.

    Parameters
    ----------
    twins : DataFrame
        ``model, seed, metric, permuted, true, test``: accuracies on the permuted labels of the training maps, on
        their true ones, and on test maps.
    measured : DataFrame
        ``model, seed, metric, method, measure, value, reason`` of each map.

    Returns
    -------
    DataFrame
        ``model, seed, metric, accuracy_permuted, accuracy_true, accuracy_test, method, measure, maps, mean, reason``;
        `maps` counts those with a value, the reason is why there is none.
    """
    found = measured.groupby([*KEYS, "method", "measure"], sort=False).agg(
        maps=("value", "count"), mean=("value", "mean"), reason=("reason", "max")
    )
    found["reason"] = found["reason"].where(found["maps"] == 0, "")
    return twins.rename(columns=ACCURACIES).merge(found.reset_index(), on=KEYS, validate="one_to_many")
