import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from truemap.evaluation.reliability import EQUAL, FEW, agreement, reliability


def by_hand(ranks):
    """Krippendorff's alpha for ordinal data from its coincidences (Krippendorff 2011, "Computing ...")."""
    raters, units = ranks.shape
    words = np.unique(ranks)
    pairs = np.zeros((len(words), len(words)))
    for unit in range(units):
        for i in range(raters):
            for j in range(raters):
                if i != j:
                    at = np.searchsorted(words, ranks[[i, j], unit])
                    pairs[at[0], at[1]] += 1 / (raters - 1)
    counts = pairs.sum(axis=0)
    total = counts.sum()
    distance = np.array(
        [[(counts[min(c, k):max(c, k) + 1].sum() - (counts[c] + counts[k]) / 2) ** 2 for c in range(len(words))]
         for k in range(len(words))]
    )  # fmt: skip
    expected = (np.outer(counts, counts) - np.diag(counts)) / (total - 1)
    return 1 - (pairs * distance).sum() / (expected * distance).sum()


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 5))
def test_agreement_of_rankings_is_krippendorffs_alpha(seed, raters, units):
    values = np.random.default_rng(seed).standard_normal((raters, units))
    ranks = values.argsort(axis=1).argsort(axis=1)
    assert agreement(values) == pytest.approx(by_hand(ranks))


def test_extremes_of_agreement():
    assert agreement(np.tile([3.0, 1.0, 2.0], (5, 1))) == pytest.approx(1)
    assert agreement(np.random.default_rng(0).standard_normal((2000, 4))) == pytest.approx(0, abs=0.01)
    assert agreement(np.array([[1.0, 2.0], [2.0, 1.0]])) < 0
    assert np.isnan(agreement(np.ones((3, 3))))


def table(values, metric="removal", measure="morf", direction="higher"):
    """Values (maps, methods) of one network."""
    maps, methods = values.shape
    rows = [
        ("nn", 0, f"m{k}", metric, s, measure, values[s, k], direction) for k in range(methods) for s in range(maps)
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "method", "metric", "sample", "measure", "value", "direction"])


@given(arrays(float, (2, 6, 3), elements=st.floats(-1, 1), unique=True))
def test_all_kinds_are_scipys_correlations(both):
    one, two = both
    found = reliability(pd.concat([table(one), table(two, measure="lerf"), table(two, metric="again")]))
    value = found.set_index(["reliability", "metric", "measure", "other_metric", "other_measure"])["value"]
    pairs = [spearmanr(one[:, a], one[:, b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    assert value["inter-method", "removal", "morf", "", ""] == pytest.approx(np.mean(pairs))
    assert value["inter-rater", "removal", "lerf", "", ""] == pytest.approx(agreement(two))
    same = np.mean([spearmanr(one[:, k], two[:, k]).statistic for k in range(3)])
    assert value["internal consistency", "removal", "morf", "removal", "lerf"] == pytest.approx(same)
    assert value["between labels", "removal", "morf", "again", "morf"] == pytest.approx(same)
    assert len(found) == 3 * 2 + 2  # not lerf of one with morf of the other label
    assert set(found["maps"]) == {6} and set(found["methods"]) == {3}


def test_measures_are_turned_so_that_larger_is_better():
    values = np.random.default_rng(0).standard_normal((8, 2))
    found = reliability(pd.concat([table(values, direction="lower"), table(-values, measure="lerf")]))
    assert found.set_index("reliability")["value"]["internal consistency"] == pytest.approx(1)


def test_what_cannot_be_said_is_null_with_its_reason():
    values = np.random.default_rng(0).standard_normal((4, 2))
    values[0, 0] = np.nan
    found = reliability(table(values))
    assert set(found["maps"]) == {3} and found["value"].notna().all()
    alone = reliability(table(values[:, 1:]))
    assert alone["value"].isna().all() and set(alone["reason"]) == {FEW}
    few = reliability(table(values[:3]))
    assert set(few["reason"]) == {FEW}
    equal = reliability(table(np.ones((4, 2))))
    assert equal["value"].isna().all() and set(equal["reason"]) == {EQUAL}
