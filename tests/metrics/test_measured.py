"""The table of a metric: which maps, in whatever batches, and what is said where there is no value."""

import numpy as np
import pandas as pd
import pytest
import torch
from measuring import half
from methods import as_method, made_up
from small_decoders import context, decoder, maps

from truemap.data.volumes import Volumes
from truemap.metrics import complexity, removal, sensitivity
from truemap.metrics._contract import Measure, Senseless
from truemap.metrics._measure import choose_measured, measured_table
from truemap.networks._batches import Batches
from truemap.runtime.files import DataError
from truemap.saliency import gradient, smoothgrad

N, VOXELS = 12, int(half().sum())
MEASURES = (Measure("size", "lower", "Nobody 2020", "the map is odd"), Measure("other", "higher", "Nobody 2020"))


def batches(model):
    table = pd.DataFrame({"sample": 500 - 7 * np.arange(N), "subject": [f"s{k // 4}" for k in range(N)]})
    table["label"] = [model.classes[k % 4] for k in range(N)]
    return Batches(Volumes([maps("mlp", N).numpy()], table), model.classes, torch.device("cpu"))


def table(metric, saliency=None, rows=range(N), megabytes=100.0, inside=None):
    model = decoder("mlp")
    data = batches(model)
    inside = half().numpy() if inside is None else inside
    way = saliency or as_method(gradient)
    return measured_table(
        model, data, way, context(data.volumes.shape), metric, inside, np.array(rows), megabytes, None
    )


def test_rows_are_those_of_the_samples_and_measures_in_order():
    found = table(as_method(complexity), rows=[2, 3, 9])
    assert found["sample"].tolist() == [486, 486, 479, 479, 437, 437]
    assert found["subject"].tolist() == ["s0", "s0", "s0", "s0", "s2", "s2"]
    assert found["label"].tolist() == found["target"].tolist() == [f"class-{k}" for k in (2, 2, 3, 3, 1, 1)]
    assert found["measure"].tolist() == ["complexity", "sparseness"] * 3
    assert found["direction"].tolist() == ["lower", "higher"] * 3
    assert (found["reason"] == "").all()
    model, x = decoder("mlp"), maps("mlp", N)
    own = gradient.explain(model, x, range(N), gradient.Options(), None)[2, 2][half()].abs().numpy()
    share = own / own.sum()
    assert found["value"][0] == pytest.approx(-(share * np.log(share)).sum(), rel=1e-6)


@pytest.mark.parametrize("megabytes", [1e-6, 100.0])
def test_of_an_area_the_curve_is_kept(megabytes, tmp_path):
    table(as_method(removal, steps=3), megabytes=megabytes).to_parquet(tmp_path / "found.parquet")
    found = pd.read_parquet(tmp_path / "found.parquet")
    for row in found.itertuples():
        assert list(row.share) == [0.0, *(np.cumsum([len(p) for p in np.array_split(range(VOXELS), 3)]) / VOXELS)]
        assert row.value == pytest.approx(np.trapezoid(row.height, row.share), abs=1e-12)
    # Before and after, both curves have the network's own answers: of the map, and of none.
    first = found.groupby("sample")["height"].agg(list)
    assert all(morf[0] == lerf[0] and morf[-1] == pytest.approx(lerf[-1], abs=1e-6) for morf, lerf in first)
    assert not {"share", "height"} & set(table(as_method(complexity)))


@pytest.mark.parametrize("megabytes", [1e-6, 0.02])
def test_how_many_maps_are_explained_at_a_time_changes_nothing(megabytes):
    metric, way = as_method(sensitivity, draws=2), as_method(smoothgrad, n=2)
    pd.testing.assert_frame_equal(table(metric, way, megabytes=megabytes), table(metric, way), rtol=1e-4)


def test_what_a_sample_draws_hangs_on_its_id_alone():
    metric = as_method(sensitivity, draws=2)
    alone, every = table(metric, rows=[5]), table(metric)
    pd.testing.assert_frame_equal(alone, every.iloc[15:18].reset_index(drop=True), rtol=1e-4)
    assert every["value"].iloc[::3].nunique() == N


def fake(values, measures=MEASURES):
    return made_up("metrics", measures=measures, measure=lambda explained, options: {
        "size": torch.tensor(values)[: len(explained.x)], "other": torch.ones(len(explained.x))})  # fmt: skip


def test_a_value_that_is_not_defined_is_null_with_its_reason():
    found = table(fake([1.0, float("nan")]), rows=[0, 1])
    assert found["value"].isna().tolist() == [False, False, True, False]
    assert found["reason"].tolist() == ["", "", "the map is odd", ""]


def test_a_metric_without_sense_gives_nulls_with_its_words():
    def none(explained, options):
        raise Senseless("this network has no layers")

    found = table(made_up("metrics", measures=MEASURES, measure=none), rows=[0, 1])
    assert found["value"].isna().all()
    assert set(found["reason"]) == {"this network has no layers"}
    assert found["measure"].tolist() == ["size", "other"] * 2


def test_numbers_that_are_none_and_measures_that_were_not_declared_are_faults():
    for values in ([1.0, float("inf")], [float("nan"), float("nan")]):
        defined = (Measure("size", "lower", "Nobody 2020"), MEASURES[1])
        with pytest.raises(DataError, match="size is no number for"):
            table(fake(values, defined), rows=[0, 1])
    with pytest.raises(RuntimeError, match="measures"):
        table(fake([1.0, 2.0], MEASURES[:1]), rows=[0, 1])


def test_the_choice_is_of_what_is_explained_balanced_and_of_the_samples_alone():
    rows = batches(decoder("mlp")).volumes.table
    some = choose_measured(rows, None, 8, 3)
    assert rows["label"].iloc[some].value_counts().tolist() == [2] * 4
    assert set(choose_measured(rows, None, 4, 3)) <= set(some)
    assert choose_measured(rows, None, None, 3).tolist() == list(range(N))
    images = rows.assign(subject="")
    one = choose_measured(images, 1, None, 3)
    assert images["label"].iloc[one].is_unique and len(one) == 4
    assert set(choose_measured(images, 1, 2, 3)) <= set(one)
    turned = images.iloc[::-1].reset_index(drop=True)
    again = choose_measured(turned, 1, 3, 3)
    assert set(turned["sample"].iloc[again]) == set(images["sample"].iloc[choose_measured(images, 1, 3, 3)])
