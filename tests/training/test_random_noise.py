import math

import numpy as np
import pytest
import torch
from scipy import stats
from small import (
    after_update,
    assert_draws_from_the_generator,
    assert_nearly_standard,
    assert_trains,
    generator,
    minibatch,
    network,
)

from truemap.geometry import ball, unit_vectors
from truemap.training import random_noise, standard


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (2, 3, 2), (4, 5, 4)])
def test_lengths_to_the_power_of_the_dimension_are_uniform(shape):
    """The ball of radius r holds the share (r / bound)^D of the volume."""
    noise = ball(torch.zeros(3000, *shape).double(), 2.5, generator(0)).numpy().reshape(3000, -1)
    length = np.linalg.norm(noise, axis=1)
    assert length.max() <= 2.5 * (1 + 1e-12)
    assert stats.kstest((length / 2.5) ** math.prod(shape), stats.uniform.cdf).pvalue > 0.01


def test_noise_fills_a_disc_evenly():
    """Sixteen parts of equal area (four quadrants, four rings) hold equal counts."""
    noise = ball(torch.zeros(4000, 2, 1, 1).double(), 1.0, generator(1)).numpy().reshape(-1, 2)
    ring = np.minimum((4 * (noise**2).sum(1)).astype(int), 3)
    quadrant = 2 * (noise[:, 0] > 0) + (noise[:, 1] > 0)
    counts = np.bincount(4 * ring + quadrant, minlength=16)
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_coordinate_of_a_unit_vector_has_the_law_of_the_sphere():
    """(1 + v_1) / 2 ~ Beta((D - 1)/2, (D - 1)/2)."""
    v = unit_vectors(torch.zeros(3000, 2, 3).double(), generator(2)).numpy().reshape(3000, 6)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1, rtol=1e-6)
    for coordinate in v.T:
        assert stats.kstest((1 + coordinate) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 0.005


@pytest.mark.parametrize(("unit", "bound"), [("voxel", 0.3 * math.sqrt(80)), ("absolute", 0.3)])
def test_update_is_a_standard_one_on_maps_moved_within_the_bound(unit, bound):
    net, (x, y) = network("mlp"), minibatch()
    seen = []
    hook = net.register_forward_pre_hook(lambda _network, inputs: seen.append(inputs[0].detach().clone()))
    options = random_noise.Options(epsilon=0.3, epsilon_unit=unit, l2=0.1)
    found, loss = after_update(random_noise, net, options, x, y)
    hook.remove()
    (moved,) = seen
    lengths = (moved - x).flatten(1).norm(dim=1)
    assert (lengths > 0.8 * bound).all()  # with 80 voxels, shorter ones have probability 2e-8
    assert (lengths <= bound * (1 + 1e-6)).all()
    wanted, expected = after_update(standard, net, standard.Options(l2=0.1), moved, y)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert loss == expected


def test_noise_is_fresh_for_each_minibatch():
    random, x = generator(), torch.zeros(2, 3, 1, 1)
    assert not torch.equal(ball(x, 1.0, random), ball(x, 1.0, random))


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_tiny_noise_gives_the_standard_update(kind):
    assert_nearly_standard(random_noise, kind, random_noise.Options(epsilon=1e-10, l2=0.05))


@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
def test_it_trains_and_repeats(kind):
    options = random_noise.Options(epochs=4, batch_size=8, learning_rate=0.01)
    assert_trains(random_noise, kind, options)
    assert_draws_from_the_generator(random_noise, kind, options)
