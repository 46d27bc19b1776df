import numpy as np
import pandas as pd

from truemap.evaluation.twins import twin_table


def test_a_row_a_method_and_measure_says_how_well_the_twin_learnt_its_labels():
    keys = {"model": "nn", "seed": 0, "metric": "labels"}
    twins = pd.DataFrame([{**keys, "permuted": 0.97, "true": 0.4, "test": 0.3}])
    values = {"a": [0.5, 0.7], "b": [np.nan, 0.25], "c": [np.nan, np.nan]}
    rows = [
        {**keys, "method": name, "measure": "r", "value": v, "reason": "constant" if np.isnan(v) else ""}
        for name, found in values.items()
        for v in found
    ]
    table = twin_table(twins, pd.DataFrame(rows))
    assert (table[["accuracy_permuted", "accuracy_true", "accuracy_test"]] == [0.97, 0.4, 0.3]).all(axis=None)
    assert table["method"].tolist() == ["a", "b", "c"] and table["maps"].tolist() == [2, 1, 0]
    np.testing.assert_allclose(table["mean"], [0.6, 0.25, np.nan])
    assert table["reason"].tolist() == ["", "", "constant"]
