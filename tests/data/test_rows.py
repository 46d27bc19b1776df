import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from truemap.data.rows import permuted_labels


@given(st.lists(st.sampled_from("ABC"), min_size=2, max_size=30), st.integers(0, 9), st.randoms())
def test_permuted_labels_are_the_same_ones_of_other_samples_by_seed_and_sample_alone(labels, seed, random):
    table = pd.DataFrame({"sample": np.arange(len(labels)) * 3, "label": labels})
    found = permuted_labels(table, seed)
    assert sorted(found) == sorted(labels)
    order = random.sample(range(len(labels)), len(labels))
    again = permuted_labels(table.iloc[order], seed)
    pd.testing.assert_series_equal(again.sort_index(), found)


def test_permuted_labels_know_nothing_of_the_true_ones():
    table = pd.DataFrame({"sample": range(3000), "label": np.repeat(["A", "B", "C"], 1000)})
    found = permuted_labels(table, 0)
    assert abs((found == table["label"]).mean() - 1 / 3) < 0.04
    assert (found != permuted_labels(table, 1)).any()
