import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.files import DataError, SourceError
from truemap.store import write_volumes
from truemap.volumes import BadMap, Grid, Volumes, find_grid, first_grid, read_grid, read_volumes, usable, write_grid

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
    assert "on different grids ((3, 5, 6): 1, (4, 5, 6): 2)" in caplog.text


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
