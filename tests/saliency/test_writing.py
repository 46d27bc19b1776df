import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from methods import as_method
from small_decoders import context

from truemap.data.maps import MeanMaps, unit_peak
from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network
from truemap.runtime.files import DataError
from truemap.saliency import gradient, integrated_gradients, smoothgrad
from truemap.saliency._writer import MEGABYTE, chunk_size, explain_blocks

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
    own = maps.copy()
    assert unit_peak(own, out=own)[0] is own
    np.testing.assert_array_equal(own, scaled)


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
    known = context(SHAPE, 5, classes=3)
    for rows, maps in explain_blocks(model, data, as_method(module, options), known, 1):
        assert rows["subject"].nunique() == 1
        assert list(rows["target"]) == CLASSES * (len(rows) // 3)
        assert (rows["sample"].to_numpy().reshape(-1, 3) == rows["sample"].to_numpy()[::3, None]).all()
        for row, found in zip(rows.itertuples(), maps, strict=True):
            x = torch.from_numpy(data.volumes.parts[0][row.sample - 100 : row.sample - 99])
            alone = module.explain(model, x, [row.sample], options, known)[0, CLASSES.index(row.target)].flatten()
            np.testing.assert_allclose(found * row.scale, alone, rtol=1e-4, atol=1e-7)
            assert np.abs(found).max() == pytest.approx(1.0)
            source = table.loc[row.sample]
            assert (row.subject, row.label, row.condition, row.negated) == tuple(source)
        seen += list(rows["sample"])[::3]
    assert sorted(seen) == list(table.index)


def test_mean_maps_are_plain_means_of_the_methods_maps(tmp_path):
    data, model = batches(["s1"] * 4 + ["s2"] * 3), decoder()
    means = MeanMaps(CLASSES, SHAPE)
    known = context(SHAPE, classes=3)
    for rows, maps in explain_blocks(model, data, as_method(gradient), known, 1):
        means.add(rows, maps)
    affine = np.diag([-8.0, 8, 8, 1])
    files = [tmp_path / f"mean.{ending}" for ending in ("nii.gz", "tsv", "json")]
    means.write(*files, affine, "simulated data, not HCP", model="m", seed=3, method="gradient")

    x = torch.from_numpy(data.volumes.parts[0])
    everything = gradient.explain(model, x, range(7), gradient.Options(), known)
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
    # What is found alone says what it is, and which volume is what.
    assert image.header["descrip"].item() == b"simulated data, not HCP; mean saliency maps"
    names = [f"class {row.label}, explained for {row.target}" for row in table.itertuples()]
    (extension,) = image.header.extensions
    lines = extension.get_content().decode() if isinstance(extension.get_content(), bytes) else extension.get_content()
    assert lines.split("\n") == [f"volume {number}: {name}" for number, name in enumerate(names)]
    about = json.loads(files[2].read_text())
    assert about["Data"] == "simulated data, not HCP" and about["Volumes"] == names
    assert (about["Model"], about["Seed"], about["Method"]) == ("m", 3, "gradient")


def test_the_mean_of_a_class_without_maps_is_zero(tmp_path):
    means = MeanMaps(CLASSES, SHAPE)
    rows = pd.DataFrame({"label": ["a"], "target": ["a"], "scale": [2.0]})
    means.add(rows, np.full((1, 12), 0.5))
    means.write(*(tmp_path / f"mean.{ending}" for ending in ("nii.gz", "tsv", "json")), np.eye(4), "")
    volumes = nib.load(tmp_path / "mean.nii.gz").get_fdata()
    np.testing.assert_array_equal(np.abs(volumes).reshape(12, 9).max(axis=0), [1, 0, 0, 0, 0, 0, 0, 0, 0])
    assert list(pd.read_csv(tmp_path / "mean.tsv", sep="\t")["scale"]) == [1, 0, 0, 0, 0, 0, 0, 0, 0]


KEYS = ["sample", "target"]


def explained(memory=1.0, count=None, module=gradient, seed=5, **options):
    """All rows and maps of eight maps of two subjects."""
    data, model = batches(["s1"] * 5 + ["s2"] * 3), decoder()
    known = context(SHAPE, seed, classes=3)
    blocks = list(explain_blocks(model, data, as_method(module, **options), known, memory, count))
    return pd.concat([rows for rows, _ in blocks], ignore_index=True), np.concatenate([maps for _, maps in blocks])


def test_as_many_maps_are_explained_at_a_time_as_memory_holds():
    """Of 12 voxels, 12 hidden units and 3 classes: layers of 12, 12, 12, 3 numbers and their gradients, 3 maps."""
    model, x = decoder(), torch.zeros(1, *SHAPE)
    sizes = [2 * 4 * size for size in (12, 12, 12, 3)]
    a_map = sum(sizes) + 3 * 12 * (4 + 2 * 8)
    for count in (1, 2, 7, 1000):
        assert chunk_size(model, x, count * a_map / MEGABYTE * (1 + 1e-9)) == count
        assert chunk_size(model, x, (count + 0.99) * a_map / MEGABYTE) == count
    assert chunk_size(model, x, 1e-9) == 1
    assert not any(layer._forward_hooks for layer in model.network.modules())


@pytest.mark.parametrize("memory", [1e-9, 0.003])
@pytest.mark.parametrize("module", [gradient, smoothgrad, integrated_gradients])
def test_maps_do_not_depend_on_memory(module, memory):
    rows, maps = explained(module=module)
    other_rows, other_maps = explained(memory, module=module)
    pd.testing.assert_frame_equal(other_rows, rows, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other_maps, maps, atol=1e-4)


def test_a_choice_of_maps_has_the_maps_it_has_among_all():
    rows, maps = explained(module=smoothgrad, n=3)
    some, chosen = explained(count=1, module=smoothgrad, n=3)
    assert len(some) == 3 * 6
    assert set(some.groupby(["subject", "label"])["sample"].nunique()) == {1}
    places = [np.flatnonzero((rows[KEYS] == wanted).all(axis=1)).item() for wanted in some[KEYS].to_numpy().tolist()]
    np.testing.assert_allclose(chosen, maps[places], atol=1e-4)


def test_residual_is_what_the_method_says_of_each_map_and_class_or_nan():
    assert explained()[0]["residual"].isna().all()
    rows, _ = explained(module=integrated_gradients)
    data, model, known = batches(["s1"] * 8), decoder(), context(SHAPE, 5, classes=3)
    x, options = torch.from_numpy(data.volumes.parts[0]), integrated_gradients.Options()
    found = integrated_gradients.explain(model, x, range(8), options, known)
    missed = integrated_gradients.residual(model, x, range(8), found, options, known)
    expected = [missed[row.sample - 100, CLASSES.index(row.target)].item() for row in rows.itertuples()]
    np.testing.assert_allclose(rows["residual"], expected, rtol=1e-4, atol=1e-6)
    assert rows["residual"].abs().max() > 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_method_whose_map_is_no_number_stops_and_names_the_sample(monkeypatch, value):
    whole = gradient.explain

    def explain(decoder, x, ids, options, context):
        maps = whole(decoder, x, ids, options, context)
        maps.view(*maps.shape[:2], -1)[[number == 103 for number in ids], 1, 3] = value
        return maps

    monkeypatch.setattr(gradient, "explain", explain)
    with pytest.raises(DataError, match=r"1 of 15 maps are NaN or infinite, .* sample 103 for class b"):
        explained()
