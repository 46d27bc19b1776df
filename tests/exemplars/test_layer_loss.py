import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from truemap.exemplars import _layer_loss
from truemap.exemplars._layer_loss import hessian, objective, optimum, residuals, slope
from truemap.runtime.files import DataError

torch.set_num_threads(1)


def layer(n=23, width=4, classes=3, seed=0):
    """Weights, features with a 1, and labels of every class."""
    random = torch.Generator().manual_seed(seed)
    f = torch.randn(n, width, generator=random, dtype=torch.float64)
    f = torch.cat([f, torch.ones(n, 1).double()], dim=1)
    weights = torch.randn(classes, width + 1, generator=random, dtype=torch.float64)
    return weights, f, torch.arange(n) % classes


def by_torch(weights, f, labels, damping):
    return functional.cross_entropy(f @ weights.T, labels) + damping / 2 * (weights**2).sum()


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 4), st.integers(2, 5), st.floats(1e-4, 10))
def test_hessian_and_slope_are_those_of_torch(seed, n, width, classes, damping):
    weights, f, labels = layer(n, width, classes, seed)
    found = hessian(f, f @ weights.T, damping)
    expected = torch.func.hessian(by_torch)(weights, f, labels, damping).reshape(found.shape)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        slope(weights, f, labels, damping), torch.func.grad(by_torch)(weights, f, labels, damping)
    )
    torch.testing.assert_close(objective(weights, f, labels, damping), by_torch(weights, f, labels, damping))


def test_number_of_maps_at_a_time_does_not_matter(monkeypatch):
    weights, f, _ = layer(23)
    expected = hessian(f, f @ weights.T, 0.1)
    monkeypatch.setattr(_layer_loss, "CHUNK", 5)
    torch.testing.assert_close(hessian(f.float(), f @ weights.T, 0.1), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(hessian(f, f @ weights.T, 0.1), expected, rtol=1e-13, atol=1e-15)


def test_without_damping_there_is_no_inverse():
    """Logits that all rise alike: a direction a feature in which nothing curves."""
    weights, f, _ = layer()
    curvatures = torch.linalg.eigvalsh(hessian(f, f @ weights.T, 0.0))
    assert (curvatures[:5].abs() < 1e-14).all()
    assert curvatures[5] > 1e-4


def test_residuals_do_not_round_to_zero():
    logits = torch.tensor([[60.0, 0.0, 1.0], [0.0, 900.0, 0.0]], dtype=torch.float64)
    found = residuals(logits, torch.tensor([0, 1]))
    np.testing.assert_allclose(found[0], [-(np.exp(-60) + np.exp(-59)), np.exp(-60), np.exp(-59)], rtol=1e-12)
    assert (found[1] == 0).all()
    np.testing.assert_allclose(residuals(logits, torch.tensor([1, 0]))[0], [1, -1, np.exp(-59)], atol=1e-15)


@pytest.mark.parametrize("damping", [1e-3, 0.1, 5.0])
def test_optimum_is_scikit_learns(damping):
    _, f, labels = layer(40)
    found = optimum(f, labels, 3, damping)
    model = LogisticRegression(C=1 / (len(f) * damping), fit_intercept=False, tol=1e-12, max_iter=10_000)
    expected = model.fit(f.numpy(), labels.numpy()).coef_
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    assert slope(found, f, labels, damping).norm() < 1e-9


def test_optimum_of_separated_classes_of_long_features():
    """Where Newton's whole step would overshoot."""
    f, labels = torch.eye(3, dtype=torch.float64).repeat(4, 1) * 300, torch.arange(12) % 3
    found = optimum(f, labels, 3, 1e-6)
    assert slope(found, f, labels, 1e-6).norm() < 1e-8 * slope(0 * found, f, labels, 1e-6).norm()


def test_an_optimum_that_is_not_found_is_an_error(monkeypatch):
    _, f, labels = layer()
    monkeypatch.setattr(_layer_loss, "STEPS", 2)
    with pytest.raises(DataError, match=r"was not found in 2 Newton steps\. A larger `damping`"):
        optimum(f, labels, 3, 0.01)
