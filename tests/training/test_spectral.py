import math

import numpy as np
import pytest
import torch
from methods import as_method
from small import (
    after_update,
    assert_draws_from_the_generator,
    assert_nearly_standard,
    assert_trains,
    batches,
    cross_entropy,
    descended,
    generator,
    minibatch,
    network,
)
from torch import nn

from truemap.networks import cnn3d, correlation, linear, mlp
from truemap.runtime.files import DataError
from truemap.training import spectral
from truemap.training._checkpoint import Checkpoint
from truemap.training._loop import fit
from truemap.training.spectral import applied, squared_norm

MANY = 3000


def matrix(layer, shape):
    """The linear map written out: what the layer makes of each unit vector, less what it makes of zeros."""
    size = math.prod(shape)
    columns = torch.eye(size, dtype=layer.weight.dtype).view(size, *shape)
    return (layer(columns) - layer(torch.zeros_like(columns))).flatten(1).T


def largest(layer, shape):
    return torch.linalg.svdvals(matrix(layer, shape))[0]


def layers():
    torch.manual_seed(0)
    return {
        "linear": (nn.Linear(30, 7), (30,)),
        "tall": (nn.Linear(5, 40), (5,)),
        "conv": (nn.Conv3d(2, 3, 3, padding=1), (2, 4, 5, 3)),
        "thin": (nn.Conv3d(1, 4, 3, padding=1), (1, 6, 5, 1)),
        "stride": (nn.Conv3d(2, 3, 3, stride=2, padding=1), (2, 4, 5, 6)),
        "no padding": (nn.Conv3d(2, 2, 2), (2, 4, 3, 3)),
    }


@pytest.mark.parametrize("kind", layers())
def test_norm_is_the_largest_singular_value_of_the_linear_map(kind):
    layer, shape = layers()[kind]
    layer = layer.double()
    found = squared_norm(layer, shape, MANY, generator()).sqrt().item()
    assert found == pytest.approx(np.linalg.norm(matrix(layer, shape).detach().numpy(), 2), rel=1e-8)


def test_the_reshaped_kernel_has_another_norm():
    """What torch's spectral_norm of a Conv3d divides by is less than half of the operator norm (LIBRARIES T19)."""
    layer, shape = layers()["conv"][0].double(), (2, 8, 8, 8)
    operator = squared_norm(layer, shape, 300, generator()).sqrt().item()
    reshaped = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
    assert reshaped < operator / 2
    assert operator < math.sqrt(27) * reshaped


def test_the_norm_of_a_convolution_depends_on_the_size_of_its_input():
    layer = layers()["conv"][0].double()
    with torch.no_grad():
        layer.weight.abs_()
    values = [squared_norm(layer, (2, n, n, n), MANY, generator()).item() for n in (1, 2, 4)]
    exact = [largest(layer, (2, n, n, n)).item() ** 2 for n in (1, 2, 4)]
    np.testing.assert_allclose(values, exact, rtol=1e-8)
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("kind", ["tall", "conv"])
def test_few_iterations_find_less_never_more(kind):
    layer, shape = layers()[kind]
    layer = layer.double()
    values = [squared_norm(layer, shape, count, generator()).item() for count in (1, 2, 5, 20, MANY)]
    assert values == sorted(values)
    assert values[-1] <= largest(layer, shape).item() ** 2 * (1 + 1e-12)
    assert values[2] > 0.7 * values[-1]


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_gradient_is_that_of_finite_differences(kind):
    layer, shape = layers()[kind]
    layer = layer.double()
    (gradient,) = torch.autograd.grad(squared_norm(layer, shape, MANY, generator()), layer.weight)
    weight, step, expected = layer.weight.detach().numpy(), 1e-5, []
    for index in np.ndindex(weight.shape):
        before, values = weight[index], []
        for change in (step, -step):
            weight[index] = before + change
            values.append(np.linalg.norm(matrix(layer, shape).detach().numpy(), 2) ** 2)
        weight[index] = before
        expected.append((values[0] - values[1]) / (2 * step))
    np.testing.assert_allclose(gradient.flatten(), expected, rtol=1e-5, atol=1e-7)


def test_layers_come_with_the_sizes_of_their_inputs_in_the_forward_pass():
    net = cnn3d.build((9, 8, 1), 3, cnn3d.Options(filters=[3, 4]))
    logits, found = applied(net, torch.ones(5, 9, 8, 1))
    assert torch.equal(logits, net(torch.ones(5, 9, 8, 1)))
    assert [shape for _, shape in found] == [(1, 9, 8, 1), (3, 4, 4, 1), (16,)]
    assert [layer for layer, _ in found] == [layer for layer in net if isinstance(layer, nn.Conv3d | nn.Linear)]
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("penalty", ["product", "sum"])
@pytest.mark.parametrize(("kind", "shapes"), [
    ("linear", [(80,)]),
    ("mlp", [(80,), (6,)]),
    ("cnn3d", [(1, 4, 5, 4), (3, 2, 2, 2), (4,)]),
])  # fmt: skip
def test_update_descends_cross_entropy_plus_the_penalty(kind, shapes, penalty):
    """With the largest singular values of matrices written out, which torch's SVD differentiates."""
    net, (x, y) = network(kind), minibatch()
    options = spectral.Options(strength=0.02, penalty=penalty, iterations=MANY)
    found, loss = after_update(spectral, net, options, x, y)
    weighted = [layer for layer in net if isinstance(layer, nn.Conv3d | nn.Linear)]
    squares = [largest(layer, shape) ** 2 for layer, shape in zip(weighted, shapes, strict=True)]
    term = math.prod(squares) if penalty == "product" else sum(squares) / 2
    objective = cross_entropy(net, x, y) + 0.02 * term
    assert loss == pytest.approx(objective.item(), rel=1e-9)
    np.testing.assert_allclose(found, descended(net, objective), rtol=1e-6, atol=1e-8)


def test_the_product_bounds_how_fast_the_gradient_of_a_smooth_network_changes():
    """Eq. 9 for one hidden layer of softplus, |g''| <= 1/4: ||J(a) - J(b)|| <= ||W2|| ||W1||^2 / 4 ||a - b||."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(80, 6), nn.Softplus(), nn.Linear(6, 3)).double()
    x, _ = minibatch(20)
    (first, second) = (squared_norm(net[k], (size,), MANY, generator()) for k, size in ((1, 80), (3, 6)))
    jacobians = [torch.autograd.functional.jacobian(lambda e: net(e[None])[0], e).flatten(1) for e in x]
    for a, b, one, other in zip(x, x.roll(1, 0), jacobians, [jacobians[-1], *jacobians], strict=False):
        change = torch.linalg.matrix_norm(one - other, 2)
        assert change <= second.sqrt() * first / 4 * (a - b).norm() * (1 + 1e-9)


@pytest.mark.parametrize(
    "net", [mlp.build((4, 5, 4), 3, mlp.Options(activation="none")), linear.build((4, 5, 4), 3, linear.Options())]
)
def test_networks_without_activations_and_hidden_layers_are_fine(net):
    x, y = minibatch()
    assert math.isfinite(after_update(spectral, net.double(), spectral.Options(), x, y)[1])


def test_a_network_without_weighted_layers_is_refused():
    x, y = minibatch()
    net = correlation.build((4, 5, 4), 3, correlation.Options()).double()
    with pytest.raises(DataError, match="no linear layer and no convolution"):
        after_update(spectral, net, spectral.Options(), x, y)


def test_weights_of_zero_are_not_nan():
    net, (x, y) = network("mlp"), minibatch()
    nn.init.zeros_(net[1].weight)
    assert torch.isfinite(after_update(spectral, net, spectral.Options(), x, y)[0]).all()


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_tiny_strength_gives_the_standard_update(kind):
    assert_nearly_standard(spectral, kind, spectral.Options(strength=1e-10, l2=0.05))


@pytest.mark.parametrize("penalty", ["product", "sum"])
@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
def test_it_trains_and_repeats(kind, penalty):
    options = spectral.Options(epochs=4, batch_size=8, learning_rate=0.01, penalty=penalty, iterations=3)
    assert_trains(spectral, kind, options)
    assert_draws_from_the_generator(spectral, kind, options)


def test_a_resumed_training_ends_with_the_same_bits(tmp_path):
    """No vector is kept from one minibatch to the next."""
    options, finished = spectral.Options(epochs=3, batch_size=8), network("cnn3d", torch.float32)
    fit(finished, as_method(spectral, options), batches(24, 0), batches(9, 1), 0)
    checkpoint = Checkpoint(tmp_path / "state.safetensors", "key")
    fit(network("cnn3d", torch.float32), as_method(spectral, options), batches(24, 0), batches(9, 1), 0, checkpoint)
    resumed = network("cnn3d", torch.float32)
    fit(resumed, as_method(spectral, options), batches(24, 0), batches(9, 1), 0, checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), finished.parameters(), strict=True))


@pytest.mark.parametrize("penalty", ["product", "sum"])
def test_strength_makes_norms_smaller(penalty):
    x, y = minibatch(12)
    norms = []
    for strength in (1e-9, 0.01, 0.1):
        net = network("mlp")
        optimizer, random = torch.optim.Adam(net.parameters(), lr=0.02), generator()
        for _ in range(60):
            options = spectral.Options(strength=strength, penalty=penalty)
            spectral.update(net, optimizer, x, y, options, random)
        norms.append(math.prod(largest(net[k], (size,)).item() for k, size in ((1, 80), (3, 6))))
    assert norms[0] > 1.2 * norms[1] > 1.44 * norms[2]
