import gzip
import io

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from truemap.data.grid import Grid
from truemap.data.ingest import SKIPPED, _write_header, write_skipped, write_volumes
from truemap.data.nifti import read_map
from truemap.data.volumes import read_volumes
from truemap.runtime.files import DataError

SHAPE = (4, 5, 6)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
GRID = Grid(np.ones(SHAPE, dtype=bool), AFFINE)
SUBJECTS = [f"s{number}" for number in range(5)]


@pytest.fixture
def rows(tmp_path):
    """Rows of five subjects with a map of each of two classes, with their files."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        [
            {"image": str(tmp_path / f"{subject}-{label}.nii.gz"), "subject": subject, "label": label}
            for subject in SUBJECTS
            for label in "AB"
        ],
        index=range(20, 30),
    )
    for image in table["image"]:
        save(image, random.normal(size=SHAPE))
    return table


@pytest.fixture
def store(tmp_path):
    """Write a shard; return its files."""

    def stored(rows, skip=True, read=read_map, number=0, **options):
        files = [tmp_path / f"out/{number}.{ending}" for ending in ("npy", "parquet", "skipped.tsv")]
        options = {"standardize": "volume", "precision": "float32", **options}
        write_volumes(*files, rows, read, GRID, **options, on_bad_subject="skip" if skip else "stop")
        return files

    return stored


def save(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine), path)


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def spoil_nan(path):
    values = np.random.default_rng(1).normal(size=SHAPE)
    values[0, 0, 0] = np.nan
    save(path, values)


OTHER = np.random.default_rng(2).normal(size=SHAPE)


def bomb():
    """A map of this grid, and 8 MB of zeros."""
    return gzip.compress(nib.Nifti1Image(OTHER.astype("float32"), AFFINE).to_bytes() + bytes(1 << 23))


SPOILT = pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncate, "truncated or unreadable"),
        (lambda path: path.unlink(), "no such file"),
        (spoil_nan, "1 of 120 voxels are NaN"),
        (lambda path: save(path, np.ones(SHAPE)), "the map is constant"),
        (lambda path: path.write_bytes(bomb()), "holds more than the 832 bytes"),
        (lambda path: save(path, np.where(np.arange(6) > 4, -3e38, OTHER)), "as far off as -3e+38"),
        (lambda path: path.write_bytes(b"/annex/objects/MD5E-s1--0.nii.gz"), "datalad get"),
        (lambda path: save(path, np.random.default_rng(1).normal(size=(4, 5, 7))), "grid (4, 5, 7)"),
        (lambda path: save(path, np.random.default_rng(1).normal(size=SHAPE), np.eye(4)), "[1.0, 1.0, 1.0] mm"),
    ],
    ids=["truncated", "missing", "NaN", "constant", "bomb", "sentinel", "pointer", "shape", "affine"],
)


def skipped_of(file):
    return pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)


@SPOILT
@pytest.mark.parametrize("bad", [0, 5, 9], ids=["first", "middle", "last"])
def test_a_bad_subject_is_left_out_as_a_whole_and_listed(rows, store, tmp_path, caplog, spoil, reason, bad):
    whole = read_volumes(*([file] for file in store(rows)[:2]))
    spoil(tmp_path / rows["image"].iloc[bad].rpartition("/")[2])
    *files, skipped = store(rows)
    found = read_volumes(*([file] for file in files))
    kept = np.flatnonzero(rows["subject"] != rows["subject"].iloc[bad])
    pd.testing.assert_frame_equal(found.table, whole.table.iloc[kept].reset_index(drop=True))
    assert found.table["sample"].tolist() == rows.index[kept].tolist()
    np.testing.assert_array_equal(np.load(files[0]), whole.take(kept))
    listed = skipped_of(skipped)
    assert listed.columns.tolist() == SKIPPED
    assert listed[["subject", "image"]].to_numpy().tolist() == [rows[["subject", "image"]].iloc[bad].tolist()]
    assert reason in listed["reason"].item()
    assert caplog.text.count("left out") == 1
    assert reason in caplog.text


@SPOILT
def test_without_skip_a_bad_map_stops_and_leaves_nothing(rows, store, tmp_path, spoil, reason):
    spoil(tmp_path / "s4-B.nii.gz")
    with pytest.raises(DataError) as caught:
        store(rows, skip=False)
    assert reason in str(caught.value)
    assert "s4-B.nii.gz: " in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_where_nothing_is_bad_skip_and_stop_store_the_same(rows, store):
    skip, stop = ([file.read_bytes() for file in store(rows, skip)] for skip in (True, False))
    assert skip[0] == stop[0]
    assert skip[2] == stop[2] == b"subject\timage\treason\n"


class Watched:
    """A map that says when it is written."""

    def __init__(self, events):
        self.events = events

    @property
    def data(self):
        self.events.append("write")
        return bytes(4 * int(np.prod(SHAPE)))


def test_a_subjects_maps_are_read_before_one_is_written_and_no_other_subjects(rows, store, monkeypatch):
    events = []

    def converted(*_):
        events.append("read")
        return Watched(events), ""

    monkeypatch.setattr("truemap.data.ingest._converted", converted)
    store(rows)
    assert events == ["read", "read", "write", "write"] * 5
    events.clear()
    store(rows, skip=False)
    assert events == ["read", "write"] * 10


def test_without_subjects_a_bad_map_is_left_out_by_itself(rows, store, tmp_path):
    truncate(tmp_path / "s1-A.nii.gz")
    *files, skipped = store(rows.assign(subject=""))
    assert read_volumes(*([file] for file in files)).table["sample"].tolist() == [n for n in rows.index if n != 22]
    assert skipped_of(skipped)["subject"].tolist() == [""]


def test_a_value_too_large_for_the_precision_is_no_subjects_fault(rows, store, tmp_path):
    save(tmp_path / "s1-A.nii.gz", 1e6 * np.random.default_rng(0).normal(size=SHAPE))
    with pytest.raises(DataError, match=r"overflow float16\. Set precision: float32"):
        store(rows, standardize="none", precision="float16")


@pytest.mark.parametrize(
    ("scale", "precision", "remedy"), [(1e-9, "float16", "float32"), (1e-50, "float32", "Multiply")]
)
def test_values_that_vanish_are_no_subjects_fault_and_not_stored(rows, store, tmp_path, scale, precision, remedy):
    def read(image):
        return scale * np.random.default_rng(0).normal(size=SHAPE), AFFINE, ""

    with pytest.raises(DataError, match=rf"100\.0% of those that are not 0 become 0.*{remedy}.*standardize: volume"):
        store(rows, read=read, standardize="none", precision=precision)
    assert list((tmp_path / "out").iterdir()) == []
    store(rows, read=read, precision=precision)


@pytest.mark.parametrize("most", [1, 9, 10, 24_125, 10**6, 10**12])
def test_the_header_of_fewer_maps_is_as_long(most):
    """The array's header is written again where subjects were left out."""
    ends = [_write_header(io.BytesIO(), (count, 91, 109, 91), "float16") for count in (0, most // 2, most)]
    assert len(set(ends)) == 1


def test_a_header_that_would_not_fit_is_an_error_also_without_assertions(rows, store, monkeypatch, tmp_path):
    ends = iter([128, 192])
    monkeypatch.setattr("truemap.data.ingest._write_header", lambda *_: next(ends))
    with pytest.raises(RuntimeError, match="not as long"):
        store(rows)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_shard_may_be_left_empty_but_no_class_of_a_split(rows, store, tmp_path):
    for image in rows["image"].iloc[:4]:
        truncate(tmp_path / image.rpartition("/")[2])
    shards = [store(rows.iloc[:4], number=0), store(rows.iloc[4:], number=1)]
    arrays, tables, lists = zip(*shards, strict=True)
    found = read_volumes(arrays, tables)
    assert found.table["sample"].tolist() == rows.index[4:].tolist()
    assert found.table.dtypes.equals(read_volumes(arrays[1:], tables[1:]).table.dtypes)
    np.testing.assert_array_equal(found.take(range(6)), np.load(arrays[1]))
    assert len(skipped_of(lists[0])) == 2
    with pytest.raises(DataError, match=r"out: no subject with a map of A, B is left\. .*skipped\.tsv"):
        read_volumes(arrays[:1], tables[:1])


def test_a_class_whose_subjects_are_all_left_out_is_refused(rows, store, tmp_path):
    only = rows.assign(label=["C" if subject in ("s0", "s3") else "A" for subject in rows["subject"]])
    truncate(tmp_path / "s0-A.nii.gz")
    *files, _ = store(only)
    assert set(read_volumes(*([file] for file in files)).table["label"]) == {"A", "C"}
    truncate(tmp_path / "s3-B.nii.gz")
    *files, _ = store(only)
    with pytest.raises(DataError, match="no subject with a map of C is left"):
        read_volumes(*([file] for file in files))


def test_the_list_of_what_was_left_out_survives_odd_words(tmp_path):
    write_skipped(tmp_path / "a.tsv", [("NA", "", "a\ttab")])
    assert skipped_of(tmp_path / "a.tsv").to_numpy().tolist() == [["NA", "", "a\ttab"]]
