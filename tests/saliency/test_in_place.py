"""Layers that work in place, layers that come twice: every method gives the map of the same network without them."""

import copy
from pathlib import Path

import pytest
import torch
from small_decoders import CLASSES, explain, relative_error
from torch import nn

from truemap.config.registry import names
from truemap.networks._decoder import Decoder

SHAPE = (6, 5, 4)
LINEAR_ONLY = {"weights", "pattern"}
METHODS = [method for method in names("saliency") if method not in LINEAR_ONLY]
OPTIONS = {"decoy": [{"masks": 2}, {"masks": 2, "decoys": "optimised", "steps": 5}]}


def network(inplace, shared=False):
    """Two convolutions, two hidden layers; a ReLU after each, and one after a pool (which changes nothing)."""
    torch.manual_seed(3)
    one = nn.ReLU(inplace)

    def relu():
        return one if shared else nn.ReLU(inplace)

    layers = [
        nn.Unflatten(1, (1, SHAPE[0])), nn.Conv3d(1, 3, 3, padding=1), relu(), nn.Conv3d(3, 4, 3, padding=1), relu(),
        nn.AvgPool3d(2), relu(), nn.Flatten(), nn.Linear(48, 9), relu(), nn.Linear(9, 9), relu(), nn.Linear(9, CLASSES),
    ]  # fmt: skip
    built = nn.Sequential(*layers).eval().requires_grad_(False)
    for layer in built:
        if isinstance(layer, nn.Linear | nn.Conv3d):
            layer.bias.normal_(0, 0.3)
    return Decoder(built, 1.3, [f"class-{c}" for c in range(CLASSES)], "own")


CASES = [(method, options) for method in METHODS for options in OPTIONS.get(method, [{}])]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("method", "options"), CASES, ids=str)
def test_a_map_does_not_depend_on_whether_relus_work_in_place(method, options, shared):
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    before, inplace = x.clone(), network(True, shared)
    found = explain(method, inplace, x, **options)
    # One module that comes several times has one number; the plain network has a module each.
    expected = explain(method, network(False, shared), x, **options)
    assert found.abs().max() > 0
    assert relative_error(found, expected) < 1e-6
    assert torch.equal(x, before)
    assert not any("forward" in vars(layer) or layer._forward_hooks for layer in inplace.network.modules())


@pytest.mark.parametrize("method", ["deconvnet", "guided_backprop", "deeplift", "lrp_epsilon", "gradient"])
def test_a_module_that_comes_twice_is_two_layers(method):
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    found, expected = (explain(method, network(True, shared), x) for shared in (True, False))
    assert relative_error(found, expected) < 1e-6


def test_deconvnet_and_guided_backpropagation_stay_two_methods_in_place():
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert relative_error(*(explain(method, network(True), x) for method in ("deconvnet", "guided_backprop"))) > 0.1


def test_an_error_in_the_network_leaves_its_layers_as_they_were():
    model, x = network(True), torch.zeros(1, 2, 2, 2)
    state = copy.deepcopy(model.network)
    with pytest.raises(RuntimeError):
        explain("deconvnet", model, x)
    assert [vars(layer).keys() for layer in model.network] == [vars(layer).keys() for layer in state]


def test_every_method_is_tried():
    assert len(METHODS) + len(LINEAR_ONLY) == len(names("saliency"))
    assert {path.stem for path in Path(__file__).parent.glob("test_*.py")} > {f"test_{method}" for method in METHODS}
