"""Small decoders, their maps and what tests of saliency methods measure on both."""

import importlib

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network
from truemap.saliency._context import Context

torch.set_num_threads(1)
CLASSES = 4
NETWORKS = {
    "mlp": ({"name": "mlp", "hidden": 12}, (4, 3, 2)),
    "cnn3d": ({"name": "cnn3d", "filters": [3, 4]}, (9, 8, 6)),
    "cnn3d-stride-1": ({"name": "cnn3d", "filters": [3, 2], "pool_stride": 1}, (4, 5, 3)),
    "cnn3d-thin": ({"name": "cnn3d", "filters": [3, 4]}, (9, 8, 1)),
    "linear": ({"name": "linear"}, (4, 3, 2)),
}


def decoder(name, temperature=1.3, classes=CLASSES):
    """A network with random weights and biases, so that no bias is zero as Glorot would have it."""
    settings, shape = NETWORKS[name]
    torch.manual_seed(2)
    network = build_network(settings, shape, classes).eval().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv3d):
            layer.bias.normal_(0, 0.3)
    return Decoder(network, temperature, [f"class-{c}" for c in range(classes)], settings["name"])


def maps(name, n=4):
    return torch.randn(n, *NETWORKS[name][1], generator=torch.Generator().manual_seed(1))


def context(shape, seed=0, count=24, classes=CLASSES):
    """Training maps that are not centred: a baseline at their mean is then not a baseline at zero."""
    values = np.random.default_rng(8).standard_normal((count, *shape)).astype(np.float32) + 0.4
    table = pd.DataFrame({"sample": range(count), "label": [f"class-{k % classes}" for k in range(count)]})
    names = [f"class-{c}" for c in range(classes)]
    training = Batches(Volumes([values], table), names, torch.device("cpu"))
    low, high = float(values.min()), float(values.max())
    return Context(seed, training, torch.from_numpy(values.mean(axis=0)), low, high)


def explain(method, model, x, samples=None, seed=0, **options):
    module = importlib.import_module(f"truemap.saliency.{method}")
    given = context(tuple(x.shape[1:]), seed, classes=len(model.classes))
    return module.explain(model, x, samples or range(len(x)), module.Options(**options), given)


def residual(method, model, x, found, samples=None, seed=0, **options):
    module = importlib.import_module(f"truemap.saliency.{method}")
    given = context(tuple(x.shape[1:]), seed, classes=len(model.classes))
    return module.residual(model, x, samples or range(len(x)), found, module.Options(**options), given)


def output(model, kind):
    """The output of which captum takes gradients."""
    if kind == "logit":
        return model.network
    return lambda z: torch.softmax(model.network(z) / model.temperature, dim=1)


def relative_error(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


def assert_equals_by_class(found, expected, x, classes=CLASSES):
    """`expected` gives the map of one class."""
    assert found.dtype == torch.float64
    assert found.shape == (len(x), classes, *x.shape[1:])
    assert torch.isfinite(found).all()
    references = [expected(c).detach() for c in range(classes)]
    assert max(reference.abs().max() for reference in references) > 0
    for c, reference in enumerate(references):
        assert (found[:, c] - reference).norm() <= 1e-5 * reference.norm()


def assert_independent_of_batch_mates(method, name, **options):
    model, x = decoder(name), maps(name)
    found = explain(method, model, x, **options)
    loud = x.clone()
    loud[1:] *= 1e3
    assert relative_error(explain(method, model, loud, **options)[0], found[0]) < 1e-5
    for number in range(len(x)):
        assert relative_error(explain(method, model, x[number : number + 1], **options)[0], found[number]) < 1e-5


def assert_leaves_no_trace(method, name, **options):
    """Input, weights and hooks are as before, and so are the network's gradients."""
    model, x = decoder(name), maps(name)
    before, weights = x.clone(), {key: value.clone() for key, value in model.network.state_dict().items()}
    plain = model.network(x)
    first = explain(method, model, x, **options)
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert not first.requires_grad
    assert all(torch.equal(value, weights[key]) for key, value in model.network.state_dict().items())
    assert not any(layer._forward_hooks or layer._backward_hooks for layer in model.network.modules())
    assert torch.equal(model.network(x), plain)
    assert torch.equal(explain(method, model, x, **options), first)


def passes(method, model, x, **options):
    """How often the network runs forward, and its last layer backward."""
    count = [0, 0]
    handles = [
        model.network.register_forward_hook(lambda *_: count.__setitem__(0, count[0] + 1)),
        model.network[-1].register_full_backward_hook(lambda *_: count.__setitem__(1, count[1] + 1)),
    ]
    explain(method, model, x, **options)
    for handle in handles:
        handle.remove()
    return tuple(count)
