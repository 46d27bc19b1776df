import numpy as np
import pandas as pd
import pytest
from held import most_held
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.data.background import BLOCK, read_background, write_background
from truemap.data.volumes import Volumes, read_volumes
from truemap.runtime.files import DataError

SHAPE = (2, 3, 4)
VOXELS = 24


def volumes_of(labels, negated=False, dtype="float32", shards=1, seed=0, maps=None):
    """Maps that are far from centred, in shards of about the same size."""
    random = np.random.default_rng(seed)
    maps = (random.standard_normal((len(labels), *SHAPE)) + 0.7).astype(dtype) if maps is None else maps
    table = pd.DataFrame({"sample": range(len(labels)), "subject": "s1", "label": list(labels), "negated": negated})
    return Volumes(np.array_split(maps, shards), table)


def background_of(path, volumes):
    write_background(path / "background.parquet", volumes)
    return read_background(path / "background.parquet")


def flat(volumes):
    return np.concatenate(volumes.parts).reshape(len(volumes), -1).astype(np.float64)


def test_means_are_numpys_by_condition_set_and_class(tmp_path):
    negated = [False, True, False, False, True, True, False, False]
    volumes = volumes_of("abcabcab", negated)
    maps, labels, negated = flat(volumes), np.array(list("abcabcab")), np.array(negated)
    found = background_of(tmp_path, volumes)
    assert list(found.means) == ["all", "no_negated"]
    for conditions, kept in (("all", negated | True), ("no_negated", ~negated)):
        assert list(found.means[conditions]) == ["a", "b", "c"]
        for label, mean in found.means[conditions].items():
            assert mean.dtype == np.float64
            np.testing.assert_allclose(mean, maps[kept & (labels == label)].mean(axis=0), atol=2e-7)


def test_without_negated_maps_the_set_without_them_is_the_set_of_all(tmp_path):
    """Training maps may have no negated ones where test maps have some."""
    found = background_of(tmp_path, volumes_of("ab"))
    for label in "ab":
        np.testing.assert_array_equal(found.means["no_negated"][label], found.means["all"][label])
    np.testing.assert_array_equal(found.averages["no_negated"], found.averages["all"])


def test_a_class_of_negated_maps_only_is_in_the_set_of_all_conditions_only(tmp_path):
    volumes = volumes_of("abcab", [False, True, False, False, True])
    found = background_of(tmp_path, volumes)
    assert {name: list(means) for name, means in found.means.items()} == {
        "all": ["a", "b", "c"], "no_negated": ["a", "c"]
    }  # fmt: skip
    np.testing.assert_allclose(found.means["all"]["b"], flat(volumes)[[1, 4]].mean(axis=0), atol=2e-7)
    np.testing.assert_allclose(found.means["no_negated"]["c"], flat(volumes)[2], atol=2e-7)
    np.testing.assert_allclose(found.mean, flat(volumes).mean(axis=0), atol=2e-7)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=40), st.integers(0, 9))
def test_mean_is_of_all_maps_however_many_each_class_has(tmp_path_factory, labels, seed):
    """Not of class means; and the range is that of single voxels."""
    random = np.random.default_rng(seed)
    volumes = volumes_of(labels, random.random(len(labels)) < 0.3, seed=seed)
    found = background_of(tmp_path_factory.mktemp("background"), volumes)
    np.testing.assert_allclose(found.mean, flat(volumes).mean(axis=0), atol=3e-7)
    assert (found.low, found.high) == (flat(volumes).min(), flat(volumes).max())


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 1])
def test_the_range_is_of_every_block(tmp_path, place):
    maps = np.zeros((2 * BLOCK + 2, *SHAPE), dtype=np.float16)
    maps[place, 1, 2, 3], maps[-1 - place, 0, 0, 1] = 37.5, -41.25
    found = background_of(tmp_path, volumes_of(["a"] * len(maps), maps=maps))
    assert (found.low, found.high) == (-41.25, 37.5)


def test_blocks_of_maps_make_the_same_mean_as_all_at_once(tmp_path):
    volumes = volumes_of("abc" * BLOCK, [k % 5 == 0 for k in range(3 * BLOCK)], shards=7)
    found = background_of(tmp_path, volumes)
    for k, label in enumerate("abc"):
        np.testing.assert_allclose(found.means["all"][label], flat(volumes)[k::3].mean(axis=0), atol=2e-7)


def test_a_block_is_held_in_its_stored_type(tmp_path):
    maps, voxels = np.ones((BLOCK, 20_000, 1, 1), np.float16), 20_000
    table = pd.DataFrame({"label": ["a", "b"] * (BLOCK // 2), "negated": False, "sample": range(BLOCK)})
    volumes = Volumes([maps], table)
    # The block, a class of it, and sums, means and what is written of both classes.
    most = 1.5 * maps.nbytes + 12 * 8 * voxels
    assert most_held(lambda: write_background(tmp_path / "background.parquet", volumes)) < most < 4 * maps.nbytes


def test_shards_may_come_in_any_order(tmp_path):
    whole = volumes_of("abcabcabca", [k % 3 == 1 for k in range(10)])
    first = background_of(tmp_path, whole)
    files = []
    for number, rows in enumerate(([7, 1], [9, 0, 4, 5], [2, 3, 8, 6])):
        files.append((tmp_path / f"{number}.npy", tmp_path / f"{number}.parquet"))
        np.save(files[-1][0], whole.parts[0][rows])
        whole.table.iloc[rows].to_parquet(files[-1][1], index=False)
    for order in ([0, 1, 2], [2, 0, 1]):
        found = background_of(tmp_path, read_volumes(*zip(*(files[k] for k in order), strict=True)))
        assert (found.low, found.high) == (first.low, first.high)
        np.testing.assert_allclose(found.mean, first.mean, atol=1e-7)
        for conditions, means in first.means.items():
            assert list(found.means[conditions]) == list(means)
            for label, mean in means.items():
                np.testing.assert_allclose(found.means[conditions][label], mean, atol=1e-7)


def test_float16_maps_are_summed_in_float64(tmp_path):
    """4096 times 20 is more than float16 can hold."""
    maps = np.full((4096, *SHAPE), 20.0, dtype=np.float16)
    maps[0] = np.arange(VOXELS).reshape(SHAPE)
    found = background_of(tmp_path, volumes_of(["a"] * 4096, maps=maps))
    expected = (20.0 * 4095 + np.arange(VOXELS)) / 4096
    np.testing.assert_allclose(found.means["all"]["a"], expected, rtol=1e-7)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-7)


def test_reading_gives_what_was_written_to_the_last_bit_of_float32(tmp_path):
    volumes = volumes_of("ab")
    found = background_of(tmp_path, volumes)
    for number, label in enumerate("ab"):
        np.testing.assert_array_equal(found.means["all"][label], flat(volumes)[number])
    again = read_background(tmp_path / "background.parquet")
    np.testing.assert_array_equal(again.mean, found.mean)


def test_chosen_conditions_have_a_file_of_their_own_that_is_read_beside_the_other(tmp_path):
    volumes = volumes_of("abcabcab", [k == 3 for k in range(8)])
    volumes.table["condition"] = ["A1", "B1", "C1", "A2", "B2", "C1", "A1", "B1"]
    first = background_of(tmp_path, volumes)
    write_background(tmp_path / "chosen.parquet", volumes, ["A1", "B2", "A2"])
    found = read_background(tmp_path / "background.parquet", tmp_path / "chosen.parquet")
    assert list(found.means) == ["all", "no_negated", "chosen"]
    assert list(found.means["chosen"]) == ["a", "b"]
    np.testing.assert_allclose(found.means["chosen"]["a"], flat(volumes)[[0, 3, 6]].mean(axis=0), atol=2e-7)
    np.testing.assert_allclose(found.means["chosen"]["b"], flat(volumes)[4], atol=2e-7)
    for conditions, means in first.means.items():
        for label, mean in means.items():
            np.testing.assert_array_equal(found.means[conditions][label], mean)
    np.testing.assert_array_equal(found.mean, first.mean)
    assert (found.low, found.high) == (first.low, first.high)


def test_chosen_conditions_that_the_training_maps_lack_are_refused(tmp_path):
    volumes = volumes_of("ab")
    volumes.table["condition"] = ["LEFT", "RIGHT"]
    with pytest.raises(DataError, match="did you mean 'RIGHT'"):
        write_background(tmp_path / "chosen.parquet", volumes, ["LEFT", "RIGT"])
