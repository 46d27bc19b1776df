import numpy as np
import pytest
import torch
from torch import nn

from truemap.networks import correlation
from truemap.networks._decoder import Decoder
from truemap.saliency import gradient

torch.set_num_threads(1)
SHAPE, CLASSES = (4, 3, 2), 3


def network(dtype=torch.float64):
    net = correlation.build(SHAPE, CLASSES, correlation.Options()).to(dtype)
    nn.init.normal_(net.templates, 0.7, generator=torch.Generator().manual_seed(0))
    return net


def maps(n=5, dtype=torch.float64):
    return 2 + torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(1)).to(dtype)


def by_corrcoef(net, e):
    """Correlations of one map, each by torch.corrcoef; with its graph."""
    return torch.stack([torch.corrcoef(torch.stack([e.flatten(), t]))[0, 1] for t in net.templates])


def test_logits_are_numpys_correlations():
    net, x = network(), maps()
    expected = np.corrcoef(x.flatten(1).numpy(), net.templates.detach().numpy())[: len(x), len(x) :]
    np.testing.assert_allclose(net(x).detach(), expected, atol=1e-12)


def test_logits_do_not_depend_on_scale_and_offset():
    net, x = network(), maps()
    np.testing.assert_allclose(net(1e3 * x - 70).detach(), net(x).detach(), atol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_saliency_is_the_gradient_of_the_softmax_of_correlations(temperature):
    net, x = network(), maps()
    decoder = Decoder(net.requires_grad_(False), temperature, list("abc"), "correlation")
    found = gradient.explain(decoder, x, range(len(x)), gradient.Options(), None)
    for number, e in enumerate(x):
        wanted = torch.autograd.functional.jacobian(lambda e: (by_corrcoef(net, e) / temperature).softmax(0), e)
        np.testing.assert_allclose(found[number], wanted, rtol=1e-9, atol=1e-14)


def test_gradient_to_the_templates_is_that_of_the_formula():
    net, x = network(), maps()
    (found,) = torch.autograd.grad(net(x).square().sum(), net.templates)
    (wanted,) = torch.autograd.grad(sum(by_corrcoef(net, e).square().sum() for e in x), net.templates)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e4])
def test_a_constant_map_or_template_gives_zero_and_no_gradient(dtype, value):
    net, x = network(dtype), maps(dtype=dtype)
    x[1] = value
    with torch.no_grad():
        net.templates[2] = value
    x.requires_grad_(True)
    logits = net(x)
    logits.square().sum().backward()
    alone = network(dtype)
    expected = alone(x.detach())
    assert not logits[1].any()
    assert not logits[:, 2].any()
    assert not x.grad[1].any()
    assert not net.templates.grad[2].any()
    assert x.grad[0].any()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(net.templates.grad).all()
    np.testing.assert_allclose(logits[2:, :2].detach(), expected[2:, :2].detach(), atol=1e-6)


def test_a_new_network_has_templates_of_zeros_and_gives_zeros():
    net = correlation.build(SHAPE, CLASSES, correlation.Options())
    assert set(net.state_dict()) == {"templates", "counts"}
    assert net.templates.shape == (CLASSES, 24)
    assert not net(maps(dtype=torch.float32)).any()
