"""Decoders to attack, and what is measured on them."""

import torch

from truemap.networks._decoder import Decoder, build_network

torch.set_num_threads(1)
SHAPE = (5, 4, 4)
NETWORKS = {
    "linear": {"name": "linear"},
    "mlp": {"name": "mlp", "hidden": 12},
    "cnn3d": {"name": "cnn3d", "filters": [4, 6]},
}


def decoder(name, classes=4, scale=1.0):
    """Random weights; logits of mean zero, so that each class is predicted now and then, times `scale`."""
    torch.manual_seed(4)
    network = build_network(NETWORKS[name], SHAPE, classes).eval().requires_grad_(False)
    with torch.no_grad():
        network[-1].bias -= network(maps(200, seed=9)).mean(0)
        network[-1].weight *= scale
        network[-1].bias *= scale
    return Decoder(network, 1.0, [f"class-{c}" for c in range(classes)], name)


def maps(n=24, seed=1):
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def predicted(model, x):
    return model.network(x).argmax(1)


def attack(module, model, x, labels, bound, samples=None, seed=0, **options):
    samples = range(100, 100 + len(x)) if samples is None else samples
    return module.perturb(model, x, labels, samples, bound, module.Options(**options), seed)


def lengths(noise):
    return noise.double().flatten(1).norm(dim=1)


def distances(model, x, labels):
    """Of a linear decoder: how far each map is from the nearest boundary, min_c (z_y - z_c) / ||w_y - w_c||."""
    weight, z = model.network[-1].weight.double(), model.network(x).double()
    result = torch.full((len(x),), torch.inf, dtype=torch.float64)
    for row, y in enumerate(labels.tolist()):
        for c in set(range(len(weight))) - {y}:
            result[row] = min(result[row], (z[row, y] - z[row, c]) / (weight[y] - weight[c]).norm())
    return result.clamp_min(0)


def assert_is_right_on_a_linear_decoder(module, classes, reach, quantiles=(0.2, 0.5, 0.8)):
    """No map farther from its boundary than the bound is wrong, and all nearer than `reach` times the bound are."""
    model, x = decoder("linear", classes), maps(40)
    labels = predicted(model, x)
    away = distances(model, x, labels)
    for quantile in quantiles:
        bound = away.quantile(quantile).item()
        noise = attack(module, model, x, labels, bound)
        robust = predicted(model, x + noise) == labels
        assert robust[away > bound * (1 + 1e-5)].all()
        assert not robust[away < reach * bound].any()
        assert (lengths(noise) <= bound * (1 + 1e-6)).all()
        assert (lengths(noise)[~robust] >= away[~robust] * (1 - 1e-4)).all()


def assert_leaves_no_trace(module, name="mlp"):
    """Random state, weights, input and labels are as before, nothing is printed, the same bits come twice."""
    model, x = decoder(name), maps(6)
    labels = predicted(model, x)
    before, state = x.clone(), torch.get_rng_state()
    weights = {key: value.clone() for key, value in model.network.state_dict().items()}
    first = attack(module, model, x, labels, 1.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert not first.requires_grad
    assert all(torch.equal(value, weights[key]) for key, value in model.network.state_dict().items())
    assert all(parameter.grad is None for parameter in model.network.parameters())
    torch.manual_seed(99)
    assert torch.equal(attack(module, model, x, labels, 1.0), first)


def assert_breaks_saturated(module, classes):
    """Logits times 10,000: p rounds to 1; as many maps are wrong as of the decoder as it was."""
    plain, saturated = decoder("mlp", classes), decoder("mlp", classes, 1e4)
    x = maps()
    labels = predicted(plain, x)
    assert torch.equal(predicted(saturated, x), labels)
    assert (saturated.network(x).softmax(1).amax(1) == 1).all()
    broken = [predicted(m, x + attack(module, m, x, labels, 0.4)) != labels for m in (plain, saturated)]
    assert 6 <= broken[0].sum() <= 20
    assert broken[1].sum() >= broken[0].sum() - 1
    assert (broken[0] != broken[1]).sum() <= 2


def assert_gives_no_noise_to_misclassified(module):
    model, x = decoder("cnn3d"), maps(12)
    labels = predicted(model, x)
    labels[::3] = (labels[::3] + 1) % 4
    noise = attack(module, model, x, labels, 0.5)
    assert (noise[::3] == 0).all()
    wrong = predicted(model, x + noise) != labels
    assert wrong[::3].all()
    assert 0 < wrong.sum() - 4 < 8
