import base64

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from told import CLASSES, ENTRIES, grid_of, shown_of

from truemap.data.grid import Grid
from truemap.data.maps import MapWriter, MeanMaps
from truemap.evaluation.truth import Truth
from truemap.figures.viewer import (
    STEPS,
    in_bytes,
    mean_truths,
    pairs,
    read_mean_maps,
    read_subject,
    reduced,
    reduced_grid,
    template,
    viewed,
)

GRID = grid_of(brain=True)


def values_of(text):
    return np.frombuffer(base64.b64decode(text), np.int8)


def truth_of(seed, labels="ABC"):
    means = np.random.default_rng(seed).standard_normal((len(labels), 6))
    return Truth(pd.DataFrame({"label": list(labels), "n": 1, "scale": 1.0}), means, "classes"), means


def test_a_map_is_the_brains_voxels_at_its_own_peak():
    values = np.random.default_rng(0).standard_normal(GRID.mask.size)
    inside = values[GRID.mask.reshape(-1)]
    found = values_of(in_bytes(values, GRID))
    np.testing.assert_allclose(found / STEPS, inside / np.abs(inside).max(), atol=0.5 / STEPS)
    assert not values_of(in_bytes(0 * values, GRID)).any()


def test_maps_stand_with_r_and_peak_the_truth_first():
    shown = shown_of(GRID, ENTRIES)
    found = viewed(shown, ENTRIES, CLASSES, GRID)
    assert len(found["maps"]) == 2 * 5 * (1 + len(ENTRIES)) and found["averaged"] == 1 and not found["left_out"]
    bits = np.unpackbits(np.frombuffer(base64.b64decode(found["mask"]), np.uint8))[: GRID.mask.size]
    assert np.array_equal(bits.astype(bool), GRID.mask.reshape(-1))
    for one in found["maps"]:
        (seen,) = (s for s in shown if s.who == one["who"])
        pair = one["label"], one["target"]
        if one["entry"] is None:
            assert one["r"] is None
            continue
        values, truth = seen.maps[tuple(one["entry"])][pair], seen.truth[pair]
        assert one["r"] == pytest.approx(np.corrcoef(values, truth)[0, 1], abs=6e-4)
        assert one["peak"] == pytest.approx(np.abs(values).max(), rel=1e-3)
        voxel = np.round(np.linalg.inv(GRID.affine) @ [*one["at"], 1])[:3].astype(int)
        whole = np.zeros(GRID.shape)
        whole[GRID.mask] = values
        assert abs(whole[tuple(voxel)]) == np.abs(values).max()


def test_the_inverse_affine_leads_from_mm_to_voxels():
    inverse = np.array(viewed(shown_of(GRID, ENTRIES), ENTRIES, CLASSES, GRID)["inverse"])
    for voxel in ([0, 0, 0], [3, 20, 11]):
        mm = GRID.affine @ [*voxel, 1]
        np.testing.assert_allclose(inverse @ mm, voxel, atol=1e-3)


def test_where_not_all_fit_fine_voxels_are_averaged_then_entries_left_out():
    fine = Grid(GRID.mask, np.diag([2.0, 2, 2, 1]))
    found = viewed(shown_of(fine, ENTRIES), ENTRIES, CLASSES, fine, budget=12_000)
    assert found["averaged"] == 2 and found["voxel_mm"] == [4, 4, 4]
    least = viewed(shown_of(fine, ENTRIES), ENTRIES, CLASSES, fine, budget=1)
    assert least["left_out"] == 2 and {tuple(m["entry"]) for m in least["maps"] if m["entry"]} == {
        ("linear", "gradient")
    }


def test_blocks_are_means_over_the_brain_at_their_centres():
    mask = np.zeros((5, 4, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[4, 3, 2] = True
    grid, volume = Grid(mask, np.diag([2.0, 2, 2, 1])), np.zeros(mask.shape)
    volume[0, 0, 0], volume[1, 1, 1], volume[4, 3, 2] = 1.0, 3.0, 7.0
    small = reduced_grid(grid, 2)
    assert small.shape == (3, 2, 2) and small.mask.sum() == 2
    found = reduced(volume, grid, 2)
    assert found[0, 0, 0] == 2.0 and found[2, 1, 1] == 7.0
    # The centre of the first block of 2 mm voxels lies between them.
    np.testing.assert_allclose(small.affine @ [0, 0, 0, 1], [1, 1, 1, 1])
    np.testing.assert_allclose(small.affine @ [1, 0, 0, 1], [5, 1, 1, 1])


def test_the_mean_truth_is_over_the_subjects_that_have_it():
    (first, a), (second, b), (third, _) = truth_of(0), truth_of(1), truth_of(2, "A")
    third.absent["B"] = "none"
    inside = np.arange(6) % 3 > 0
    found = mean_truths([first, second], CLASSES, inside)
    np.testing.assert_allclose(found["A", "A"], (((a[0] - a.mean(0)) + (b[0] - b.mean(0))) / 2)[inside])
    np.testing.assert_allclose(found["B", "A"], (((a[0] - a[1]) + (b[0] - b[1])) / 2)[inside])
    assert set(found) == set(pairs(CLASSES))


def test_mean_maps_are_read_as_they_were_written(tmp_path):
    means = MeanMaps(CLASSES, (2, 3, 4))
    maps = np.random.default_rng(0).standard_normal((2, 2, 3, 4))
    means.add(pd.DataFrame({"label": ["A", "B"], "target": ["A", "A"], "scale": 1.0}), maps.reshape(2, -1))
    image, table = str(tmp_path / "m.nii.gz"), str(tmp_path / "m.tsv")
    means.write(image, table, tmp_path / "m.json", np.eye(4), "made up", model="1", seed=0, method="2")
    inside = np.arange(24) % 5 > 0
    entry, found = read_mean_maps(image, table, CLASSES, inside)
    assert entry == ("1", "2") and set(found) == {("A", "A"), ("B", "A")}
    np.testing.assert_allclose(
        found["B", "A"], (maps[1].reshape(-1) / np.abs(maps[1]).max())[inside], rtol=1e-5, atol=1e-6
    )


def test_a_subjects_maps_are_read_by_class(tmp_path):
    maps = np.arange(8, dtype=np.float32).reshape(2, 4)
    rows = pd.DataFrame({"model": "m", "method": "g", "subject": "s", "label": ["A", "B"], "target": "A"})
    with MapWriter(tmp_path / "x.parquet", 4, "float32") as writer:
        writer.write(rows, maps)
    subject, entry, found = read_subject(tmp_path / "x.parquet", np.array([True, False, True, True]))
    assert (subject, entry) == ("s", ("m", "g")) and found["B", "A"].tolist() == [4, 6, 7]


def test_the_template_is_where_nilearn_has_it():
    from nilearn.datasets import load_mni152_template

    found, image = template(), load_mni152_template(resolution=2)
    values = np.frombuffer(base64.b64decode(found["data"]), np.uint8).reshape(found["shape"])
    for mm in ([0, 0, 20], [-40, -20, 10]):
        voxel = np.round(np.array(found["inverse"]) @ [*mm, 1]).astype(int)
        there = np.round(np.linalg.inv(image.affine) @ [*mm, 1])[:3].astype(int)
        assert values[tuple(voxel)] / 255 == pytest.approx(image.get_fdata()[tuple(there)], abs=3e-3)
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
