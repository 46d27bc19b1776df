"""Small networks and minibatches, and what is asked of every training method."""

import copy

import numpy as np
import pandas as pd
import torch
from methods import as_method

from truemap.data.volumes import Volumes
from truemap.networks import cnn3d, linear, mlp
from truemap.networks._batches import Batches
from truemap.training import standard
from truemap.training._loop import fit

torch.set_num_threads(1)
SHAPE, CLASSES = (4, 5, 4), 3


def network(kind, dtype=torch.float64):
    torch.manual_seed(3)
    build = {
        "linear": lambda: linear.build(SHAPE, CLASSES, linear.Options()),
        "mlp": lambda: mlp.build(SHAPE, CLASSES, mlp.Options(hidden=6)),
        "cnn3d": lambda: cnn3d.build(SHAPE, CLASSES, cnn3d.Options(filters=[3, 4])),
    }
    return build[kind]().to(dtype)


def minibatch(size=5, seed=7, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(size, *SHAPE, generator=random, dtype=dtype)
    return x, torch.randint(0, CLASSES, (size,), generator=random)


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def batches(n, seed):
    random = np.random.default_rng(seed)
    maps = random.standard_normal((n, *SHAPE)) + np.eye(80)[np.arange(n) % CLASSES].reshape(n, *SHAPE)
    table = pd.DataFrame({"label": [f"class-{k % CLASSES}" for k in range(n)]})
    names = [f"class-{k}" for k in range(CLASSES)]
    return Batches(Volumes([maps.astype(np.float32)], table), names, torch.device("cpu"))


def weights(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def after_update(method, net, options, x, y, random=None, rate=0.3):
    """Weights after one update by gradient descent of a copy of `net`, and the loss."""
    net = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    value = method.update(net, optimizer, x, y, options, random or generator())
    return weights(net), value


def descended(net, objective, rate=0.3):
    """Weights of `net` after one step down the gradient of a scalar that was written out by hand."""
    gradients = torch.autograd.grad(objective, list(net.parameters()))
    return weights(net) - rate * torch.cat([g.flatten() for g in gradients])


def cross_entropy(net, x, y):
    return -sum(torch.log_softmax(net(e[None])[0], 0)[k] for e, k in zip(x, y, strict=True)) / len(x)


def assert_nearly_standard(method, kind, options):
    """A method of no strength is the standard one, L2 penalty included."""
    net, (x, y) = network(kind), minibatch()
    found, loss = after_update(method, net, options, x, y)
    wanted, expected = after_update(standard, net, standard.Options(l2=options.l2), x, y)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def assert_trains(method, kind, options):
    """In float32 the loss falls, everything stays finite, and bits depend on the seed alone."""

    def run(seed):
        net = network(kind, torch.float32)
        history = fit(net, as_method(method, options), batches(24, 0), batches(9, 1), seed)
        return weights(net), history["loss"].to_numpy()

    (first, history), (again, _), (other, _) = run(0), run(0), run(1)
    assert torch.isfinite(first).all()
    assert history[-1] < history[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def assert_draws_from_the_generator(method, kind, options):
    """One minibatch: the same generator gives the same bits, another one others."""
    net, (x, y) = network(kind, torch.float32), minibatch(dtype=torch.float32)
    before = x.clone()
    one, same, other = (after_update(method, net, options, x, y, generator(s)) for s in (0, 0, 1))
    assert torch.equal(one[0], same[0])
    assert one[1] == same[1]
    assert not torch.equal(one[0], other[0])
    assert torch.equal(x, before)
    assert not x.requires_grad
