import numpy as np
import pytest
import torch
from smooth_networks import SHAPE, TARGETS, D, explicit, maps, smooth, vectors
from torch import nn

from truemap.evaluation.curvature import score, steepest
from truemap.networks import mlp
from truemap.networks._decoder import Decoder

torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_gradients_and_products_are_those_of_the_explicit_hessian(name, output):
    model, x, v = smooth(name), maps(), vectors()
    gradient, product = score(model, x, TARGETS, output)
    found = product(v)
    for row in range(3):
        g, hessian = explicit(model, x[row], TARGETS[row], output)
        unit = 1.0
        if output == "probability":
            p = torch.softmax(model.network(x[[row]])[0] / model.temperature, 0)[TARGETS[row]]
            unit = p * (1 - p)
        torch.testing.assert_close(gradient[row] * unit, g)
        torch.testing.assert_close(found[row].flatten() * unit, hessian @ v[row].flatten())


def test_products_are_differences_of_gradients():
    """H d is how the map changes: in float64, by central differences."""
    model, x, v = smooth("cnn3d"), maps(), vectors()
    _, product = score(model, x, TARGETS, "logit")
    up, down = (score(model, x + s * 1e-5 * v, TARGETS, "logit")[0] for s in (1, -1))
    torch.testing.assert_close(product(v), (up - down) / 2e-5, rtol=1e-6, atol=1e-9)


def test_a_probability_that_rounds_to_1_still_has_directions():
    """There 1 - p is the sum of the others' odds, exact to 1e-16, which float64 holds."""
    model, exact, x = smooth(dtype=torch.float32), smooth(), maps(1, torch.float32)
    for one in (model, exact):
        one.network[-1].bias[0] += 60.0

    def value(x):
        logits = exact.network(x[None])[0]
        return -((logits[1:] - logits[0]) / exact.temperature).exp().sum()

    at, v = x[0].double(), vectors(1)
    rest = -value(at).item()
    assert rest < 1e-14
    gradient, product = score(model, x, torch.tensor([0]), "probability")
    hessian = torch.func.hessian(value)(at).reshape(D, D)
    torch.testing.assert_close(gradient[0].double() * rest, torch.func.grad(value)(at), rtol=1e-3, atol=1e-22)
    found = product(v.float())[0].double().flatten() * rest
    torch.testing.assert_close(found, hessian @ v.flatten(), rtol=1e-3, atol=1e-4 * found.abs().max().item())


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_power_iteration_finds_what_eigh_of_the_explicit_hessian_does(name, output):
    model, x = smooth(name), maps()
    _, product = score(model, x, TARGETS, output)
    found = steepest(product, vectors(), 5000, 1e-7)
    assert (found.residuals <= 1e-7).all()
    assert (found.iterations < 5000).all()
    for row in range(3):
        values, of_values = torch.linalg.eigh(explicit(model, x[row], TARGETS[row], output)[1])
        largest = values.abs().argmax()
        unit = 1.0
        if output == "probability":
            p = torch.softmax(model.network(x[[row]])[0] / model.temperature, 0)[TARGETS[row]].item()
            unit = p * (1 - p)
        assert found.values[row].item() * unit == pytest.approx(values[largest].abs().item(), rel=1e-9)
        v = found.directions[row].flatten()
        assert v.norm().item() == pytest.approx(1)
        assert abs((v @ of_values[:, largest]).item()) == pytest.approx(1, abs=1e-9)


def diagonal(*entries):
    values = torch.tensor(entries, dtype=torch.float64)
    return lambda v: v * values


def test_eigenvalues_of_one_size_and_two_signs_do_not_swing():
    start = torch.tensor([[1.0, 1.0, 1.0]]).double() / 3**0.5
    found = steepest(diagonal(2.0, -2.0, 0.5), start, 200, 1e-10)
    assert found.values.item() == pytest.approx(2)
    np.testing.assert_allclose(found.directions[0], [0.5**0.5, 0.5**0.5, 0], atol=1e-9)


def test_what_did_not_converge_says_so():
    """After k rounds the second direction is left with (1.9 / 2)^2k of its share: closed form."""
    start = torch.tensor([[1.0, 1.0]]).double() / 2**0.5
    found = steepest(diagonal(2.0, 1.9), start, 6, 1e-9)
    ratio = (1.9 / 2) ** 10
    v = np.array([1, ratio]) / np.hypot(1, ratio)
    s2 = (np.array([2, 1.9]) * v) @ (np.array([2, 1.9]) * v)
    np.testing.assert_allclose(found.directions[0], v)
    assert found.iterations.tolist() == [6]
    assert found.values.item() == pytest.approx(s2**0.5)
    assert found.residuals.item() == pytest.approx(np.linalg.norm(np.array([4, 3.61]) * v - s2 * v) / s2)
    assert found.residuals.item() > 1e-3


def test_a_row_ends_by_itself():
    """Beside a slow row a quick one gives what it gives alone."""
    values = torch.tensor([[3.0, 1.0], [3.0, 2.99]]).double()
    start = torch.tensor([[0.6, 0.8], [0.6, 0.8]]).double()
    together = steepest(lambda v: v * values, start, 3000, 1e-6)
    alone = steepest(lambda v: v * values[:1], start[:1], 3000, 1e-6)
    assert together.iterations[0] == alone.iterations[0] < together.iterations[1] < 3000
    assert torch.equal(together.directions[0], alone.directions[0])
    assert together.residuals[0] == alone.residuals[0]


def test_values_of_any_size():
    for size in (1e-25, 1e25):
        found = steepest(lambda v, size=size: v * torch.tensor([2 * size, size]), torch.tensor([[0.6, 0.8]]), 200, 1e-4)
        assert found.values.item() == pytest.approx(2 * size, rel=1e-5)
        assert found.residuals.item() <= 1e-4


@pytest.mark.parametrize("name", ["linear", "relu"])
def test_what_has_no_curvature_has_value_0(name):
    network = smooth("linear").network if name == "linear" else mlp.build(SHAPE, 3, mlp.Options()).double()
    _, product = score(Decoder(network, 1.0, ["a", "b", "c"], name), maps(), TARGETS, "logit")
    found = steepest(product, vectors(), 50, 1e-6)
    assert found.values.tolist() == [0, 0, 0]
    assert found.iterations.tolist() == [1, 1, 1]


# Closed forms of the paper


def softplus_and_derivatives(u, beta=2.0):
    """g' and g'' of log(1 + exp(beta u)) / beta."""
    first = 1 / (1 + np.exp(-beta * u))
    return first, beta * first * (1 - first)


@pytest.mark.parametrize("d", [4, 64, 1024])
def test_one_neuron_is_eq_5(d):
    """S = g(w.x), ||w|| = 1: every voxel's saliency changes by w.d g'' / g', with ||w||_1 for d = epsilon sign(w)."""
    random = np.random.default_rng(d)
    w, x = random.standard_normal((2, d))
    w /= np.linalg.norm(w)
    neuron = nn.Linear(d, 1, bias=False).double()
    neuron.weight.data[:] = torch.from_numpy(w)
    model = Decoder(nn.Sequential(neuron, nn.Softplus(2.0)).requires_grad_(False), 1.0, ["a"], "neuron")
    gradient, product = score(model, torch.from_numpy(x)[None], torch.tensor([0]), "logit")
    first, second = softplus_and_derivatives(w @ x)
    np.testing.assert_allclose(gradient[0], first * w)
    step = 0.01 * np.sign(w)
    relative = product(torch.from_numpy(step)[None])[0].numpy() / gradient[0].numpy()
    np.testing.assert_allclose(relative, 0.01 * np.abs(w).sum() * second / first)
    found = steepest(product, torch.full((1, d), d**-0.5).double() + 0, 50, 1e-12)
    np.testing.assert_allclose(
        found.directions[0].numpy() * np.sign(found.directions[0, 0].item() * w[0]), w, atol=1e-9
    )
    assert found.values.item() == pytest.approx(second)


def test_two_layers_of_orthogonal_weights_are_appendix_g():
    """The steepest direction is the unit k of the largest |v_j g''| ||w_j||^2; the gradient is sum v_j g' w_j."""
    random = np.random.default_rng(3)
    basis = np.linalg.qr(random.standard_normal((D, 5)))[0].T
    w = basis * np.array([0.5, 1.0, 2.0, 1.5, 0.8])[:, None]
    v, x = random.standard_normal(5), random.standard_normal(D)
    layers = nn.Linear(D, 5, bias=False).double(), nn.Linear(5, 1, bias=False).double()
    layers[0].weight.data[:], layers[1].weight.data[0] = torch.from_numpy(w), torch.from_numpy(v)
    network = nn.Sequential(nn.Flatten(), layers[0], nn.Softplus(2.0), layers[1]).requires_grad_(False)
    model, at = Decoder(network, 1.0, ["a"], "two"), torch.from_numpy(x).view(1, *SHAPE)
    gradient, product = score(model, at, torch.tensor([0]), "logit")
    first, second = softplus_and_derivatives(w @ x)
    np.testing.assert_allclose(gradient[0].flatten(), (v * first) @ w)
    sizes = np.abs(v * second) * (w**2).sum(axis=1)
    k = sizes.argmax()
    found = steepest(product, vectors(1), 2000, 1e-9)
    assert found.values.item() == pytest.approx(sizes[k])
    assert abs(found.directions[0].flatten().numpy() @ basis[k]) == pytest.approx(1, abs=1e-12)
