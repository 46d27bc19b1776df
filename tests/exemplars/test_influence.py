import math

import numpy as np
import pytest
import torch
from captum.influence._core.influence_function import NaiveInfluenceFunction
from pydantic import ValidationError
from scipy.stats import pearsonr
from sklearn.linear_model import LogisticRegression
from small_layers import CLASSES, SHAPE, batches, decoder, everything, features
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from truemap.data.volumes import Volumes
from truemap.exemplars import influence as module
from truemap.exemplars.influence import Options, influence_of
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.runtime.files import DataError


def last(model):
    return model.network[-1]


def by_hand(model, training, x, labels, damping):
    """-g' H^-1 g with torch.func on the weights and biases of the last layer, one map at a time."""
    parameters = torch.cat([last(model).weight, last(model).bias[:, None]], dim=1)
    f, fx = features(model, training[0]), features(model, x)

    def loss(weights, f, y):
        return functional.cross_entropy(f @ weights.T, y)

    count = parameters.numel()
    curvature = torch.func.hessian(loss)(parameters, f, training[1]).reshape(count, count)
    curvature += damping * torch.eye(count, dtype=torch.float64)
    gradients = [
        torch.stack(
            [torch.func.grad(loss)(parameters, one[None], y[None]).flatten() for one, y in zip(*of, strict=True)]
        )
        for of in ((fx, labels), (f, training[1]))
    ]
    return -gradients[0] @ torch.linalg.solve(curvature, gradients[1].T)


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "linear"])
@pytest.mark.parametrize("count", [9, 60])
def test_equals_the_equation_written_out(name, count):
    """Of 9 maps and 24 voxels, or 9 maps and 18 features, in their basis; the temperature is not in it."""
    model, training, tests = decoder(name), batches(count), everything(batches(7, seed=1))
    found = influence_of(model, training, Options(damping=0.03))
    assert found.decoder is model
    assert (found.basis is None) == (len(training) >= features(model, tests[0]).shape[1])
    expected = by_hand(model, everything(training), *tests, 0.03)
    torch.testing.assert_close(found.of(*tests), expected, rtol=1e-8, atol=1e-10 * expected.abs().max().item())
    assert found.of(*tests).shape == (7, count)


def test_slope_is_how_far_the_layer_is_from_its_optimum():
    model, training = decoder(), batches(30)
    parameters = torch.cat([last(model).weight, last(model).bias[:, None]], dim=1)
    f, labels = features(model, everything(training)[0]), training.labels

    def gradient(weights):
        weights = weights.clone().requires_grad_(True)
        value = functional.cross_entropy(f @ weights.T, labels) + 0.03 / 2 * weights.square().sum()
        return torch.autograd.grad(value, weights)[0].norm()

    expected = (gradient(parameters) / gradient(torch.zeros_like(parameters))).item()
    assert influence_of(model, training, Options(damping=0.03)).slope == pytest.approx(expected)
    assert influence_of(model, training, Options(damping=0.03, refit=True)).slope < 1e-9


@pytest.mark.parametrize(("name", "n", "damping"), [("mlp", 60, 0.01), ("cnn3d", 60, 0.01), ("linear", 240, 0.01)])
def test_after_refit_leaving_a_map_out_does_what_its_influence_says(name, n, damping):
    """60 exact refits by scikit-learn, for the loss of 5 maps: Pearson at least .95, and the size right."""
    model, training, left_out = decoder(name), batches(n), np.arange(60) * (n // 60)
    x, labels = everything(batches(5, seed=1))
    f, fx = features(model, everything(training)[0]).numpy(), features(model, x).numpy()
    assert f.shape[1] < n / 2 and len(left_out) >= 50, "of as many features as maps it is a first order: next test"

    def losses(kept):
        refitted = LogisticRegression(C=1 / (n * damping), fit_intercept=False, tol=1e-12, max_iter=10_000)
        logits = fx @ refitted.fit(f[kept], training.labels.numpy()[kept]).coef_.T
        return functional.cross_entropy(torch.from_numpy(logits), labels, reduction="none").numpy()

    everyone = losses(np.arange(n))
    changes = np.stack([losses(np.delete(np.arange(n), left)) - everyone for left in left_out], axis=1)
    found = influence_of(model, training, Options(damping=damping, refit=True)).of(x, labels).numpy()
    for of_map, change in zip(-found[:, left_out] / n, changes, strict=True):
        assert pearsonr(of_map, change).statistic > 0.95
        assert 0.7 < np.polyfit(of_map, change, 1)[0] < 1.5


def test_of_few_maps_a_feature_it_is_a_first_order():
    """The limit that `Influence.of` names: 60 maps of 24 voxels, where a map left out does more than its influence."""
    found = influence_of(decoder("linear"), batches(60), Options(damping=0.01, refit=True))
    own = -found.of(*everything(batches(60))).diagonal() / 60
    f = features(decoder("linear"), everything(batches(60))[0]).numpy()
    model = LogisticRegression(C=1 / 0.6, fit_intercept=False, tol=1e-12, max_iter=10_000)
    labels = batches(60).labels.numpy()

    def loss(kept, of):
        logits = model.fit(f[kept], labels[kept]).decision_function(f[[of]])
        return functional.cross_entropy(torch.from_numpy(logits), torch.tensor(labels[[of]])).item()

    everyone = np.arange(60)
    changes = [loss(np.delete(everyone, left), left) - loss(everyone, left) for left in range(20)]
    assert np.median(changes / own[:20].numpy()) > 2


def test_before_refit_it_may_not():
    """What the closed form presumes matters: of weights as they were drawn, influences are others."""
    training, tests = batches(60), everything(batches(5, seed=1))
    drawn, fitted = (
        influence_of(decoder(), training, Options(damping=0.01, refit=on)).of(*tests) for on in (False, True)
    )
    assert pearsonr(drawn.flatten(), fitted.flatten()).statistic < 0.8


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_equals_captum_after_conversion(name, tmp_path):
    """Captum sums the Hessian where eq. 3 takes a mean, so that its damping is n times ours, and has no minus."""
    model, training, damping = decoder(name, dtype=torch.float32), batches(60), 0.03
    x, labels = everything(batches(6, seed=1), torch.float32)
    torch.save(model.network.state_dict(), tmp_path / "weights.pt")
    model.network.requires_grad_(True)
    theirs = NaiveInfluenceFunction(
        model.network,
        torch.utils.data.TensorDataset(*everything(training, torch.float32)),
        str(tmp_path / "weights.pt"),
        layers=[str(len(model.network) - 1)],
        loss_fn=nn.CrossEntropyLoss(reduction="none"),
        batch_size=60,
        projection_dim=10**6,
        hessian_reg=damping * 60,
        hessian_inverse_tol=0.0,
    ).influence((x, labels))
    found = influence_of(model, training, Options(damping=damping)).of(x, labels)
    torch.testing.assert_close(found, -60 * theirs.double(), rtol=2e-3, atol=2e-3 * found.abs().max().item())


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "linear"])
@pytest.mark.parametrize("count", [9, 60])
def test_gradient_by_the_map_is_that_of_finite_differences(name, count):
    model, training = decoder(name), batches(count)
    x, labels = everything(batches(3, seed=1))
    found = influence_of(model, training, Options(damping=0.03))
    weights = torch.randn(3, count, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sums, gradient = found.towards(x, labels, weights)
    torch.testing.assert_close(sums, (found.of(x, labels) * weights).sum(dim=1))
    step = 1e-5
    for voxel in range(math.prod(SHAPE)):
        moved = torch.zeros(math.prod(SHAPE), dtype=torch.float64)
        moved[voxel] = step
        up, down = ((found.of(x + s * moved.view(SHAPE), labels) * weights).sum(dim=1) for s in (1, -1))
        torch.testing.assert_close(gradient.flatten(1)[:, voxel], (up - down) / (2 * step), rtol=1e-5, atol=1e-7)
    assert not x.requires_grad


def test_closed_form_of_two_classes_of_a_linear_network():
    """p = sigmoid(u), u = w.x + b: the x-dependent term is (p - y) x, and its change under d is eq. 7's, and d itself.

    Eq. 7 of the paper has p' w.d / p (there g' and g'') for the relative change of each weight's gradient. The
    derivative of x itself, d_i / x_i, is missing there: here it is.
    """
    model, training = decoder("linear", classes=2), batches(40, classes=2)
    x, labels = everything(batches(4, seed=1, classes=2))
    found = influence_of(model, training, Options(damping=0.05))
    w, b = (part[1] - part[0] for part in (last(model).weight, last(model).bias))
    flat = x.flatten(1)
    p = torch.sigmoid(flat @ w + b)
    pull = p - labels
    term = torch.cat([flat * pull[:, None], pull[:, None]], dim=1)
    parts = found._parts(x, labels)
    torch.testing.assert_close(parts[0] * parts[1][:, 1:], term)
    d = 1e-6 * w.sign()
    moved = found._parts(x + d.view(SHAPE), labels)
    relative = (moved[0] * moved[1][:, 1:] / term - 1)[:, :-1]
    expected = (p * (1 - p) / pull * (w @ d))[:, None] + d / flat
    torch.testing.assert_close(relative, expected, rtol=1e-3, atol=1e-9)
    assert w @ d == pytest.approx(1e-6 * w.abs().sum().item())
    # -H^-1 g_i contracted with the term: only the difference of the two classes' rows meets a map.
    solved = found.solve(torch.einsum("ic,ik->ick", found.residuals, found.features))
    v = (solved[:, 1] - solved[:, 0])[0]
    gradient = -(pull[:, None] * v[:-1] + (p * (1 - p))[:, None] * w * (flat @ v[:-1] + v[-1])[:, None])
    one = torch.zeros(4, 40).double()
    one[:, 0] = 1
    torch.testing.assert_close(found.towards(x, labels, one)[1].flatten(1), gradient)


def test_helpful_maps_are_negative():
    """A training map's own loss falls with its weight: no influence on itself is positive."""
    training = batches(30)
    own = influence_of(decoder(), training, Options(damping=0.03)).of(*everything(training)).diagonal()
    assert (own < 0).all()


def test_a_map_has_the_same_influences_in_any_batch_and_nothing_is_left_behind():
    model, training = decoder("cnn3d", dtype=torch.float32), batches(20)
    x, labels = everything(batches(5, seed=1), torch.float32)
    weights = {key: value.clone() for key, value in model.network.state_dict().items()}
    found = influence_of(model, training, Options(damping=0.03, refit=True))
    together = found.of(x, labels)
    for row in range(5):
        torch.testing.assert_close(found.of(x[[row]], labels[[row]])[0], together[row], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, weights[key]) for key, value in model.network.state_dict().items())
    assert not torch.equal(last(found.decoder).weight, last(model).weight)
    assert torch.equal(found.decoder.network[1].weight, model.network[1].weight)
    assert found.decoder.classes == model.classes


def test_a_layer_without_a_bias():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, CLASSES, bias=False)).double().requires_grad_(False)
    model = Decoder(network, 1.0, [f"class-{c}" for c in range(CLASSES)], "own")
    found = influence_of(model, batches(40), Options(damping=0.1, refit=True))
    assert found.features.shape == (40, 24)
    assert found.slope < 1e-9


def test_how_many_predictions_the_refit_left_is_said():
    model, training = decoder(), batches(40)
    plain, refitted = (influence_of(model, training, Options(damping=0.03, refit=on)) for on in (False, True))
    x = everything(training)[0]
    same = model.network(x).argmax(dim=1) == refitted.decoder.network(x).argmax(dim=1)
    assert plain.agreement == 1
    assert refitted.agreement == same.double().mean().item() < 1


def test_what_cannot_be_given_is_refused(monkeypatch):
    network = nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(24, CLASSES))).eval().requires_grad_(False)
    model = Decoder(network, 1.0, [f"class-{c}" for c in range(CLASSES)], "own")
    assert influence_of(model, batches(30), Options(damping=0.1)).of(*everything(batches(2))).isfinite().all()
    with pytest.raises(DataError, match=r"`refit` cannot set the weights of the last layer.*`refit: false`"):
        influence_of(model, batches(30), Options(damping=0.1, refit=True))
    monkeypatch.setattr(module, "FEATURES", 200)
    with pytest.raises(DataError, match=r"40 training maps have 6 features each.*Set `train` to 33 or less"):
        influence_of(decoder(), batches(40), Options(damping=0.1))
    monkeypatch.setattr(module, "FEATURES", 10**6)
    monkeypatch.setattr(module, "PARAMETERS", 17)
    with pytest.raises(DataError, match=r"has 18 parameters that 40 training maps tell of.*`train` to fewer maps"):
        influence_of(decoder(), batches(40), Options(damping=0.1))
    monkeypatch.setattr(module, "PARAMETERS", 8)
    with pytest.raises(DataError, match="has 9 parameters that 3 training maps tell of"):
        influence_of(decoder("linear"), batches(3), Options(damping=0.1))


def test_of_a_part_of_the_training_maps_all_others_are_as_if_they_were_not():
    training, part = batches(40), torch.tensor([3, 4, 5, 11, 18, 20, 25, 31, 39])
    maps, table = training.volumes.parts[0][part.numpy()], training.volumes.table.iloc[part.tolist()]
    alone = Batches(Volumes([maps], table.reset_index(drop=True)), decoder().classes, torch.device("cpu"))
    tests, options = everything(batches(3, seed=1)), Options(damping=0.03, refit=True)
    found = influence_of(decoder(), training, options, part).of(*tests)
    torch.testing.assert_close(found, influence_of(decoder(), alone, options).of(*tests))
    assert found.shape == (3, 9)


def test_options():
    for wrong in ({}, {"damping": 0.0}, {"damping": -1.0}, {"damping": 0.1, "refitted": True}):
        with pytest.raises(ValidationError):
            Options(**wrong)
