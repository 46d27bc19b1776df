import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from truemap.data import maps as maps_module
from truemap.data.maps import MapWriter, is_brain, is_signed, on_grid, read_blocks, read_rows
from truemap.runtime.files import DataError

VOXELS = 11


@pytest.fixture
def blocks():
    random = np.random.default_rng(0)
    return [
        (
            pd.DataFrame({"sample": np.arange(rows), "label": [f"{subject}-é"] * rows, "negated": [True] * rows}),
            random.standard_normal((rows, VOXELS)),
        )
        for subject, rows in [("a", 3), ("b", 1), ("c", 5)]
    ]


@pytest.fixture
def write(tmp_path, blocks):
    def to(dtype):
        with MapWriter(tmp_path / "maps.parquet", VOXELS, dtype) as writer:
            for rows, maps in blocks:
                writer.write(rows, maps)
        return tmp_path / "maps.parquet"

    return to


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_blocks_come_back_as_they_were_written_in_the_stored_type(write, blocks, dtype):
    found = list(read_blocks(write(dtype)))
    assert len(found) == len(blocks)
    for (rows, maps), (written_rows, written_maps) in zip(found, blocks, strict=True):
        pd.testing.assert_frame_equal(rows, written_rows, check_dtype=False)
        assert maps.dtype == dtype
        np.testing.assert_array_equal(maps, written_maps.astype(dtype))


def test_a_block_of_many_values_is_several_row_groups_and_comes_back_whole(write, blocks, monkeypatch):
    monkeypatch.setattr(maps_module, "GROUP", 2 * VOXELS + 3)
    path = write("float32")
    with pq.ParquetFile(path) as file:
        assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [2, 1, 1, 2, 2, 1]
    assert [len(rows) for rows in read_rows(path)] == [3, 1, 5] == [len(rows) for rows, _ in read_blocks(path)]
    ((rows, maps),) = read_blocks(path, [2])
    pd.testing.assert_frame_equal(rows, blocks[2][0], check_dtype=False)
    np.testing.assert_array_equal(maps, blocks[2][1].astype("float32"))


#: Writes and reads a block of 60 maps of 10,000 voxels, in row groups of so many values, and says what Arrow held.
HELD = """
import sys
import numpy as np, pandas as pd, pyarrow as pa
from truemap.data import maps
maps.GROUP = int(sys.argv[2])
with maps.MapWriter(sys.argv[1], 10_000, "float16") as writer:
    writer.write(pd.DataFrame({"sample": range(60)}), np.ones((60, 10_000)))
for _ in maps.read_blocks(sys.argv[1]):
    print(pa.default_memory_pool().max_memory())
"""


def test_what_parquet_takes_beside_a_block_does_not_grow_with_it(tmp_path):
    own, whole = (
        int(subprocess.run([sys.executable, "-c", HELD, tmp_path / "maps.parquet", str(group)], check=True, text=True,
                           env={**os.environ, "PYTHONPATH": str(Path(maps_module.__file__).parents[2])},
                           stdout=subprocess.PIPE).stdout)
        for group in (50_000, 600_000)
    )  # fmt: skip
    # Some twenty bytes a value, of a row group and not of the block.
    assert own < 40 * 50_000 < whole


def test_each_block_is_one_row_group_of_fixed_size_lists(write):
    with pq.ParquetFile(write("float16")) as file:
        assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [3, 1, 5]
        assert file.schema_arrow.field("map").type == pa.list_(pa.float16(), VOXELS)


def test_pyarrow_alone_reads_the_same_maps(write, blocks):
    column = pq.read_table(write("float32")).column("map").to_pylist()
    np.testing.assert_array_equal(np.array(column, "float32"), np.concatenate([m for _, m in blocks]).astype("float32"))


def test_maps_that_are_views_of_larger_arrays_are_stored_right(tmp_path):
    large = np.arange(4 * 2 * VOXELS, dtype="float32").reshape(4, 2 * VOXELS)
    with MapWriter(tmp_path / "maps.parquet", VOXELS, "float32") as writer:
        writer.write(pd.DataFrame({"sample": range(4)}), large[:, ::2])
    ((_, maps),) = read_blocks(tmp_path / "maps.parquet")
    np.testing.assert_array_equal(maps, large[:, ::2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e6])
@pytest.mark.parametrize("inside", [None, np.array([True, False, True, True])])
def test_a_map_that_the_type_does_not_hold_is_refused_and_named(tmp_path, value, inside):
    maps = np.array([[0.5, 1.0, 0.2, 0.1], [0.1, 0.2, value, 0.3]])
    rows = pd.DataFrame({"sample": [7, 9], "target": ["A", "B"]})
    with MapWriter(tmp_path / "maps.parquet", 4, "float16", inside) as writer:
        with pytest.raises(DataError, match=r"1 of 2 maps .*'sample': 9, 'target': 'B'"):
            writer.write(rows, maps)
        writer.write(rows[:1], maps[:1])


@pytest.mark.parametrize(("flat", "warned"), [(1e-4, 1), (0.3, 0), (0.0, 0)])
def test_maps_too_flat_for_their_type_are_warned_of(tmp_path, caplog, flat, warned):
    maps = 1 + flat * np.random.default_rng(0).standard_normal((1, 50))
    with MapWriter(tmp_path / "maps.parquet", 50, "float16") as writer:
        writer.write(pd.DataFrame({"sample": [0]}), maps)
    assert caplog.text.count("1 maps are so flat that rounding to float16") == warned


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    """One bit of a value."""
    place = content.index(np.float16(0.125).tobytes() * 5) + 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def claim(content):
    """A footer of 2 GB."""
    return content[:-8] + (2**31 - 1).to_bytes(4, "little") + content[-4:]


@pytest.mark.parametrize("spoil", [cut, flip, claim, lambda content: b"", lambda content: b"PAR1" * 100])
def test_a_damaged_file_is_refused_by_name(tmp_path, spoil):
    path = tmp_path / "maps.parquet"
    with MapWriter(path, VOXELS, "float16") as writer:
        writer.write(pd.DataFrame({"sample": [0]}), np.full((1, VOXELS), 0.125))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"maps\.parquet: damaged, or no file of maps .*Delete it"):
        list(read_blocks(path))


def test_a_file_that_claims_more_than_it_has_bytes_is_refused_before_it_is_unpacked(tmp_path):
    """64 MB of zeros in a few kB."""
    maps = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(1 << 24, "float32")), 1 << 20)
    pq.write_table(pa.table({"sample": range(16), "map": maps}), tmp_path / "maps.parquet", compression="zstd")
    before = pa.total_allocated_bytes()
    del maps
    for read in (lambda path: list(read_blocks(path)), is_signed, is_brain):
        with pytest.raises(DataError, match="claims to hold more than it has bytes"):
            read(tmp_path / "maps.parquet")
    assert pa.total_allocated_bytes() <= before


def test_a_table_without_maps_is_refused(tmp_path):
    pd.DataFrame({"sample": [0]}).to_parquet(tmp_path / "maps.parquet")
    with pytest.raises(DataError, match="no file of maps"):
        list(read_blocks(tmp_path / "maps.parquet"))


@pytest.mark.parametrize("last", [-1e-30, -0.0, 0.0, 2.0])
def test_a_file_is_signed_if_any_of_its_maps_has_a_negative_value(tmp_path, last):
    """Before rounding: 1e-30 is no number of float16."""
    blocks = [np.full((2, VOXELS), 0.5), np.full((3, VOXELS), 0.5), np.full((1, VOXELS), 0.5)]
    blocks[1][2, 7] = last
    with MapWriter(tmp_path / "maps.parquet", VOXELS, "float16") as writer:
        for maps in blocks:
            writer.write(pd.DataFrame({"sample": range(len(maps))}), maps)
    assert is_signed(tmp_path / "maps.parquet") == (last < 0)


def test_maps_of_another_size_or_number_are_refused(tmp_path):
    with MapWriter(tmp_path / "maps.parquet", VOXELS, "float16") as writer:
        for shape in [(2, VOXELS + 1), (3, VOXELS)]:
            with pytest.raises((ValueError, pa.ArrowInvalid)):
                writer.write(pd.DataFrame({"sample": [0, 1]}), np.zeros(shape))


INSIDE = np.array([1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1], bool)


def test_a_file_of_the_brain_holds_its_voxels_and_says_so(tmp_path, write, blocks):
    with MapWriter(tmp_path / "brain.parquet", VOXELS, "float16", INSIDE) as writer:
        for rows, maps in blocks:
            writer.write(rows, maps)
    whole = write("float16")
    assert (is_brain(tmp_path / "brain.parquet"), is_brain(whole)) == (True, False)
    pairs = zip(read_blocks(whole), read_blocks(tmp_path / "brain.parquet"), strict=True)
    for (rows, maps), (brain_rows, brain) in pairs:
        pd.testing.assert_frame_equal(rows, brain_rows)
        assert brain.dtype == np.float16
        np.testing.assert_array_equal(brain, maps[:, INSIDE])
        np.testing.assert_array_equal(on_grid(brain, INSIDE), np.where(INSIDE, maps, 0))
        assert on_grid(brain, INSIDE).dtype == np.float16


def test_a_mask_of_all_voxels_is_a_brain_too(tmp_path):
    with MapWriter(tmp_path / "maps.parquet", VOXELS, "float32", np.ones(VOXELS, bool)) as writer:
        writer.write(pd.DataFrame({"sample": [0]}), np.ones((1, VOXELS)))
    assert is_brain(tmp_path / "maps.parquet")


def test_signs_outside_the_brain_count_though_they_are_not_stored(tmp_path):
    """Scores in the brain are then made the same way whatever is stored."""
    with MapWriter(tmp_path / "maps.parquet", VOXELS, "float16", INSIDE) as writer:
        writer.write(pd.DataFrame({"sample": [0]}), np.where(INSIDE, 1.0, -1.0)[None])
    assert is_signed(tmp_path / "maps.parquet")


@pytest.mark.parametrize("size", [VOXELS + 1, INSIDE.sum()])
def test_maps_that_do_not_fit_the_mask_are_refused(tmp_path, size):
    with MapWriter(tmp_path / "maps.parquet", VOXELS, "float16", INSIDE) as writer, pytest.raises(IndexError):
        writer.write(pd.DataFrame({"sample": [0]}), np.zeros((1, size)))


def test_a_fault_after_the_first_row_group_is_said_as_it_is(tmp_path, monkeypatch):
    """Closing a file of which no block is whole must not put an error of its own in its place."""
    monkeypatch.setattr(maps_module, "GROUP", 4)
    rows = pd.DataFrame({"sample": [1, 2], "target": ["a", "b"]})
    with pytest.raises(DataError, match="NaN"), MapWriter(tmp_path / "a.parquet", 4, "float16") as writer:
        writer.write(rows, np.array([[1.0, 2, 3, 4], [1.0, np.nan, 3, 4]]))
