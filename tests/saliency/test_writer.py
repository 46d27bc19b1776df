import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from truemap.networks.data import Batches
from truemap.networks.decoder import Decoder, build_network
from truemap.saliency import gradient, smoothgrad
from truemap.saliency.writer import MeanMaps, explain_blocks, unit_peak
from truemap.volumes import Volumes

torch.set_num_threads(1)
SHAPE, CLASSES = (3, 2, 2), ["a", "b", "c"]
MAPS = arrays(np.float64, (3, 5), elements=st.floats(-1e30, 1e30, allow_subnormal=False))


def decoder():
    torch.manual_seed(0)
    network = build_network({"name": "mlp", "hidden": 12}, SHAPE, 3).eval().requires_grad_(False)
    return Decoder(network, 1.2, CLASSES, "mlp")


def batches(subjects):
    n = len(subjects)
    maps = np.random.default_rng(0).standard_normal((n, *SHAPE)).astype(np.float32)
    labels = [CLASSES[i % 3] for i in range(n)]
    table = pd.DataFrame(
        {
            "sample": np.arange(n) + 100,
            "subject": subjects,
            "label": labels,
            "condition": [f"{label}-{i}" for i, label in enumerate(labels)],
            "negated": [i % 2 == 0 for i in range(n)],
        }
    )
    return Batches(Volumes([maps], table), CLASSES, torch.device("cpu"))


@given(MAPS)
def test_unit_peak_times_scale_is_the_map(maps):
    scaled, scale = unit_peak(maps)
    np.testing.assert_array_equal(scale, [max(map(abs, row)) for row in maps.tolist()])
    for row, peak in zip(scaled, scale, strict=True):
        assert np.abs(row).max() == (1.0 if peak > 0 else 0.0)
    assert (np.abs(scaled * scale[:, None] - maps) <= 1e-15 * scale[:, None]).all()


def test_a_zero_map_stays_zero_with_scale_zero():
    scaled, scale = unit_peak(np.array([[0.0, -0.0], [0.0, -4.0]]))
    np.testing.assert_array_equal(scaled, [[0, 0], [0, -1]])
    np.testing.assert_array_equal(scale, [0, 4])


def test_a_map_of_1e_30_survives_float16():
    shape = np.random.default_rng(0).standard_normal((1, 200))
    scaled, _ = unit_peak(1e-30 * shape)
    assert np.corrcoef(scaled.astype(np.float16)[0], shape[0])[0, 1] > 0.999999


@pytest.mark.parametrize(
    "subjects",
    [["s1"] * 18 + ["s2"] * 3, ["s1", "s2", "s1", "s2", "s2"], [""] * 5],
    ids=["more than a chunk", "rows of subjects mixed", "no subjects"],
)
@pytest.mark.parametrize("module", [gradient, smoothgrad], ids=["gradient", "smoothgrad"])
def test_explain_blocks_are_the_maps_of_separate_calls(subjects, module):
    data, model = batches(subjects), decoder()
    options = module.Options() if module is gradient else module.Options(n=3, sigma=0.5)
    table = data.volumes.table.set_index("sample")
    seen = []
    for rows, maps in explain_blocks(model, data, module, options, 5):
        assert rows["subject"].nunique() == 1
        assert list(rows["target"]) == CLASSES * (len(rows) // 3)
        assert (rows["sample"].to_numpy().reshape(-1, 3) == rows["sample"].to_numpy()[::3, None]).all()
        for row, found in zip(rows.itertuples(), maps, strict=True):
            x = torch.from_numpy(data.volumes.parts[0][row.sample - 100 : row.sample - 99])
            alone = module.explain(model, x, [row.sample], options, 5)[0, CLASSES.index(row.target)].flatten()
            np.testing.assert_allclose(found * row.scale, alone, rtol=1e-4, atol=1e-7)
            assert np.abs(found).max() == pytest.approx(1.0)
            source = table.loc[row.sample]
            assert (row.subject, row.label, row.condition, row.negated) == tuple(source)
        seen += list(rows["sample"])[::3]
    assert sorted(seen) == list(table.index)


def test_mean_maps_are_plain_means_of_the_methods_maps(tmp_path):
    data, model = batches(["s1"] * 4 + ["s2"] * 3), decoder()
    means = MeanMaps(CLASSES, SHAPE)
    for rows, maps in explain_blocks(model, data, gradient, gradient.Options(), 0):
        means.add(rows, maps)
    affine = np.diag([-8.0, 8, 8, 1])
    means.write(tmp_path / "mean.nii.gz", tmp_path / "mean.tsv", affine)

    everything = gradient.explain(model, torch.from_numpy(data.volumes.parts[0]), range(7), gradient.Options(), 0)
    image, table = nib.load(tmp_path / "mean.nii.gz"), pd.read_csv(tmp_path / "mean.tsv", sep="\t")
    np.testing.assert_array_equal(image.affine, affine)
    assert image.shape == (*SHAPE, 9)
    for row in table.itertuples():
        mine = [i for i, label in enumerate(data.volumes.table["label"]) if label == row.label]
        expected = everything[mine, CLASSES.index(row.target)].mean(dim=0)
        volume = image.get_fdata()[..., row.volume]
        assert row.maps == len(mine)
        assert np.abs(volume).max() == pytest.approx(1.0)
        np.testing.assert_allclose(volume * row.scale, expected, rtol=1e-4, atol=1e-7)
    assert set(zip(table["label"], table["target"], strict=True)) == {(a, b) for a in CLASSES for b in CLASSES}


def test_the_mean_of_a_class_without_maps_is_zero(tmp_path):
    means = MeanMaps(CLASSES, SHAPE)
    rows = pd.DataFrame({"label": ["a"], "target": ["a"], "scale": [2.0]})
    means.add(rows, np.full((1, 12), 0.5))
    means.write(tmp_path / "mean.nii.gz", tmp_path / "mean.tsv", np.eye(4))
    volumes = nib.load(tmp_path / "mean.nii.gz").get_fdata()
    np.testing.assert_array_equal(np.abs(volumes).reshape(12, 9).max(axis=0), [1, 0, 0, 0, 0, 0, 0, 0, 0])
    assert list(pd.read_csv(tmp_path / "mean.tsv", sep="\t")["scale"]) == [1, 0, 0, 0, 0, 0, 0, 0, 0]
