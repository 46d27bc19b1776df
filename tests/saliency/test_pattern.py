import numpy as np
import pandas as pd
import pytest
import torch
from small_decoders import (
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    context,
    decoder,
    explain,
    maps,
    relative_error,
)
from torch import nn

from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.saliency import pattern
from truemap.saliency._context import Context

SHAPE = (4, 3, 2)


def linear(weight):
    network = nn.Sequential(nn.Flatten(), nn.Linear(weight.shape[1], weight.shape[0])).requires_grad_(False)
    network[1].weight.copy_(torch.as_tensor(weight))
    return Decoder(network, 1.0, [f"class-{c}" for c in range(len(weight))], "linear")


def given(values, classes):
    """A context with these training maps."""
    table = pd.DataFrame({"sample": range(len(values)), "label": [f"class-{k % classes}" for k in range(len(values))]})
    names = [f"class-{c}" for c in range(classes)]
    training = Batches(Volumes([values.astype(np.float32)], table), names, torch.device("cpu"))
    return Context(0, training, torch.zeros(values.shape[1:]), -1.0, 1.0)


def test_equals_the_formula_with_the_covariance_of_the_voxels():
    """24 maps of 24 voxels: the blocks of 16 are two."""
    model, x = decoder("linear"), maps("linear")
    values = context(SHAPE).training.volumes.parts[0].reshape(24, 24).astype(np.float64)
    weight = model.network[1].weight.numpy().astype(np.float64)
    weight = weight - weight.mean(axis=0)
    expected = np.cov(values.T) @ weight.T @ np.linalg.pinv(np.cov(weight @ values.T), rcond=1e-8)
    found = explain("pattern", model, x)
    assert found.shape == (4, 4, *SHAPE)
    assert found.dtype == torch.float64
    for one in found.numpy():
        np.testing.assert_allclose(one.reshape(4, 24), expected.T, rtol=1e-9, atol=1e-12)


def test_does_not_depend_on_a_shift_of_the_logits_that_all_classes_share():
    """The softmax is the same, and so must its explanation be."""
    weight = np.random.default_rng(0).standard_normal((4, 24))
    shifted = weight + 3 * np.random.default_rng(1).standard_normal(24)
    found = [explain("pattern", linear(one), maps("linear")) for one in (weight, shifted)]
    assert relative_error(*found) < 1e-5
    assert found[0].sum(dim=1).abs().max() < 1e-9 * found[0].abs().max()


def test_recovers_the_template_where_weights_show_a_suppressor():
    """Haufe et al. 2014, section 2: a distractor without the signal gets a weight, but no pattern.

    The weights are the optimal ones, Cov(x)^-1 template, for x = template * y + distractor * noise.
    """
    random = np.random.default_rng(0)
    template, distractor = np.zeros(24), np.zeros(24)
    template[:8], distractor[2:10] = 1, 1
    y, noise = np.repeat([1.0, -1.0], 500), random.standard_normal(1000)
    values = np.outer(y, template) + 3 * np.outer(noise, distractor) + 0.1 * random.standard_normal((1000, 24))
    weight = np.linalg.solve(np.cov(values.T), np.cov(values.T, y)[:24, 24])
    model, background = linear(np.stack([weight, -weight])), given(values.reshape(1000, *SHAPE), 2)
    found = pattern.explain(model, maps("linear", 1), [0], pattern.Options(), background)[0].view(2, 24).numpy()
    assert np.corrcoef(found[0], template)[0, 1] > 0.99
    assert np.corrcoef(found[1], template)[0, 1] < -0.99
    assert np.corrcoef(weight, template)[0, 1] < 0.8
    assert (weight[8:10] < -0.5 * weight[0]).all()
    assert np.abs(found[0, 8:]).max() < 0.15 * np.abs(found[0, :8]).mean()


def test_a_voxel_that_never_varies_has_no_pattern():
    values = np.random.default_rng(0).standard_normal((30, *SHAPE))
    values[:, 0] = 0
    found = pattern.explain(decoder("linear"), maps("linear"), range(4), pattern.Options(), given(values, 4))
    assert (found[:, :, 0] == 0).all()
    assert found.abs().max() > 0


def test_training_maps_are_read_once_and_anew_for_other_weights_or_maps():
    model, x, background = decoder("linear"), maps("linear"), given(np.random.default_rng(0).random((40, *SHAPE)), 4)
    reads, get = [], background.training.get
    background.training.get = lambda rows: reads.append(len(rows)) or get(rows)

    def found(model, background):
        return pattern.explain(model, x, range(4), pattern.Options(), background)

    first = found(model, background)
    assert torch.equal(found(model, background), first)
    assert reads == [16, 16, 8]
    model.network[1].weight[0] += 1
    assert relative_error(found(model, background), first) > 0.01
    assert relative_error(found(decoder("linear"), context(SHAPE)), first) > 0.01
    assert relative_error(found(decoder("linear"), background), first) < 1e-12


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_networks_that_are_not_linear_are_refused(name):
    with pytest.raises(ValueError, match=f"pattern: explains a linear network only, not {name}"):
        explain("pattern", decoder(name), maps(name))


def test_a_map_does_not_depend_on_its_batch_mates():
    assert_independent_of_batch_mates("pattern", "linear")


def test_leaves_no_trace():
    assert_leaves_no_trace("pattern", "linear")
