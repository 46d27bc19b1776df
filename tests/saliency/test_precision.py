"""Float32, in which networks run, against the same network in float64: what rounding does to a map."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_decoders import NETWORKS, decoder, explain

from truemap.config.registry import names
from truemap.networks._decoder import Decoder

#: Largest relative difference of a map. Grad-CAM averages a class's gradient over a feature map, decoys give
#: differences of maps that are nearly the same: there much cancels.
BOUND = {"grad_cam": 1e-3, "guided_grad_cam": 1e-3, "decoy": 1e-4}
LINEAR = {"weights", "pattern"}
OPTIONS = {
    "lrp_epsilon": {"bias": False},
    "decoy": {"masks": 3},
    "smoothgrad": {"n": 4},
    "integrated_gradients": {"steps": 6},
    "deeplift_shap": {"n": 3},
    "gradient_shap": {"n": 4},
    "deeplift": {"baseline": "mean"},
}
WITHOUT = {
    "linear": {"deconvnet", "guided_backprop", "grad_cam", "guided_grad_cam"},
    "mlp": {"grad_cam", "guided_grad_cam"},
}
CASES = [
    (method, name)
    for name in NETWORKS
    for method in names("saliency")
    if method not in WITHOUT.get(name, ()) and (name == "linear" or method not in LINEAR)
]


def in_float64(model):
    return Decoder(copy.deepcopy(model.network).double(), model.temperature, model.classes, model.kind)


@pytest.mark.parametrize(("method", "name"), CASES)
@settings(max_examples=6, deadline=None, derandomize=True)  # at a ReLU that is 0 rounding decides
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.1, 1.0, 10.0]))
def test_a_map_in_float32_is_that_of_float64(method, name, seed, scale):
    model = decoder(name)
    x = scale * torch.randn(2, *NETWORKS[name][1], generator=torch.Generator().manual_seed(seed))
    found = explain(method, model, x, **OPTIONS.get(method, {}))
    expected = explain(method, in_float64(model), x.double(), **OPTIONS.get(method, {}))
    assert found.dtype == expected.dtype == torch.float64
    off = (found - expected).flatten(2).norm(dim=2) / expected.flatten(2).norm(dim=2).clamp_min(1e-300)
    assert off.max() < BOUND.get(method, 1e-5)
