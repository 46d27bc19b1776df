"""Tables of results come back as they were written."""

import numpy as np
import pandas as pd

from truemap.evaluation.results import of_data, read_table, write_table


def test_a_table_comes_back_and_only_what_is_empty_is_null(tmp_path):
    table = pd.DataFrame({"model": ["NA", "None", "null", "nan", "1e5"], "value": [0.1, np.nan, 2.5, -3.0, 1e-9]})
    table = of_data(table, "n/a", "made up")
    write_table(table, tmp_path / "a.tsv", tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.tsv"), table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), table)
