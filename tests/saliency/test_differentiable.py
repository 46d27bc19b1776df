"""Maps that can be differentiated: the method's own, and with the derivative that finite differences have."""

import importlib

import pytest
import torch
from small_decoders import CLASSES, NETWORKS, context, decoder, maps
from torch import nn

from truemap.map_attacks._maps import shares
from truemap.metrics._maps import peaks
from truemap.networks._decoder import Decoder
from truemap.networks._soft import softened_network
from truemap.saliency._differentiable import class_gradient, numbers

WAYS = {
    "gradient": ("gradient", {}),
    "gradient-logit": ("gradient", {"output": "logit"}),
    "absolute_gradient": ("absolute_gradient", {}),
    "gradient_x_input": ("gradient_x_input", {}),
    "smoothgrad": ("smoothgrad", {"n": 3, "sigma": 0.5}),
    "integrated_gradients": ("integrated_gradients", {"steps": 4}),
    "integrated_gradients-mean": ("integrated_gradients", {"steps": 3, "baseline": "mean", "output": "logit"}),
    "integrated_gradients-blurred": ("integrated_gradients", {"steps": 3, "baseline": "blurred", "sigma": 1.0}),
    "deeplift": ("deeplift", {}),
    "deeplift-mean": ("deeplift", {"baseline": "mean"}),
    "decoy": ("decoy", {"masks": 4, "patch": 2, "blur": 3}),
    "decoy-smoothgrad": ("decoy", {"masks": 3, "patch": 2, "inner": "smoothgrad", "inner_n": 2}),
    "decoy-integrated": ("decoy", {"masks": 3, "patch": 2, "inner": "integrated_gradients", "inner_n": 2}),
    "decoy-optimised": ("decoy", {"masks": 2, "patch": 3, "decoys": "optimised", "steps": 5}),
}
TARGETS = torch.tensor([0, 3, 1, 3])
IDS = [7, 3, 11, 5]


def made(way, model, x, ids=IDS, targets=TARGETS):
    """The maps as a function, and what `explain` gives for the same classes."""
    name, options = WAYS[way]
    module = importlib.import_module(f"truemap.saliency.{name}")
    given, chosen = context(tuple(x.shape[1:])), module.Options(**options)
    function = module.differentiable(model, x, targets[: len(x)], ids, chosen, given)
    found = module.explain(model, x, ids, chosen, given)
    return function, found[torch.arange(len(x)), targets[: len(x)]]


def smooth(model, beta=3.0):
    return softened_network(model.network, beta)


@pytest.mark.parametrize("network", ["cnn3d", "mlp", "cnn3d-thin"])
@pytest.mark.parametrize("way", list(WAYS))
def test_they_are_what_explain_gives(way, network):
    model, x = decoder(network), maps(network)
    function, expected = made(way, model, x)
    for inputs in (x, x.clone().requires_grad_(True)):
        found = function(model.network, inputs)
        assert found.shape == x.shape and found.dtype == torch.float64
        assert found.requires_grad == inputs.requires_grad
        for one, other in zip(found.detach(), expected, strict=True):
            assert (one - other).norm() <= 3e-5 * other.norm()


@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("deeplift") and way != "decoy-optimised"])
def test_they_are_what_explain_gives_of_a_smooth_network(way):
    """But of deeplift and optimised decoys: they need layers that a smooth network has not."""
    model, x = decoder("cnn3d"), maps("cnn3d")
    bent = Decoder(smooth(model), model.temperature, model.classes, model.kind)
    function, expected = made(way, bent, x)
    assert (function(bent.network, x) - expected).norm() <= 3e-5 * expected.norm()


@pytest.mark.parametrize("way", list(WAYS))
def test_their_derivative_is_that_of_finite_differences(way):
    model = decoder("mlp" if way == "deeplift-mean" else "cnn3d")
    shape = NETWORKS["mlp" if way == "deeplift-mean" else "cnn3d"][1]
    model.network.double()
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    function, _ = made(way, model, x, IDS[:2])
    network = model.network if way.startswith("deeplift") else smooth(model)
    generator = torch.Generator().manual_seed(4)
    along, weights = (torch.randn(x.shape, generator=generator, dtype=torch.float64) for _ in range(2))

    inputs = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((function(network, inputs) * weights).sum(), inputs)
    step = 1e-6
    high, low = (function(network, x + sign * step * along) for sign in (1, -1))
    # Sample by sample: one may not stand in for the other.
    expected = ((high - low) * weights).flatten(1).sum(1) / (2 * step)
    found = (gradient * along).flatten(1).sum(1)
    assert (expected.abs() > 0).all()
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize("way", ["gradient", "smoothgrad", "integrated_gradients", "decoy"])
def test_where_probabilities_round_to_one_maps_and_derivatives_stay(way):
    """At a temperature at which p differs from 1 by less than any number: directions are those of log odds."""
    model, x = decoder("cnn3d"), maps("cnn3d")
    cold = Decoder(model.network.double(), 1e-4, model.classes, model.kind)
    x = x.double()
    targets = cold.network(x).argmax(1)
    assert (torch.softmax(cold.network(x) / cold.temperature, 1).amax(1) == 1).all()
    function, expected = made(way, cold, x, targets=targets)
    inputs = x.clone().requires_grad_(True)
    found = function(smooth(cold), inputs)
    sizes = shares(found.flatten(1))
    (gradient,) = torch.autograd.grad((sizes * torch.arange(sizes.shape[1])).sum(), inputs)
    assert gradient.isfinite().all() and (gradient.flatten(1).norm(dim=1) > 0).all()
    plain = function(cold.network, x)
    cosine = nn.functional.cosine_similarity(*(m.flatten(1) / peaks(m.flatten(1)) for m in (plain, expected)))
    assert (plain != 0).flatten(1).any(1).all()
    torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=1e-6, atol=0)


@pytest.mark.parametrize("way", list(WAYS))
def test_a_sample_has_the_same_derivative_in_any_batch(way):
    model, x = decoder("cnn3d"), maps("cnn3d")
    network = model.network if way.startswith("deeplift") else smooth(model)
    weights = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(6), dtype=torch.float64)

    def derivative(rows):
        function, _ = made(way, model, x[rows], [IDS[row] for row in rows], TARGETS[rows])
        inputs = x[rows].clone().requires_grad_(True)
        return torch.autograd.grad((function(network, inputs) * weights).sum(), inputs)[0]

    together = derivative(list(range(len(x))))
    for row in range(len(x)):
        alone = derivative([row])[0]
        assert (alone - together[row]).norm() <= 1e-3 * alone.norm()


def test_the_log_odds_gradient_times_its_factor_is_that_of_the_probability():
    """Against torch's own softmax in float64, differentiated once and twice."""
    model = decoder("mlp")
    model.network.double()
    network, x = smooth(model), maps("mlp").double().requires_grad_(True)
    p = torch.softmax(network(x) / model.temperature, 1).gather(1, TARGETS[:, None])
    (expected,) = torch.autograd.grad(p.sum(), x, create_graph=True)
    found = numbers(*class_gradient(network, x, TARGETS, "probability", model.temperature))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)
    weights = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view(x.shape)
    first, second = (torch.autograd.grad((m * weights).sum(), x)[0] for m in (found, expected))
    torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-14)
    assert len(p) < CLASSES + 1


@pytest.mark.parametrize("way", [way for way in WAYS if way != "decoy-optimised"])
@pytest.mark.parametrize("output", ["probability", "logit"])
def test_maps_of_a_linear_network_have_a_graph_though_its_gradient_is_a_constant(way, output):
    model, x = decoder("linear"), maps("linear")
    name, options = WAYS[way]
    if name != "deeplift":
        options = {**options, "output": output}
    module = importlib.import_module(f"truemap.saliency.{name}")
    function = module.differentiable(model, x, TARGETS, IDS, module.Options(**options), context(tuple(x.shape[1:])))
    inputs = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(model.network, inputs).sum(), inputs)
    assert gradient.isfinite().all()
    if name in ("gradient", "absolute_gradient", "smoothgrad") and options["output"] == "logit":
        assert not gradient.any()
