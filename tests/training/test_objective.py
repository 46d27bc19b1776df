import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import log_loss
from torch import nn

from truemap.geometry import direction, norms, project, radius, step_lengths
from truemap.training._objective import loss

torch.set_num_threads(1)
# Noise of 3 maps of 2 x 2 x 1 voxels, at most 1e3 long; radii of ordinary size.
NOISE = arrays(np.float64, (3, 2, 2, 1), elements=st.floats(-500, 500))
RADII = st.floats(0.01, 100)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def test_loss_is_the_mean_log_loss():
    net, x, y = network(), torch.randn(7, 6).double(), torch.tensor([0, 2, 1, 1, 0, 2, 2])
    logits = net(x)
    probabilities = np.exp(logits.detach().numpy())
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert loss(net, logits, y, 0.0).item() == pytest.approx(log_loss(y, probabilities, labels=[0, 1, 2]), rel=1e-12)


def test_l2_adds_half_of_the_squared_weights_but_no_bias():
    net, x, y = network(), torch.randn(7, 6).double(), torch.zeros(7, dtype=torch.long)
    logits = net(x)
    squares = sum(float((layer.weight.detach().numpy() ** 2).sum()) for layer in (net[1], net[3]))
    assert (loss(net, logits, y, 0.3) - loss(net, logits, y, 0.0)).item() == pytest.approx(0.15 * squares, rel=1e-12)


def test_loss_stays_right_where_logits_are_huge():
    logits = torch.tensor([[800.0, 0.0, -800.0]])
    assert loss(nn.Identity(), logits, torch.tensor([2]), 0.0).item() == pytest.approx(1600.0)


@given(NOISE)
def test_norms_are_numpys(noise):
    expected = np.linalg.norm(noise.reshape(3, -1), axis=1).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(norms(torch.from_numpy(noise)), expected, rtol=1e-12)


def test_direction_has_unit_norm_and_a_zero_gradient_stays_zero():
    gradient = torch.randn(4, 3, 2, 1)
    gradient[2] = 0
    found = direction(gradient)
    np.testing.assert_allclose(norms(found).flatten(), [1, 1, 0, 1], rtol=1e-6)
    cosine = (found * gradient).flatten(1).sum(1) / norms(gradient).flatten()
    np.testing.assert_allclose(cosine[[0, 1, 3]], 1, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-36, 1e-25, 1e-12, 1.0, 1e12, 1e25])
def test_direction_does_not_depend_on_how_small_or_large_the_gradient_is(scale):
    """At p = 1 - 1e-25 the gradient has that size, and its square is no float32."""
    gradient = torch.tensor([[3.0, -4.0]]) * scale
    np.testing.assert_allclose(direction(gradient), [[0.6, -0.8]], rtol=1e-5)


@given(NOISE, RADII)
def test_project_leaves_what_is_inside_and_shortens_what_is_outside(noise, bound):
    found = project(torch.from_numpy(noise), bound).numpy()
    for before, after in zip(noise.reshape(3, -1), found.reshape(3, -1), strict=True):
        length = np.linalg.norm(before)
        if length <= bound * (1 - 1e-12):
            np.testing.assert_array_equal(after, before)
        else:
            assert np.linalg.norm(after) == pytest.approx(bound, rel=1e-9)
            np.testing.assert_allclose(after, before * bound / length, rtol=1e-9, atol=1e-300)


@given(NOISE, NOISE, RADII)
def test_project_finds_the_nearest_point_of_the_ball(noise, other, bound):
    """For the nearest point P(x) of a convex set, (x - P(x)) . (z - P(x)) <= 0 for each z in it."""
    inside = other.reshape(3, -1)
    inside = inside * np.minimum(1, bound / np.maximum(np.linalg.norm(inside, axis=1), 1e-300))[:, None]
    nearest = project(torch.from_numpy(noise), bound).numpy().reshape(3, -1)
    beyond = noise.reshape(3, -1) - nearest
    assert ((beyond * (inside - nearest)).sum(axis=1) <= 1e-7 * (1 + bound) * np.linalg.norm(beyond, axis=1)).all()


def test_linf_direction_is_the_sign_and_rises_most_of_all_steps_of_its_norm():
    gradient = torch.randn(4, 3, 2, 1)
    gradient[2, 0] = 0
    found = direction(gradient, "linf")
    np.testing.assert_array_equal(found, np.sign(gradient.numpy()))
    rise = (found * gradient).flatten(1).sum(1)
    np.testing.assert_allclose(rise, np.abs(gradient.numpy()).reshape(4, -1).sum(axis=1), rtol=1e-6)


@given(NOISE, RADII)
def test_linf_project_is_numpys_clip(noise, bound):
    found = project(torch.from_numpy(noise), bound, "linf")
    np.testing.assert_array_equal(found, np.clip(noise, -bound, bound))


def test_the_linf_bound_is_epsilon_in_either_unit():
    assert radius(0.1, "voxel", 902_629, "linf") == radius(0.1, "absolute", 902_629, "linf") == 0.1


def test_a_tenth_a_voxel_is_the_papers_95():
    assert radius(0.1, "voxel", 91 * 109 * 91) == pytest.approx(95.0068, abs=5e-5)
    assert radius(14.0, "absolute", 1024) == 14.0


def test_uniform_step_lengths_are_uniform_up_to_the_bound():
    lengths = step_lengths("uniform", 3.0, 2000, torch.zeros(1, 4, 4, 1), torch.Generator().manual_seed(0))
    assert lengths.shape == (2000, 1, 1, 1)
    assert lengths.min() >= 0
    assert lengths.max() <= 3.0
    assert stats.kstest(lengths.flatten(), stats.uniform(0, 3.0).cdf).pvalue > 0.01


def test_a_fixed_step_is_its_share_of_the_bound_and_draws_nothing():
    random = torch.Generator().manual_seed(0)
    lengths = step_lengths(0.4, 3.0, 5, torch.zeros(5, 4, dtype=torch.float64), random)
    np.testing.assert_allclose(lengths, np.full((5, 1), 1.2), rtol=1e-7)
    assert torch.equal(random.get_state(), torch.Generator().manual_seed(0).get_state())
