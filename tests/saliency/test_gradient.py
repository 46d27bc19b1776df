import copy

import mpmath
import numpy as np
import pytest
import torch
from captum.attr import Saliency
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from truemap.networks._decoder import Decoder, build_network
from truemap.saliency import gradient
from truemap.saliency._jacobian import coefficients

torch.set_num_threads(1)
NETWORKS = {
    "mlp": ({"name": "mlp", "hidden": 6}, (4, 3, 2)),
    "cnn3d": ({"name": "cnn3d", "filters": [3, 4]}, (5, 6, 4)),
    "linear": ({"name": "linear"}, (4, 3, 2)),
}


def decoder(name, classes=4, temperature=1.0):
    settings, shape = NETWORKS[name]
    torch.manual_seed(2)
    network = build_network(settings, shape, classes).eval().requires_grad_(False)
    return Decoder(network, temperature, [f"class-{c}" for c in range(classes)], name)


def maps(name, n=5):
    return torch.randn(n, *NETWORKS[name][1], generator=torch.Generator().manual_seed(1))


def explain(model, x, **options):
    return gradient.explain(model, x, range(len(x)), gradient.Options(**options), None)


def autograd(model, x):
    """Gradient of softmax(z / T), class by class, in float64."""
    network, x = copy.deepcopy(model.network).double(), x.double().requires_grad_(True)
    p = torch.softmax(network(x) / model.temperature, dim=1)
    parts = [torch.autograd.grad(p[:, c].sum(), x, retain_graph=True)[0] for c in range(p.shape[1])]
    return torch.stack(parts, dim=1)


def relative_error(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("temperature", [1.0, 0.4, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_equals_autograd_of_the_softmax_in_float64(name, temperature, classes):
    model, x = decoder(name, classes, temperature), maps(name)
    found, expected = explain(model, x), autograd(model, x)
    assert found.shape == (5, classes, *x.shape[1:])
    assert found.dtype == torch.float64
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_captum_saliency_with_its_sign(name):
    model, x = decoder(name, temperature=1.3), maps(name)
    found = explain(model, x)
    saliency = Saliency(lambda z: torch.softmax(model.network(z) / model.temperature, dim=1))
    for c in range(4):
        expected = saliency.attribute(x.clone().requires_grad_(True), target=c, abs=False)
        assert relative_error(found[:, c], expected) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_captum_saliency_of_the_logits_if_these_are_asked_for(name):
    model, x = decoder(name, temperature=1.3), maps(name)
    found = explain(model, x, output="logit")
    for c in range(4):
        expected = Saliency(model.network).attribute(x.clone().requires_grad_(True), target=c, abs=False)
        assert relative_error(found[:, c], expected) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_of_all_classes_sum_to_zero(name):
    found = explain(decoder(name), maps(name))
    np.testing.assert_allclose(found.sum(dim=1), 0, atol=1e-12 * found.abs().max().item())


def confident(gap):
    """Multinomial regression of integers, so that its float32 logits are exact: z = (gap, 0, -1) at x."""
    weight = torch.tensor([[gap, 2, -3, 1], [0, -1, 4, 2], [-1, 5, 1, -2]], dtype=torch.float32)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False)).requires_grad_(False)
    network[1].weight.copy_(weight)
    return network, weight, torch.tensor([[1.0, 0.0, 0.0, 0.0]]).view(1, 2, 2, 1)


@pytest.mark.parametrize(("gap", "temperature"), [(28, 1.0), (14, 0.5), (90, 1.0), (150, 0.5)])
def test_stays_right_where_a_probability_rounds_to_one(gap, temperature):
    """p = 1 - 1e-12, 1 - 1e-39 and 1 - 1e-130: naive float32 is wrong by half, then zero."""
    network, weight, x = confident(gap)
    with mpmath.workdps(200):
        z = [mpmath.mpf(value) / temperature for value in (gap, 0, -1)]
        p = [mpmath.exp(value) / sum(map(mpmath.exp, z)) for value in z]
        assert 1 - p[0] < 1.2e-12
        expected = [
            [float(sum(p[c] * p[j] * (w[c] - w[j]) for j in range(3)) / temperature) for w in weight.T.tolist()]
            for c in range(3)
        ]
    found = explain(Decoder(network, temperature, list("abc"), "linear"), x).view(3, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    x.requires_grad_(True)
    (naive,) = torch.autograd.grad(torch.softmax(network(x) / temperature, dim=1)[0, 0], x)
    peak = np.abs(expected[0]).max()
    assert np.abs(naive.numpy().ravel() - expected[0]).max() > 0.2 * peak


def jacobian(logits, temperature):
    mix, log = coefficients(torch.from_numpy(logits), temperature)
    return mix * log.exp()[:, :, None]


@given(arrays(np.float64, (2, 4), elements=st.floats(-6, 6)), st.floats(0.5, 3.0))
def test_coefficients_are_the_jacobian_of_the_softmax(logits, temperature):
    p = np.exp(logits / temperature)
    p /= p.sum(axis=1, keepdims=True)
    expected = (p[:, :, None] * np.eye(4) - p[:, :, None] * p[:, None, :]) / temperature
    np.testing.assert_allclose(jacobian(logits, temperature), expected, atol=1e-14)


@given(arrays(np.float64, (1, 3), elements=st.floats(-200, 200)))
def test_coefficients_keep_their_relative_precision_however_extreme_the_logits(logits):
    with mpmath.workdps(400):
        e = [mpmath.exp(mpmath.mpf(float(z))) for z in logits[0]]
        p = [value / sum(e) for value in e]
        expected = [[float(p[c] * (1 - p[c]) if c == j else -p[c] * p[j]) for j in range(3)] for c in range(3)]
    np.testing.assert_allclose(jacobian(logits, 1.0)[0], expected, rtol=1e-10, atol=1e-300)


def test_one_forward_and_one_backward_pass_less_than_there_are_classes():
    model, passes = decoder("mlp", classes=5), {"forward": 0, "backward": 0}

    def count(kind):
        def hook(*arguments):
            passes[kind] += 1

        return hook

    model.network.register_forward_hook(count("forward"))
    model.network[1].register_full_backward_hook(count("backward"))
    explain(model, maps("mlp"))
    assert passes == {"forward": 1, "backward": 4}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_map_does_not_depend_on_its_batch_mates(name):
    model, x = decoder(name), maps(name)
    found = explain(model, x)
    for number in range(len(x)):
        assert relative_error(explain(model, x[number : number + 1])[0], found[number]) < 1e-6
    loud = x.clone()
    loud[1:] *= 1e3
    assert relative_error(explain(model, loud)[0], found[0]) < 1e-6


def test_leaves_input_and_weights_as_they_were():
    model, x = decoder("cnn3d"), maps("cnn3d")
    before, weights = x.clone(), copy.deepcopy(model.network.state_dict())
    explain(model, x)
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert all(torch.equal(value, weights[key]) for key, value in model.network.state_dict().items())
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_finite_differences_agree():
    model, x = decoder("mlp", temperature=0.7), maps("mlp", 1).double()
    model.network.double()
    found = explain(model, x)[0].flatten(1)
    for voxel in (0, 7, 23):
        step = torch.zeros(24, dtype=torch.float64)
        step[voxel] = 1e-5
        p = [torch.softmax(model.network(x + s * step.view(x.shape)) / 0.7, dim=1)[0] for s in (1, -1)]
        np.testing.assert_allclose(found[:, voxel], (p[0] - p[1]) / 2e-5, atol=1e-9)
