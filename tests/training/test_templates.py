import math

import numpy as np
import pandas as pd
import pytest
import torch
from methods import as_method
from pydantic import ValidationError
from small import CLASSES, SHAPE, batches, generator, minibatch, network

from truemap.data.volumes import Volumes
from truemap.networks import correlation
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder, save_weights
from truemap.runtime.files import DataError
from truemap.training import templates
from truemap.training._loop import fit


def untrained(dtype=torch.float32):
    return correlation.build(SHAPE, CLASSES, correlation.Options()).to(dtype)


def uneven(maps, labels):
    table = pd.DataFrame({"label": [f"class-{k}" for k in labels]})
    return Batches(Volumes([maps], table), [f"class-{k}" for k in range(CLASSES)], torch.device("cpu"))


@pytest.mark.parametrize("batch_size", [1, 4, None])
def test_after_one_epoch_templates_are_numpys_class_means(batch_size):
    """Classes of unlike size, in any order, some minibatches without a class."""
    random = np.random.default_rng(0)
    labels = random.choice(CLASSES, 41, p=[0.6, 0.3, 0.1])
    maps = (5 + random.standard_normal((41, *SHAPE))).astype(np.float32)
    net = untrained()
    history = fit(net, as_method(templates, batch_size=batch_size), uneven(maps, labels), batches(9, 1), 0)
    means = [maps[labels == k].astype(np.float64).mean(axis=0).ravel() for k in range(CLASSES)]
    np.testing.assert_allclose(net.templates.detach(), means, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.counts, np.bincount(labels, minlength=CLASSES))
    assert list(history["epoch"]) == [1]


def test_the_order_of_minibatches_is_immaterial_up_to_rounding():
    found = []
    for seed in (0, 1):
        net = untrained()
        fit(net, as_method(templates, batch_size=5), batches(24, 0), batches(9, 1), seed)
        found.append(net.templates.detach())
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert not torch.equal(*found)


def test_validation_is_that_of_the_nearest_mean_by_correlation():
    training, held_out, net = batches(60, 0), batches(21, 1), untrained()
    history = fit(net, as_method(templates), training, held_out, 0)
    maps, labels = training.volumes.parts[0].reshape(60, -1), training.labels.numpy()
    means = np.array([maps[labels == k].mean(axis=0) for k in range(CLASSES)])
    r = np.corrcoef(held_out.volumes.parts[0].reshape(21, -1), means)[:21, 21:]
    truth = held_out.labels.numpy()
    assert history["validation_accuracy"][0] == pytest.approx((r.argmax(axis=1) == truth).mean())
    nll = (np.log(np.exp(r).sum(axis=1)) - r[np.arange(21), truth]).mean()
    assert history["validation_nll"][0] == pytest.approx(nll, rel=1e-5)


def test_update_returns_the_loss_before_it_and_changes_nothing_else():
    net, (x, y), optimizer = untrained(torch.float64), minibatch(), None
    before = x.clone()
    first = templates.update(net, optimizer, x, y, templates.Options(), generator())
    second = templates.update(net, optimizer, x, y, templates.Options(), generator())
    assert first == pytest.approx(math.log(CLASSES))
    assert second < first
    assert torch.equal(x, before)
    assert net.templates.grad is None
    assert net.templates.requires_grad
    np.testing.assert_array_equal(net.counts, 2 * np.bincount(y, minlength=CLASSES))


def test_a_class_without_a_map_keeps_a_template_of_zeros():
    net, (x, _) = untrained(torch.float64), minibatch()
    templates.update(net, None, x, torch.tensor([0, 0, 2, 2, 2]), templates.Options(), generator())
    assert not net.templates[1].any()
    assert torch.isfinite(net(x)).all()


@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
def test_other_networks_are_refused_with_the_remedy(kind):
    x, y = minibatch()
    with pytest.raises(DataError, match="network: correlation"):
        templates.update(network(kind), None, x, y, templates.Options(), generator())


@pytest.mark.parametrize("wrong", [{"epochs": 2}, {"l2": 0.1}, {"learning_rate": 0.001}, {"batch_size": 0},
                                   {"precision": "bf16"}])  # fmt: skip
def test_options_without_a_meaning_here_are_refused(wrong):
    with pytest.raises(ValidationError):
        templates.Options(**wrong)


def test_the_trained_network_comes_back_from_its_file(tmp_path):
    net = untrained()
    fit(net, as_method(templates), batches(24, 0), batches(9, 1), 0)
    save_weights(tmp_path / "weights.safetensors", net)
    names = [f"class-{k}" for k in range(CLASSES)]
    description = {"network": {"name": "correlation"}, "shape": list(SHAPE), "classes": names, "temperature": 0.3}
    decoder = load_decoder(tmp_path / "weights.safetensors", description, torch.device("cpu"))
    x, _ = minibatch(dtype=torch.float32)
    assert torch.equal(decoder.network(x), net(x))
    assert torch.equal(decoder.network.counts, torch.tensor([8.0, 8.0, 8.0]))
    assert decoder.kind == "correlation"
