import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_decoders import decoder, explain, maps
from torch import nn

from truemap.networks._decoder import Decoder
from truemap.saliency._scaled import Scaled, nothing, unscaled

CLASSES = ["a", "b", "c"]


def regression(temperature):
    """A linear network in float64, so that logits / temperature are right to the last few digits."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, 3)).double().eval().requires_grad_(False)
    return Decoder(network, temperature, CLASSES, "linear")


def gradients(model, x):
    """d p_c / d x by the formula, in as many digits as it takes; (classes, voxels) of mpmath numbers."""
    weight = model.network[1].weight.numpy()
    z = [mpmath.mpf(value) / mpmath.mpf(model.temperature) for value in model.network(x[None])[0].tolist()]
    e = [mpmath.exp(value) for value in z]
    p = [value / sum(e) for value in e]
    return np.array(
        [sum(p[c] * p[j] * (weight[c] - weight[j]) for j in range(3)) / model.temperature for c in range(3)]
    )


#: Method, options, and what it makes of the gradients at the points that the network sees: g (points, voxels), x.
METHODS = [
    ("gradient", {}, lambda g, x: g[0]),
    ("absolute_gradient", {}, lambda g, x: np.abs(g[0])),
    ("gradient_x_input", {}, lambda g, x: g[0] * x),
    ("smoothgrad", {"n": 4, "sigma": 0.5}, lambda g, x: g.mean(axis=0)),
    ("integrated_gradients", {"steps": 5}, lambda g, x: g.mean(axis=0) * x),
    ("decoy", {"masks": 3, "patch": 2}, lambda g, x: g.max(axis=0) - g.min(axis=0)),
]


@pytest.mark.parametrize("temperature", [1.0, 1e-3, 1e-5])
@pytest.mark.parametrize(("method", "options", "combined"), METHODS, ids=[name for name, *_ in METHODS])
def test_a_map_keeps_its_direction_where_probabilities_are_no_numbers(method, options, combined, temperature):
    """Logits / T differ by up to 1e5; p of another class is then 1e-43000."""
    model = regression(temperature)
    x = 3 * torch.randn(1, 4, 3, 2, generator=torch.Generator().manual_seed(4)).double()
    points = []
    handle = model.network.register_forward_hook(lambda _layer, inputs, _output: points.append(inputs[0].detach()[0]))
    found = explain(method, model, x, **options)[0].flatten(1).numpy()
    handle.remove()
    with mpmath.workdps(60):
        every = [gradients(model, point) for point in points]
        for c in range(3):
            expected = combined(np.array([g[c] for g in every]), x.numpy().ravel())
            peak = max(abs(value) for value in expected)
            assert peak > 0
            shape = np.array([float(value / peak) for value in expected])
            np.testing.assert_allclose(found[c] / np.abs(found[c]).max(), shape, atol=1e-6)
            if peak > 1e-250:
                np.testing.assert_allclose(found[c], np.array([float(value) for value in expected]), rtol=1e-6, atol=0)


def test_grad_cam_and_gradient_shap_are_not_zero_there_either():
    model, x = decoder("cnn3d"), maps("cnn3d")
    sharp = Decoder(model.network, 1e-5, model.classes, model.kind)
    with torch.no_grad():
        z = model.network(x).double() / 1e-5
    assert (z.max(dim=1).values - z.median(dim=1).values).min() > 745
    for method in ("gradient_shap", "grad_cam"):
        options = {"relu": False} if method == "grad_cam" else {"n": 3}
        found = explain(method, sharp, x, **options)
        assert (found.flatten(2).abs().amax(dim=2) > 0).all()
        assert torch.isfinite(found).all()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-3000, 300), st.sampled_from([0.0, 1.0, -2.5])), min_size=1, max_size=6))
def test_sums_are_those_of_the_numbers_however_small(terms):
    """A zero map has no scale: it hides no other map, however large its scale would be."""
    total = nothing(torch.zeros(1, 2), 1)
    for log, value in terms:
        values = value * torch.tensor([[[1.0, -3.0]]]).double()
        total.add(Scaled(values, torch.full((1, 1), log if value else -torch.inf, dtype=torch.float64)))
    with mpmath.workdps(40):
        exact = sum(value * mpmath.exp(log) for log, value in terms)
        found = mpmath.mpf(total.values[0, 0, 0].item()) * mpmath.exp(total.log.item()) if exact else 0
        largest = max(abs(value) * mpmath.exp(log) for log, value in terms)
        assert abs(found - exact) <= 1e-12 * largest


def test_maps_of_common_size_are_what_they_were():
    values = torch.randn(2, 3, 4).double()
    total = unscaled(values.clone())
    assert torch.equal(total.numbers(), values)
    assert torch.equal(total.numbers(), values)
    total.add(unscaled(values.clone()))
    assert torch.equal(total.numbers(), values + values)
