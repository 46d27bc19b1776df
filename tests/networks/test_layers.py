import copy

import pytest
import torch
from torch import nn

from truemap.networks._layers import InputConv3d

torch.set_num_threads(1)
SHAPES = [(5, 4, 6), (7, 3, 1), (1, 1, 1)]


def pair(kernel=3, dtype=torch.float64):
    torch.manual_seed(0)
    ours = InputConv3d(4, kernel).to(dtype)
    plain = nn.Conv3d(1, 4, kernel, padding="same").to(dtype)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def maps(shape, n=3, dtype=torch.float64):
    return torch.randn(n, 1, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype).requires_grad_(True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_output_and_all_gradients_are_pytorchs(shape, kernel):
    ours, plain = pair(kernel)
    results = []
    for layer in (ours, plain):
        x = maps(shape)
        out = layer(x)
        target = torch.cos(torch.arange(out.numel()).to(out)).view_as(out)
        results.append([out, *torch.autograd.grad((out * target).sum(), [x, layer.weight, layer.bias])])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_gradients_are_right():
    """The Jacobian penalty differentiates the input gradient by the weights."""
    ours, _ = pair()
    assert torch.autograd.gradgradcheck(lambda x, w, b: _call(ours, x, w, b), (maps((3, 4, 2)), *_free(ours)))


def _free(layer):
    return tuple(p.detach().clone().requires_grad_(True) for p in (layer.weight, layer.bias))


def _call(layer, x, weight, bias):
    return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))


def test_frozen_weights_get_no_gradient_and_a_fixed_map_none_either():
    ours, _ = pair()
    frozen = copy.deepcopy(ours).requires_grad_(False)
    x = maps((4, 4, 4))
    frozen(x).sum().backward()
    assert x.grad is not None and frozen.weight.grad is None
    ours(x.detach()).sum().backward()
    assert ours.weight.grad is not None and ours.bias.grad is not None


def test_float32_differs_from_pytorch_by_rounding_only():
    ours, plain = pair(dtype=torch.float32)
    gradients = []
    for layer in (ours, plain):
        x = maps((9, 8, 7), dtype=torch.float32)
        gradients.append(torch.autograd.grad(layer(x).square().sum(), x)[0])
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[1].norm()
