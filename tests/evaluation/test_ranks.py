import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import roc_auc_score

from truemap.evaluation.ranks import LEAST_ITEMS, Values, permuted, rank_correlations, worst_auc


@given(st.integers(0, 10_000), st.integers(LEAST_ITEMS, 9), st.booleans())
def test_rank_correlations_are_scipys(seed, items, gaps):
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 5, (2, 4, items)).astype(float)
    if gaps:
        x[random.random(x.shape) < 0.2] = np.nan
    for tau, rho, a, b in zip(*rank_correlations(x, y), x, y, strict=True):
        both = np.isfinite(a) & np.isfinite(b)
        if both.sum() < LEAST_ITEMS or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
            assert np.isnan(tau) and np.isnan(rho)
            continue
        assert tau == pytest.approx(kendalltau(a[both], b[both]).statistic)
        assert rho == pytest.approx(spearmanr(a[both], b[both]).statistic)


@given(st.integers(0, 10_000), st.integers(8, 40))
def test_the_auc_is_scikit_learns_with_the_same_weights(seed, maps):
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 6, maps).astype(float), random.standard_normal(maps)
    weights = random.integers(0, 3, (5, maps)).astype(float)
    worst = y <= np.quantile(y, 0.25)
    for found, weight in zip(worst_auc(x, y, weights), weights, strict=True):
        if np.ptp(x) == 0 or not weight[worst].any() or not weight[~worst].any():
            assert np.isnan(found)
        else:
            assert found == pytest.approx(roc_auc_score(worst, -x, sample_weight=weight))


def test_p_holds_for_measures_of_noise_together():
    """Of 200 tables in which no measure knows a thing 5 % say that one does; items are noise alike for all subjects."""
    random, wrong = np.random.default_rng(0), 0
    for number in range(200):
        truth, noise = random.standard_normal((5, 7)) * 0.1 + random.standard_normal(7), random.standard_normal((4, 7))
        groups = [Values(np.tile(x, (5, 1)), truth, np.zeros(5, int), np.arange(5), np.arange(7)) for x in noise]
        p = permuted({(str(k),): {"a": values} for k, values in enumerate(groups)}, 7, number, 99)
        wrong += min(p.values()) <= 0.05
    assert 2 <= wrong <= 19  # 99.8 % of a binomial's
