import re
from copy import copy

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.data.grid import Grid, read_grid, write_grid
from truemap.data.ingest import write_volumes
from truemap.data.nifti import read_map
from truemap.data.reading import BadMap, reading, usable
from truemap.data.shared_grid import find_grid, first_grid
from truemap.data.volumes import Volumes, read_volumes
from truemap.runtime.files import DataError, SourceError

SHAPE = (4, 5, 6)
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
GRID = Grid(np.ones(SHAPE, dtype=bool), AFFINE)


@pytest.fixture
def maps():
    """Maps by name, as a source would read them: far from z-scores, zero outside a box."""
    random = np.random.default_rng(0)
    values = {name: np.zeros(SHAPE) for name in ("a.nii", "b.nii", "c.nii")}
    for value in values.values():
        value[1:3, 1:4, 2:5] = random.normal(100.0, 30.0, (2, 3, 3))
    return values


@pytest.fixture
def read(maps):
    def reader(image):
        return maps[image], AFFINE, f"sum of {image}"

    return reader


@pytest.fixture
def store(tmp_path, read):
    """Write volumes into a folder, and read them back."""

    def stored(images=("a.nii", "b.nii", "c.nii"), standardize="volume", precision="float32", read=read):
        paths = tmp_path / "out/0.npy", tmp_path / "out/0.parquet"
        rows = pd.DataFrame({"image": images, "label": "A"}, index=range(10, 10 + len(images)))
        write_volumes(*paths, tmp_path / "out/0.skipped.tsv", rows, read, GRID, standardize, precision)
        return read_volumes(paths[:1], paths[1:])

    return stored


def written(folder):
    return [path.name for path in folder.rglob("*") if path.is_file()]


def save(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine), path)
    return str(path)


def test_the_brain_is_where_any_map_differs_from_zero(maps, read):
    maps["a.nii"][1, 1, 2] = 0.0
    maps["b.nii"][1, 1, 3] = 0.0
    maps["c.nii"][0, 0, 0] = -1.0
    grid = find_grid(list(maps), read, None)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[1:3, 1:4, 2:5] = True
    expected[0, 0, 0] = True
    np.testing.assert_array_equal(grid.mask, expected)
    np.testing.assert_array_equal(grid.affine, AFFINE)
    assert grid.shape == SHAPE


def test_a_mask_file_takes_the_place_of_the_maps(tmp_path, read):
    wanted = np.zeros(SHAPE)
    wanted[0, 0, :2] = 1.0, 0.5
    grid = find_grid(["a.nii"], read, save(tmp_path / "mask.nii", wanted))
    np.testing.assert_array_equal(grid.mask, wanted > 0)


@pytest.mark.parametrize(
    ("values", "affine"),
    [(np.ones((4, 5, 7)), AFFINE), (np.ones(SHAPE), AFFINE + np.diag([0, 0, 0.1, 0])), (np.ones(SHAPE), np.eye(4))],
    ids=["shape", "voxel size", "origin"],
)
def test_a_mask_on_another_grid_is_refused_by_name(tmp_path, read, values, affine):
    with pytest.raises(DataError, match=r"mask\.nii: is not on the grid of the maps \(a\.nii\)"):
        find_grid(["a.nii"], read, save(tmp_path / "mask.nii", values, affine))


def test_an_empty_mask_is_refused(tmp_path, read):
    with pytest.raises(DataError, match=r"mask\.nii: no voxel above 0"):
        find_grid(["a.nii"], read, save(tmp_path / "mask.nii", np.zeros(SHAPE)))


def test_maps_of_one_subject_on_two_grids_are_refused(maps, read):
    maps["b.nii"] = maps["b.nii"][:-1]
    with pytest.raises(DataError, match=r"b\.nii: grid \(3, 5, 6\)"):
        find_grid(list(maps), read, None)


def test_a_map_with_nan_gives_no_grid(maps, read):
    maps["b.nii"][0, 0, 0] = np.nan
    with pytest.raises(BadMap, match=r"b\.nii: 1 of 120 voxels are NaN") as caught:
        find_grid(list(maps), read, None)
    assert caught.value.image == "b.nii"


def test_the_grid_is_that_of_the_first_subject_whose_maps_can_all_be_used(maps, read, caplog):
    maps["b.nii"] = maps["b.nii"][:-1]
    grid = first_grid(iter([["a.nii", "b.nii"], ["c.nii"]]), read, None)
    np.testing.assert_array_equal(grid.mask, maps["c.nii"] != 0)
    assert "not asked for the grid: b.nii: grid (3, 5, 6)" in caplog.text


def test_one_subject_on_an_odd_grid_does_not_decide_for_the_others(maps, read, caplog):
    maps["a.nii"] = maps["a.nii"][:-1]
    grid = first_grid([["a.nii"], ["b.nii"], ["c.nii"]], read, None)
    np.testing.assert_array_equal(grid.mask, maps["b.nii"] != 0)
    assert re.search(r"on different grids \(\(3, 5, 6\) voxels .*: 1; \(4, 5, 6\) voxels .*: 2\)", caplog.text)


@pytest.mark.parametrize("background", [2e-6, -1.0, 300.0])
def test_the_brain_is_where_any_map_differs_from_its_background(maps, read, background):
    before = find_grid(list(maps), read, None).mask
    for number, values in enumerate(maps.values()):
        values[values == 0] = background * (number + 1)
    np.testing.assert_array_equal(find_grid(list(maps), read, None).mask, before)


def test_maps_saved_as_scaled_integers_have_the_mask_of_the_same_maps_as_floats(tmp_path, maps):
    masks = []
    for dtype in ("float32", "int16", "int32"):
        for name, values in maps.items():
            image = nib.Nifti1Image(values - 90.0 * (values != 0), AFFINE)
            image.set_data_dtype(dtype)
            nib.save(image, tmp_path / name)
        masks.append(find_grid([str(tmp_path / name) for name in maps], read_map, None).mask)
    assert (np.asanyarray(nib.load(tmp_path / "a.nii").dataobj) != 0).all()
    for mask in masks:
        np.testing.assert_array_equal(mask, maps["a.nii"] != 0)


def test_a_mask_without_outside_or_without_inside_is_warned_of_with_numbers(maps, read, caplog, tmp_path):
    first_grid([["a.nii"]], read, None)
    assert caplog.text == ""
    first_grid([["a.nii"]], read, save(tmp_path / "ones.nii", np.ones(SHAPE)))
    assert "ones.nii: 120 of 120 voxels (100.00 %)" in caplog.text
    caplog.clear()
    maps["a.nii"] = np.random.default_rng(0).normal(size=SHAPE)
    first_grid([["a.nii"]], read, None)
    assert "first subject: 120 of 120 voxels" in caplog.text
    caplog.clear()
    maps["a.nii"] = np.zeros((10, 10, 10))
    maps["a.nii"][3:5, 3, 3] = 1.0, 2.0
    first_grid([["a.nii"]], read, None)
    assert "2 of 1000 voxels (0.20 %)" in caplog.text


MASK = np.zeros(SHAPE)
MASK[1:3, 1:4, 2:5] = 1.0


@pytest.mark.parametrize(
    "values",
    [
        0.3 * MASK,
        MASK * np.linspace(1, 14175, 120).reshape(SHAPE),
        np.where(MASK > 0, 1.0, np.nan),
        np.where(MASK > 0, 1.0, 7.6e-6),
        np.where(MASK > 0, 1.0, -1e-9),
    ],
    ids=["probability", "labels", "NaN outside", "int16", "rounding below 0"],
)
def test_a_mask_is_inside_wherever_it_is_above_0(tmp_path, read, values):
    np.testing.assert_array_equal(find_grid(["a.nii"], read, save(tmp_path / "m.nii", values)).mask, MASK > 0)


@pytest.mark.parametrize("value", [-1.0, np.inf, -0.01])
def test_a_map_is_no_mask(tmp_path, read, value):
    values = MASK.copy()
    values[0, 0, 0] = value
    with pytest.raises(DataError, match=r"m\.nii: values from .* to .*1 in the brain"):
        find_grid(["a.nii"], read, save(tmp_path / "m.nii", values))


def with_nan(maps):
    for values in maps.values():
        values[values == 0] = np.nan


def test_spms_nan_is_refused_with_the_option_that_takes_it_for_0(maps, read):
    with_nan(maps)
    with pytest.raises(BadMap, match=r"a\.nii: 102 of 120 voxels are NaN .*85\.0%.*SPM .*`nan: zero`.*leave it out"):
        usable("a.nii", read)


def test_nan_taken_for_0_is_a_map_with_zeros(maps, read):
    expected, mask = [copy(part) for part in usable("a.nii", read)], find_grid(list(maps), read, None).mask
    with_nan(maps)
    reads = reading(read, "zero")
    for found, wanted in zip(usable("a.nii", reads), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(find_grid(list(maps), reads, None).mask, mask)
    assert reading(read, "refuse") is read
    maps["a.nii"][1, 1, 2] = np.inf
    with pytest.raises(BadMap, match=r"1 of 120 voxels are NaN or infinite .*Write the map again"):
        usable("a.nii", reads)
    maps["a.nii"][:] = np.nan
    with pytest.raises(BadMap, match="the map is constant"):
        usable("a.nii", reads)


@pytest.mark.parametrize("values", [np.arange(120).reshape(SHAPE), np.arange(120.0, dtype=">f4").reshape(SHAPE)])
def test_nan_taken_for_0_leaves_other_types_as_they_are(values):
    found = reading(lambda _: (values, AFFINE, ""), "zero")("a.nii")[0]
    np.testing.assert_array_equal(found, values)


def test_a_map_flipped_left_right_is_refused_and_the_message_shows_it(maps, read):
    flipped = np.diag([-1.0, 1, 1, 1]) @ AFFINE
    with pytest.raises(
        BadMap, match=r"axes RAS, origin \[-90\.0, .* differs from the dataset's .*axes LAS, origin \[90"
    ):
        usable("a.nii", lambda _: (maps["a.nii"], flipped, ""), GRID)


def test_a_source_that_does_not_answer_is_no_bad_map():
    def read(image):
        raise SourceError("s3://bucket/a.nii: the server refused the keys")

    with pytest.raises(SourceError, match="refused the keys"):
        usable("a.nii", read)


def test_a_mask_says_which_subject_the_grid_is_of(tmp_path, maps, read):
    maps["a.nii"] = maps["a.nii"][:-1]
    mask = save(tmp_path / "mask.nii", np.ones(SHAPE))
    assert first_grid([["a.nii"], ["b.nii"]], read, mask).shape == SHAPE


def test_where_no_subject_gives_a_grid_the_fault_of_the_first_is_told(maps, read, caplog):
    maps["a.nii"], maps["b.nii"] = np.zeros(SHAPE), np.full(SHAPE, np.nan)
    with pytest.raises(DataError, match=r"a\.nii: the map is constant"):
        first_grid([["a.nii"], ["b.nii"]], read, None)
    caplog.clear()
    with pytest.raises(DataError, match=r"a\.nii: the map is constant"):
        first_grid([["a.nii"]], read, None)
    assert caplog.text == ""
    with pytest.raises(DataError, match="no training maps"):
        first_grid([], read, None)


@pytest.mark.parametrize("shape", [SHAPE, (32, 32, 1)])
def test_the_grid_comes_back_from_its_file(tmp_path, shape):
    mask = np.random.default_rng(0).random(shape) > 0.5
    write_grid(tmp_path / "mask.nii.gz", Grid(mask, AFFINE))
    grid = read_grid(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(grid.mask, mask)
    np.testing.assert_array_equal(grid.affine, AFFINE)


@pytest.mark.parametrize(("precision", "rounding"), [("float16", 2.0**-11), ("float32", 2.0**-24)])
def test_stored_maps_are_z_scores_to_rounding(maps, store, precision, rounding):
    volumes = store(precision=precision)
    assert volumes.parts[0].dtype == precision
    for found, values in zip(volumes.take(range(3)), maps.values(), strict=True):
        expected = (values - values.sum() / values.size) / np.sqrt(((values - values.mean()) ** 2).sum() / values.size)
        np.testing.assert_allclose(found.astype(float), expected, rtol=1.01 * rounding)


def test_maps_are_stored_as_they_are_where_the_config_says_so(maps, store):
    found = store(standardize="none").take(range(3))
    np.testing.assert_array_equal(found, np.stack(list(maps.values())).astype("float32"))


def test_rows_keep_their_order_their_sample_numbers_and_their_checksums(store):
    table = store(images=("c.nii", "a.nii")).table
    assert table["image"].tolist() == ["c.nii", "a.nii"]
    assert table["sample"].tolist() == [10, 11]
    assert table["label"].tolist() == ["A", "A"]
    assert table["sha256"].tolist() == ["sum of c.nii", "sum of a.nii"]


def spoil_nan(values):
    values[1, 1, 2] = np.nan
    return values


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_nan, r"1 of 120 voxels are NaN or infinite"),
        (np.zeros_like, r"the map is constant"),
        (lambda values: values[:, :, 1:], r"grid \(4, 5, 5\) .* differs from the dataset's \(4, 5, 6\)"),
        (lambda values: values * 1e6, r"overflow float16. Set precision: float32"),
    ],
    ids=["NaN", "constant", "shape", "overflow"],
)
def test_a_bad_map_is_refused_by_name_and_leaves_no_file(tmp_path, maps, store, spoil, message):
    maps["c.nii"] = spoil(maps["c.nii"])
    with pytest.raises(DataError, match=rf"c\.nii: .*{message}"):
        store(standardize="none", precision="float16")
    assert written(tmp_path) == []


def test_a_map_with_another_affine_is_refused_by_name_and_leaves_no_file(tmp_path, maps, store):
    def read(image):
        return maps[image], AFFINE if image != "b.nii" else np.diag([2.0, 2, 2, 1]), ""

    with pytest.raises(DataError, match=r"b\.nii: grid"):
        store(read=read)
    assert written(tmp_path) == []


def test_an_error_keeps_the_files_of_the_last_run(tmp_path, maps, store):
    before = store().take([0, 1, 2])
    maps["c.nii"] = spoil_nan(maps["c.nii"])
    with pytest.raises(DataError):
        store()
    assert sorted(written(tmp_path)) == ["0.npy", "0.parquet", "0.skipped.tsv"]
    kept = read_volumes([tmp_path / "out/0.npy"], [tmp_path / "out/0.parquet"])
    np.testing.assert_array_equal(kept.take([0, 1, 2]), before)


def test_a_shard_without_subjects_is_refused(tmp_path, store):
    with pytest.raises(DataError, match="Lower `shards`"):
        store(images=())
    assert written(tmp_path) == []


PARTS = [np.random.default_rng(n).standard_normal((n, 2, 3)).astype("float16") for n in (3, 1, 4)]
SHARDS = Volumes(PARTS, pd.DataFrame({"sample": range(8)}))


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), max_size=12))
def test_taking_across_shards_is_indexing_their_concatenation(rows):
    found = SHARDS.take(rows)
    assert found.dtype == "float16"
    np.testing.assert_array_equal(found, np.concatenate(PARTS)[np.array(rows, dtype=int)])


@pytest.mark.parametrize("row", [8, 100, -9])
def test_a_row_that_does_not_exist_is_an_error_not_garbage(row):
    with pytest.raises(IndexError):
        SHARDS.take([0, row])


def test_shards_on_disk_are_mapped_and_their_rows_joined_in_order(tmp_path):
    for number, part in enumerate(PARTS):
        np.save(tmp_path / f"{number}.npy", part)
        pd.DataFrame({"sample": [10 * number + row for row in range(len(part))]}).to_parquet(tmp_path / f"{number}.pq")
    volumes = read_volumes(
        [tmp_path / f"{n}.npy" for n in range(3)],
        [tmp_path / f"{n}.pq" for n in range(3)],
    )
    assert all(isinstance(part, np.memmap) for part in volumes.parts)
    assert (len(volumes), volumes.shape) == (8, (2, 3))
    assert volumes.table["sample"].tolist() == [0, 1, 2, 10, 20, 21, 22, 23]
    assert volumes.table.index.tolist() == list(range(8))
    np.testing.assert_array_equal(volumes.take(range(8)), np.concatenate(PARTS))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"(3, 4, 5, 6)", b"(9, 4, 5, 6)"),
        lambda content: content.replace(b"(3, 4, 5, 6), }       ", b"(3000000000, 4, 5, 6)}"),
        lambda content: content.replace(b"(3, 4, 5, 6)", b"(2, 4, 5, 6)"),
        lambda content: b"\x93NUMPY\x01\x00\xff\xff",
        lambda content: b"",
    ],
    ids=["cut", "claims more", "claims gigabytes", "fewer than rows", "header alone", "empty"],
)
def test_a_damaged_array_is_refused_by_name(tmp_path, store, spoil):
    store()
    path = tmp_path / "out/0.npy"
    content = spoil(path.read_bytes())
    assert content != path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"0\.npy \(or 0\.parquet\): damaged .*Delete both"):
        read_volumes([path], [tmp_path / "out/0.parquet"])


def test_a_damaged_table_is_refused_by_name(tmp_path, store):
    store()
    path = tmp_path / "out/0.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"0\.npy \(or 0\.parquet\): damaged"):
        read_volumes([tmp_path / "out/0.npy"], [path])


def test_a_damaged_mask_is_refused_by_name(tmp_path):
    write_grid(tmp_path / "mask.nii.gz", GRID)
    (tmp_path / "mask.nii.gz").write_bytes((tmp_path / "mask.nii.gz").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"mask\.nii\.gz: "):
        read_grid(tmp_path / "mask.nii.gz")
