import errno
import hashlib
import logging
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scripted
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.networks import _decoder as decoder
from truemap.runtime.files import DataError
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.privacy import Scrubber, pseudonym, pseudonyms, read_salt, write_private

quick = settings(deadline=None, max_examples=60)
SALT = "0123abcd"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_salt_is_drawn_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "private/salt"
    salt = read_salt(path)
    assert len(bytes.fromhex(salt)) == 32
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert read_salt(path) == salt
    assert [file.name for file in path.parent.iterdir()] == ["salt"]
    assert read_salt(tmp_path / "other/salt") != salt


def test_a_salt_that_is_there_is_never_written(tmp_path):
    path = tmp_path / "salt"
    path.write_text("mine\n")
    path.chmod(0o444)
    before = path.stat()
    assert read_salt(path) == "mine"
    assert (path.read_text(), path.stat().st_mtime_ns, path.stat().st_ino) == (
        "mine\n",
        before.st_mtime_ns,
        before.st_ino,
    )


def test_an_empty_salt_is_refused_and_kept(tmp_path):
    path = tmp_path / "salt"
    path.touch()
    with pytest.raises(DataError, match="salt: empty"):
        read_salt(path)
    assert path.read_text() == ""


def test_jobs_that_begin_at_the_same_time_have_one_salt(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        salts = list(pool.map(lambda _: read_salt(tmp_path / "private/salt"), range(64)))
    assert len(set(salts)) == 1
    assert [file.name for file in (tmp_path / "private").iterdir()] == ["salt"]


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS, errno.EACCES, errno.EMLINK])
def test_without_hard_links_too_jobs_have_one_salt_that_its_owner_alone_reads(tmp_path, monkeypatch, code):
    def refuse(*names, **keys):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "private/salt"
    with ThreadPoolExecutor(16) as pool:
        (salt,) = set(pool.map(lambda _: read_salt(path), range(64)))
    assert len(bytes.fromhex(salt)) == 32
    assert mode(path) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["salt"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o027])
def test_private_folders_are_shut_whoever_made_them(tmp_path, caplog, umask):
    before = os.umask(umask)
    try:
        (tmp_path / "private/hcp").mkdir(parents=True)
        (tmp_path / "private/other").mkdir()
        read_salt(tmp_path / "private/salt")
        write_private(tmp_path / "private/hcp/images.tsv", ("a",), [("b",)])
        write_private(tmp_path / "private/new/images.tsv", ("a",), [("b",)])
    finally:
        os.umask(before)
    folders = ("private", "private/hcp", "private/new")
    assert [mode(tmp_path / folder) for folder in folders] == [0o700] * 3
    assert [mode(file) for file in (tmp_path / "private").rglob("*") if file.is_file()] == [0o600] * 3
    # Nothing was in them that anybody could have read.
    assert caplog.text == ""


def test_a_private_folder_that_others_could_read_is_mended_and_that_is_said(tmp_path, caplog):
    path = tmp_path / "private/hcp/images.tsv"
    write_private(path, ("a",), [("b",)])
    path.parent.chmod(0o755)
    path.parent.parent.chmod(0o750)
    before = mode(tmp_path)
    write_private(path, ("a",), [("c",)])
    assert [mode(folder) for folder in path.parents[:3]] == [0o700, 0o700, before]
    assert [f"{folder}: others could read" in caplog.text for folder in path.parents[:3]] == [True, True, False]


def test_permissions_that_cannot_be_set_are_said(tmp_path, caplog, monkeypatch):
    """As on exFAT, or in a folder of somebody else's."""
    (tmp_path / "private").mkdir(mode=0o755)
    monkeypatch.setattr(Path, "chmod", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert read_salt(tmp_path / "private/salt")
    assert "private: others may read this folder, and its permissions cannot be changed here" in caplog.text


def test_a_pseudonym_is_a_hash_of_salt_and_subject():
    assert pseudonym(SALT, "100307") == "sub-" + hashlib.sha256(b"0123abcd100307").hexdigest()[:8]
    assert pseudonym(SALT, "100307") != pseudonym("other", "100307")


@quick
@given(st.sets(st.text("0123456789", min_size=1, max_size=6), max_size=60), st.integers(1, 8))
def test_no_two_subjects_have_one_pseudonym_however_few_digits(subjects, digits):
    names = pseudonyms(SALT, subjects, digits)
    assert set(names) == subjects
    assert len(set(names.values())) == len(subjects)
    lengths = {len(name) for name in names.values()}
    assert len(lengths) <= 1
    assert all(name == pseudonym(SALT, subject, len(name) - 4) for subject, name in names.items())
    assert names == pseudonyms(SALT, [*sorted(subjects, reverse=True), *subjects], digits)


def test_pseudonyms_have_eight_digits_where_that_is_enough():
    names = pseudonyms(SALT, [str(100_000 + n) for n in range(1000)])
    assert {len(name) for name in names.values()} == {4 + 8}


def test_a_scrubber_that_knows_nothing_changes_nothing():
    scrub = Scrubber()
    assert scrub("100307: no such file") == "100307: no such file"
    assert scrub.note() == ""
    scrub.learn({"a.nii": "a.nii", "": "nobody"})
    assert scrub("a.nii 100307") == "a.nii 100307"


@pytest.fixture
def scrub():
    scrub = Scrubber()
    names = {"100307": "sub-1003070a", "100408": "sub-abcdef01", "ann": "sub-00000002", "anna": "sub-00000003"}
    files = {"/hcp/100307/cope1.nii.gz": "sub-1003070a/WM/FACE", "data/100307": "sub-1003070a/WM"}
    scrub.learn({**names, **files}, "private/x/images.tsv")
    return scrub


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/hcp/100307/cope1.nii.gz: truncated", "sub-1003070a/WM/FACE: truncated"),
        ("'/hcp/100307/cope2.nii.gz'", "'/hcp/sub-1003070a/cope2.nii.gz'"),
        ("/media/4337%2F100307_WM_FACE.nii.gz", "/media/4337%2Fsub-1003070a_WM_FACE.nii.gz"),
        ("100307, 100408\n100307", "sub-1003070a, sub-abcdef01\nsub-1003070a"),
        ("1003071 and 9100307 voxels", "1003071 and 9100307 voxels"),
        ("anna, ann and joanna annex", "sub-00000003, sub-00000002 and joanna annex"),
        ("sub-1003070a/WM/FACE of sub-1003070a", "sub-1003070a/WM/FACE of sub-1003070a"),
        ("999999 of 902629 voxels", "999999 of 902629 voxels"),
    ],
)
def test_known_subjects_and_files_are_replaced_and_parts_of_other_words_are_not(scrub, text, public):
    assert scrub(text) == public
    assert scrub(public) == public


def test_the_note_says_where_to_look_once_something_was_replaced(scrub):
    assert scrub("nobody") == "nobody"
    assert scrub.note() == ""
    scrub("100307")
    assert "private/x/images.tsv says" in scrub.note()


def test_before_subjects_are_known_six_digits_are_one_and_listed_for_the_owner(tmp_path):
    scrub, where = Scrubber(), tmp_path / "private/hcp/subjects.tsv"
    scrub.guess(SALT, where)
    text = "/hcp/100307/x.nii: 12345 of 1234567 are 0.123456; 100408_3T"
    one, two = (pseudonym(SALT, subject) for subject in ("100307", "100408"))
    public = f"/hcp/{one}/x.nii: 12345 of 1234567 are 0.123456; {two}_3T"
    assert scrub(text) == public
    assert scrub(public) == public
    assert not where.exists()
    assert str(where) in scrub.note()
    found = pd.read_csv(where, sep="\t", dtype=str).set_index("pseudonym")["subject"].to_dict()
    assert found == {one: "100307", two: "100408"}
    assert mode(where) == 0o600


@quick
@given(
    st.lists(st.integers(100_000, 999_999).map(str), min_size=1, max_size=8, unique=True),
    st.text(" /_-.:a'\n%", min_size=1, max_size=4),
    st.booleans(),
)
def test_no_id_is_left_and_a_second_time_changes_nothing(subjects, between, guess):
    scrub, text = Scrubber(), between.join(subjects)
    # A number after a decimal point is no ID unless it is known.
    if guess and "." not in between:
        scrub.guess(SALT, "nowhere")
    else:
        scrub.learn(pseudonyms(SALT, subjects))
    public = scrub(text)
    assert public == between.join(pseudonym(SALT, subject) for subject in subjects)
    assert scrub(public) == public


def test_a_private_table_replaces_an_old_one_and_quotes_what_it_must(tmp_path):
    path = tmp_path / "a.tsv"
    write_private(path, ("a", "b"), [("long", "before")] * 9)
    write_private(path, ("a", "b"), [("x\ty", '"'), ("NA", "µ")])
    found = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    assert found.to_numpy().tolist() == [["x\ty", '"'], ["NA", "µ"]]
    assert mode(path) == 0o600


@pytest.fixture
def rule(tmp_path, monkeypatch):
    """What Snakemake would give a script; logging is put back afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.chdir(tmp_path)
    yield scripted.rule(["results/x/a.npy"], log=str(tmp_path / "logs/a.log"), name="volumes")
    logging.captureWarnings(False)


def chained():
    try:
        raise KeyError("100307")
    except KeyError:
        Path("/nowhere/100307/cope1.nii.gz/x").stat()


@pytest.mark.parametrize(
    ("fail", "kept"),
    [
        (lambda: log.warning("%s is odd", "/hcp/100307/cope1.nii.gz"), "sub-1003070a/WM/FACE is odd"),
        (lambda: log.warning("subject %(s)s", {"s": "100408"}), "subject sub-abcdef01"),
        (lambda: __import__("warnings").warn("100307 looks odd", stacklevel=1), "sub-1003070a looks odd"),
        (lambda: (_ for _ in ()).throw(DataError("100408: bad")), "ERROR sub-abcdef01: bad"),
        (chained, "/nowhere/sub-1003070a/"),
        (lambda: {}["100307"], "KeyError: 'sub-1003070a'"),
    ],
    ids=["message", "arguments", "warning", "data", "system", "fault"],
)
def test_neither_log_nor_terminal_names_anybody(rule, scrub, capsys, monkeypatch, fail, kept):
    monkeypatch.setattr(sys, "excepthook", None)
    try:
        with job(rule, scrub):
            fail()
    except SystemExit as end:
        assert end.code == 1
    logged = Path(rule.log[0]).read_text()
    for text in (logged, capsys.readouterr().err):
        assert kept in text
        assert "private/x/images.tsv says" in text
        assert not [name for name in ("/100307", "'100307", " 100307", "100408") if name in text]


MEMORY = {
    "numpy": lambda: np.empty(2**60, np.uint8),
    "torch": lambda: torch.empty(2**60, dtype=torch.uint8),
    "cuda": lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")),
    "cublas": lambda: (_ for _ in ()).throw(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `x`")),
    "python": lambda: bytearray(2**60),
    "arrow": lambda: pa.allocate_buffer(2**60),
    "system": lambda: (_ for _ in ()).throw(OSError(errno.ENOMEM, "Cannot allocate memory")),
}


@pytest.mark.parametrize("fail", MEMORY.values(), ids=MEMORY)
@pytest.mark.parametrize("scrubbed", [True, False])
def test_where_memory_runs_out_the_remedy_is_said_and_no_traceback(rule, scrub, fail, scrubbed):
    with pytest.raises(SystemExit), job(rule, scrub if scrubbed else None):
        fail()
    logged = Path(rule.log[0]).read_text()
    assert logged.startswith("volumes: ERROR ")
    assert "Memory ran out: run fewer jobs at a time" in logged
    assert "Traceback" not in logged
    assert "Free space" not in logged


def test_an_error_that_only_speaks_of_memory_is_a_fault_all_the_same(rule):
    with pytest.raises(KeyError), job(rule):
        raise KeyError("out of memory")


def test_a_full_disk_is_one_for_weights_too(rule, tmp_path, monkeypatch):
    from safetensors import SafetensorError

    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(decoder, "save_file", full)
    with pytest.raises(SystemExit), job(rule):
        decoder.save_weights(tmp_path / "weights.safetensors", torch.nn.Linear(2, 2))
    logged = Path(rule.log[0]).read_text()
    assert "weights.safetensors: Error while serializing" in logged and "Free space" in logged
    assert "Traceback" not in logged


def test_without_pseudonyms_a_fault_keeps_its_traceback_for_snakemake(rule):
    with pytest.raises(KeyError), job(rule):
        {}["100307"]
    assert "KeyError: '100307'" in Path(rule.log[0]).read_text()
