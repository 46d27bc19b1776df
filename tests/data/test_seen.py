import hashlib
import os
import stat
from pathlib import Path

import pytest

from truemap.data import seen


@pytest.fixture
def files(tmp_path):
    names = []
    for name in ("a", "b", "tab\tand\nline"):
        path = tmp_path / name
        path.write_text(f"map {name}")
        names.append(str(path))
    return names


def test_a_file_is_known_by_its_content(files):
    found = seen.look(files)
    assert [sum_ for _, sum_ in found.values()] == [hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in files]


def test_the_list_is_read_as_it_was_written_and_only_its_owner_may(files, tmp_path):
    found = seen.look([*files, str(tmp_path / "gone"), f"{tmp_path}/", "s3://b/x"], None, {"s3://b/x": "etag:1"})
    place = tmp_path / "private/seen.tsv"
    seen.write(place, found)
    assert seen.read(place) == found
    assert found["s3://b/x"] == (None, "etag:1")
    assert found[str(tmp_path / "gone")] == (None, "")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert seen.read(tmp_path / "none.tsv") is None


def rewrite(path: Path) -> None:
    path.write_text("MAP a")


def rewrite_with_its_old_time(path: Path) -> None:
    before = path.stat()
    path.write_text("MAP a")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange_for_an_older_one(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("MAP a")
    os.utime(other, (0, 0))
    other.replace(path)


def remove(path: Path) -> None:
    path.unlink()


def exchange_for_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "change", [rewrite, rewrite_with_its_old_time, exchange_for_an_older_one, remove, exchange_for_a_folder]
)
def test_other_content_of_the_same_size_is_noticed_whatever_its_time(files, change):
    before = seen.look(files)
    change(Path(files[0]))
    now = seen.look(before, before)
    assert seen.changed(before, now) == [files[0]]


def test_a_touch_changes_nothing_and_is_read_once(files, monkeypatch):
    before = seen.look(files)
    for file in files:
        os.utime(file, (1e9, 1e9))
    now = seen.look(before, before)
    assert seen.changed(before, now) == []
    assert now != before
    monkeypatch.setattr(seen, "checksum", lambda path: pytest.fail("read again"))
    assert seen.look(now, now) == now


def test_a_missing_file_that_comes_is_noticed(files, tmp_path):
    before = seen.look([*files, str(tmp_path / "late")])
    (tmp_path / "late").write_text("here")
    assert seen.changed(before, seen.look(before, before)) == [str(tmp_path / "late")]


def test_of_a_folder_the_names_of_its_folders_count(tmp_path):
    (tmp_path / "100307").mkdir()
    before = seen.look([f"{tmp_path}/"])
    (tmp_path / "notes.txt").write_text("no subject")
    assert seen.changed(before, seen.look(before, before)) == []
    (tmp_path / "100408").mkdir()
    assert seen.changed(before, seen.look(before, before)) == [f"{tmp_path}/"]


def test_a_remote_file_is_known_by_what_the_server_says():
    before = seen.look(["s3://b/x", "s3://b/y"], None, {"s3://b/x": "etag:1", "s3://b/y": "etag:2"})
    now = seen.look(before, before, {"s3://b/x": "etag:1"})
    assert seen.changed(before, now) == ["s3://b/y"]


def test_a_list_that_was_cut_off_is_none(tmp_path):
    place = tmp_path / "seen.tsv"
    seen.write(place, {"a.nii": ([1, 2, 3, 4], "abc"), "b.nii": ([1, 2, 3, 4], "abc")})
    for end in (-5, -9):
        (tmp_path / "cut.tsv").write_bytes(place.read_bytes()[:end])
        assert seen.read(tmp_path / "cut.tsv") is None
