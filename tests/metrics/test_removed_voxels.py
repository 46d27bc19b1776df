"""Voxels in the order of their maps, and maps without the first of them, against NumPy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from measuring import half
from methods import as_method
from small_decoders import context, decoder, maps

from truemap.data.volumes import Volumes
from truemap.metrics._roar import at_random, ranked, removed
from truemap.networks._batches import Batches
from truemap.runtime.files import DataError
from truemap.saliency import absolute_gradient, gradient_x_input, weights

N = 12


def batches(model):
    table = pd.DataFrame({"sample": 500 - 7 * np.arange(N), "label": [model.classes[k % 4] for k in range(N)]})
    return Batches(Volumes([maps("mlp", N).numpy()], table), model.classes, torch.device("cpu"))


def order_of(saliency, rows=range(N), megabytes=100.0, network="mlp"):
    model = decoder(network)
    data = batches(model)
    known = context(data.volumes.shape)
    return ranked(model, data, saliency, known, half().numpy(), np.array(rows), megabytes)


def test_the_largest_sizes_of_the_predicted_classs_map_come_first_in_any_batch():
    way = as_method(gradient_x_input)
    order, constant = order_of(way)
    model, x = decoder("mlp"), maps("mlp", N)
    found = way.explain(model, x, range(N), way.options, None)
    predicted = model.network(x).argmax(1)
    assert not torch.equal(predicted, torch.arange(N) % 4), "or it could not be told from the true class"
    for row, voxels in enumerate(order):
        sizes = found[row, predicted[row]][half()].abs().numpy()
        assert sorted(voxels.tolist()) == list(range(len(sizes)))
        assert (np.diff(sizes[voxels]) <= 0).all()
    assert not constant.any()
    some, _ = order_of(way, rows=[2, 7], megabytes=1e-6)
    assert torch.equal(some, order[[2, 7]])


def test_equal_sizes_go_in_an_order_of_the_samples_own():
    way = as_method(absolute_gradient)
    flat = replace(way, explain=lambda model, x, *_: torch.ones(len(x), 4, *x.shape[1:], dtype=torch.float64))
    order, constant = order_of(flat)
    assert constant.all()
    assert torch.equal(order, at_random(order.shape[1], (500 - 7 * np.arange(N)).tolist(), 0))
    assert len({tuple(row.tolist()) for row in order}) == N


def test_maps_of_a_class_alone_and_maps_that_are_none_are_refused():
    with pytest.raises(DataError, match="the voxels that are gone would tell the class"):
        order_of(as_method(weights), network="linear")
    way = as_method(gradient_x_input)
    wrong = replace(way, explain=lambda *given: way.explain(*given) * torch.nan)
    with pytest.raises(DataError, match="NaN or infinite"):
        order_of(wrong)


def test_one_map_for_all_inputs_and_classes_tells_no_class():
    way = as_method(absolute_gradient)
    one = torch.rand(1, 1, *maps("mlp", 1).shape[1:], dtype=torch.float64)
    same = replace(way, explain=lambda model, x, *_: one.expand(len(x), 4, *one.shape[2:]))
    order, _ = order_of(same)
    assert (order == order[0]).all()


@given(st.floats(0.05, 0.95), st.integers(0, 5))
def test_removed_voxels_are_the_mean_and_all_others_stay(fraction, seed):
    random = np.random.default_rng(seed)
    stored, inside = random.normal(size=(5, 3, 4, 2)).astype("float32"), random.random((3, 4, 2)) < 0.8
    table = pd.DataFrame({"sample": range(5)})
    rows, mean, voxels = np.array([0, 3, 4]), random.normal(size=24), int(inside.sum())
    order = at_random(voxels, rows.tolist(), seed)
    found = removed(Volumes([stored[:2], stored[2:]], table), rows, order, fraction, mean, inside)
    assert found.table["sample"].tolist() == [0, 3, 4]
    for values, row, places in zip(found.take(range(3)), rows, order.numpy(), strict=True):
        gone = np.zeros(voxels, dtype=bool)
        gone[places[: round(fraction * voxels)]] = True
        expected = np.where(gone, mean.reshape(inside.shape)[inside], stored[row][inside])
        np.testing.assert_allclose(values[inside], expected, rtol=1e-6)
        np.testing.assert_array_equal(values[~inside], stored[row][~inside])
