import numpy as np
import pytest
import torch
from methods import as_method
from small import (
    after_update,
    assert_trains,
    batches,
    cross_entropy,
    descended,
    minibatch,
    network,
    weights,
)

from truemap.training import standard, weight_decay
from truemap.training._loop import fit


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_update_descends_cross_entropy_plus_half_the_squared_weights(kind):
    net, (x, y) = network(kind), minibatch()
    found, loss = after_update(weight_decay, net, weight_decay.Options(strength=0.3), x, y)
    squares = sum(w.square().sum() for w in net.parameters() if w.dim() > 1)
    objective = cross_entropy(net, x, y) + 0.3 / 2 * squares
    assert loss == pytest.approx(objective.item(), rel=1e-10)
    np.testing.assert_allclose(found, descended(net, objective), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(("strength", "l2"), [(0.25, 0.0), (0.125, 0.125)])
def test_training_is_that_of_standard_with_l2(strength, l2):
    """Bit by bit: both sums are 0.25 without rounding."""
    ours, theirs = network("cnn3d", torch.float32), network("cnn3d", torch.float32)
    options = weight_decay.Options(epochs=3, batch_size=8, strength=strength, l2=l2)
    first = fit(ours, as_method(weight_decay, options), batches(24, 0), batches(9, 1), 0)
    options = standard.Options(epochs=3, batch_size=8, l2=0.25)
    second = fit(theirs, as_method(standard, options), batches(24, 0), batches(9, 1), 0)
    assert torch.equal(weights(ours), weights(theirs))
    assert first.equals(second)


@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
def test_it_trains_and_repeats(kind):
    options = weight_decay.Options(epochs=4, batch_size=8, learning_rate=0.01, strength=0.1)
    assert_trains(weight_decay, kind, options)
