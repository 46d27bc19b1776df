import numpy as np
import pytest
import torch
from small import (
    CLASSES,
    after_update,
    assert_draws_from_the_generator,
    assert_nearly_standard,
    assert_trains,
    cross_entropy,
    descended,
    generator,
    minibatch,
    network,
)

from truemap.training import jacobian
from truemap.training.jacobian import draw, squared_norm


def exact(net, x, create_graph=False):
    """||J||_F^2 of each map, one map and one entry of the Jacobian at a time."""
    return [
        torch.autograd.functional.jacobian(lambda e: net(e[None])[0], e, create_graph=create_graph).square().sum()
        for e in x
    ]


def estimate(net, x, vectors):
    x = x.clone().requires_grad_(True)
    return squared_norm(net(x), x, vectors)


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_all_basis_vectors_give_the_exact_norm(kind):
    net, (x, _) = network(kind), minibatch()
    found = estimate(net, x, draw(net(x), "all", generator()))
    np.testing.assert_allclose(found.detach(), torch.stack(exact(net, x)), rtol=1e-10)


def test_any_orthonormal_basis_gives_the_exact_norm():
    net, (x, _) = network("mlp"), minibatch()
    basis, _ = torch.linalg.qr(torch.randn(len(x), CLASSES, CLASSES, generator=generator(1)).double())
    found = estimate(net, x, basis.transpose(0, 1))
    np.testing.assert_allclose(found.detach(), torch.stack(exact(net, x)), rtol=1e-10)


@pytest.mark.parametrize("projections", [1, 4])
def test_random_projections_are_unbiased(projections):
    """Of 2000 estimates for the same map, the mean lies within 4 standard errors of the norm."""
    net, (x, _) = network("mlp"), minibatch(1)
    many = x.expand(2000, *x.shape[1:])
    found = estimate(net, many, draw(net(many).detach(), projections, generator(2))).detach().numpy()
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - exact(net, x)[0].item()) < 4 * error
    assert error < 0.03 * found.mean()


def test_the_linear_networks_norm_is_that_of_its_weights():
    net, (x, _) = network("linear"), minibatch()
    weight = next(p for name, p in net.named_parameters() if name.endswith("weight"))
    found = estimate(net, x, draw(net(x), "all", generator()))
    np.testing.assert_allclose(found.detach(), np.full(len(x), weight.detach().square().sum()), rtol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_update_descends_cross_entropy_plus_half_the_mean_squared_norm(kind):
    net, (x, y) = network(kind), minibatch()
    found, loss = after_update(jacobian, net, jacobian.Options(strength=0.7, projections="all"), x, y)
    objective = cross_entropy(net, x, y) + 0.7 / 2 * sum(exact(net, x, create_graph=True)) / len(x)
    assert loss == pytest.approx(objective.item(), rel=1e-10)
    np.testing.assert_allclose(found, descended(net, objective), rtol=1e-8, atol=1e-11)


def test_update_with_random_projections_descends_what_they_estimate():
    """C / N sum_v ||J^T v||^2, from the full Jacobian, with the vectors that the generator draws."""
    net, (x, y) = network("mlp"), minibatch()
    options = jacobian.Options(strength=0.7, projections=2, l2=0.0)
    found, loss = after_update(jacobian, net, options, x, y)
    vectors = draw(net(x).detach(), 2, generator())
    assert torch.allclose(vectors.norm(dim=2), torch.ones(2, len(x)).double())
    penalty = 0.0
    for number, e in enumerate(x):
        matrix = torch.autograd.functional.jacobian(lambda e: net(e[None])[0], e, create_graph=True).flatten(1)
        penalty = penalty + CLASSES / 2 * sum((v[number] @ matrix).square().sum() for v in vectors) / len(x)
    objective = cross_entropy(net, x, y) + 0.7 / 2 * penalty
    assert loss == pytest.approx(objective.item(), rel=1e-10)
    np.testing.assert_allclose(found, descended(net, objective), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_tiny_strength_gives_the_standard_update(kind):
    assert_nearly_standard(jacobian, kind, jacobian.Options(strength=1e-10, l2=0.05))


@pytest.mark.parametrize("kind", ["mlp", "cnn3d"])
def test_it_trains_and_repeats(kind):
    options = jacobian.Options(epochs=4, batch_size=8, learning_rate=0.01, strength=0.1)
    assert_trains(jacobian, kind, options)
    assert_draws_from_the_generator(jacobian, kind, options)


def test_strength_makes_gradients_smaller():
    """After the same updates the norm on the training maps is smaller the stronger the penalty."""
    x, y = minibatch(12)
    norms = []
    for strength in (1e-9, 0.1, 1.0):
        net = network("mlp")
        optimizer, random = torch.optim.Adam(net.parameters(), lr=0.02), generator()
        for _ in range(40):
            jacobian.update(net, optimizer, x, y, jacobian.Options(strength=strength), random)
        norms.append(sum(exact(net, x)).item())
    assert norms[0] > 2 * norms[1] > 4 * norms[2]
