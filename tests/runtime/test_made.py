import hashlib
import json
import os
import time
from pathlib import Path

import pytest
import scripted
from snakemake.persistence.file import FilePersistence

from truemap.runtime import made as record
from truemap.runtime.files import guards, write_text
from truemap.runtime.made import Record
from truemap.runtime.work import Work


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory, and nothing that an outer Snakemake says."""
    monkeypatch.chdir(tmp_path)
    for name in (record.REMADE, "TRUEMAP_CODE", "TRUEMAP_SCHEDULER"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    guards.clear()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make(outputs: dict[str, str], inputs=()) -> None:
    """Do what a job does."""
    work = Work(scripted.rule(list(outputs), log="log", inputs=inputs))
    for path, text in outputs.items():
        write_text(path, text)
    work.finish()


def chain() -> None:
    write_text("sheet.tsv", "a sheet")
    make({"results/k/samples.tsv": "samples", "results/k/skipped.tsv": "none"}, ["sheet.tsv"])
    make({"results/k/volumes.npy": "maps"}, ["results/k/samples.tsv", "results/k/skipped.tsv"])


def test_a_job_records_what_it_wrote_and_what_it_read():
    chain()
    entries = Record().entries
    assert {path: entry["sha256"] for path, entry in entries.items()} == {
        "results/k/samples.tsv": sha("samples"),
        "results/k/skipped.tsv": sha("none"),
        "results/k/volumes.npy": sha("maps"),
    }
    assert entries["results/k/samples.tsv"]["inputs"] == {"sheet.tsv": sha("a sheet")}
    assert entries["results/k/volumes.npy"]["inputs"] == {
        "results/k/samples.tsv": sha("samples"),
        "results/k/skipped.tsv": sha("none"),
    }
    assert len({entry["job"] for entry in entries.values()}) == 2
    assert Record().replaced() == []
    assert Record().others("results/k/volumes.npy") == []


def test_a_file_that_is_not_what_its_job_wrote_is_found_whatever_its_time_stamp_says():
    chain()
    assert Record().replaced() == []
    path = Path("results/k/skipped.tsv")
    before = path.stat()
    path.write_text("NONE")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Record().replaced() == ["results/k/skipped.tsv"]
    path.write_text("none")
    assert Record().replaced() == []


def test_files_are_read_only_where_their_signature_changed(monkeypatch):
    chain()
    Record().replaced()
    read = []
    monkeypatch.setattr(record, "checksum", lambda path: read.append(str(path)) or sha("maps"))
    assert Record().replaced() == []
    assert read == []
    os.utime("results/k/volumes.npy")
    assert Record().replaced() == []
    assert read == ["results/k/volumes.npy"]
    assert Record().replaced() == []
    assert len(read) == 1


def end(output: str) -> None:
    """Do what Snakemake does once a job has ended."""
    os.utime(output)
    notes = FilePersistence(path=Path(".snakemake").absolute())
    notes._io_write(notes._metadata_path, {"endtime": os.stat(output).st_mtime}, output)  # noqa: PTH116


def test_what_jobs_of_a_run_wrote_is_not_read_again_at_its_end(monkeypatch):
    record.link()
    chain()
    for output in Record().entries:
        end(output)
    Record().settle()
    monkeypatch.setattr(record, "checksum", lambda path: pytest.fail(f"{path} was read"))
    assert Record().replaced() == []
    assert record.contents(["results/k/volumes.npy"]) == {"results/k/volumes.npy": sha("maps")}


@pytest.mark.parametrize("keeping", [True, False], ids=["same time", "new time"])
def test_what_somebody_wrote_between_a_jobs_end_and_the_runs_is_not_taken_for_the_jobs(keeping):
    record.link()
    chain()
    path = Path("results/k/samples.tsv")
    end(str(path))
    before = path.stat()
    time.sleep(0.05)
    path.write_text("SAMPLES")
    if keeping:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert record.contents([path]) == {str(path): sha("SAMPLES")}
    Record().settle()
    assert Record().replaced() == [str(path)]


def test_outputs_outside_of_results_are_looked_after_too():
    make({"results/k/samples.tsv": "samples", "private/k/images.tsv": "images"})
    assert set(Record().entries) == {"results/k/samples.tsv", "private/k/images.tsv"}
    write_text("private/k/images.tsv", "other images")
    assert Record().replaced() == ["private/k/images.tsv"]


def test_outputs_of_the_future_are_of_now():
    chain()
    path = Path("results/k/samples.tsv")
    os.utime(path, (4e9, 4e9))
    assert Record().replaced() == []
    assert path.stat().st_mtime <= time.time()


def test_an_input_that_is_another_one_is_found_however_old_it_is():
    chain()
    assert Record().others("results/k/samples.tsv") == []
    write_text("sheet.tsv", "b sheet")
    os.utime("sheet.tsv", (0, 0))
    assert Record().others("results/k/samples.tsv") == ["sheet.tsv"]
    # The jobs after it are Snakemake's business: they follow once it was made again.
    assert Record().others("results/k/volumes.npy") == []


def test_a_job_whose_input_was_made_again_meanwhile_is_found():
    """Of a partial run, or under a clock that was set back, time stamps do not tell."""
    chain()
    make({"results/k/samples.tsv": "other samples", "results/k/skipped.tsv": "none"}, ["sheet.tsv"])
    os.utime("results/k/samples.tsv", (0, 0))
    assert Record().others("results/k/volumes.npy") == ["results/k/samples.tsv"]


def fail_at_work() -> None:
    Work(scripted.rule(["results/k/samples.tsv", "results/k/skipped.tsv"], log="log"))


def fail_at_start() -> None:
    """Snakemake notes a failed job as it does others; ours had nothing noted yet."""
    note = record.note("results/k/samples.tsv", "metadata")
    note.write_text(json.dumps({"starttime": time.time() + 9}))


def kill_at_start() -> None:
    record.note("results/k/samples.tsv", "incomplete").write_text("{}")


def delete_by_hand() -> None:
    note = record.note("results/k/samples.tsv", "metadata")
    note.write_text(json.dumps({"starttime": time.time() - 9}))


def exchange_what_it_read() -> None:
    write_text("sheet.tsv", "b sheet")


@pytest.mark.parametrize(
    ("happened", "stale"),
    [
        (fail_at_work, True),
        (fail_at_start, True),
        (kill_at_start, True),
        (exchange_what_it_read, True),
        (delete_by_hand, False),
    ],
)
def test_what_was_made_before_a_job_failed_is_not_taken_for_what_it_would_have_made(happened, stale):
    """Snakemake removes what a failed job was to make, and makes what is missing only where another job runs."""
    chain()
    make({"results/k/model.json": "model"}, ["results/k/volumes.npy"])
    record.link()
    happened()
    Path("results/k/samples.tsv").unlink()
    assert Record().others("results/k/volumes.npy") == ["results/k/samples.tsv"] * stale
    assert Record().others("results/k/model.json") == []
    # Nor is what was made from what nobody kept.
    Path("results/k/volumes.npy").unlink()
    assert Record().others("results/k/model.json") == ["results/k/volumes.npy"] * stale


def test_a_job_that_has_begun_again_vouches_for_nothing():
    chain()
    Work(scripted.rule(["results/k/samples.tsv", "results/k/skipped.tsv"], log="log"))
    found = Record()
    assert found.settled("results/k/samples.tsv") is None
    assert found.settled("results/k/skipped.tsv") is None
    assert found.replaced() == []


def test_the_value_of_a_job_changes_once_when_it_is_made_again_and_then_stays():
    """Snakemake compares it with what it noted when the outputs were made."""
    output = "results/k/samples.tsv"
    assert record.value(None, False) == record.value(None, True) == ""
    chain()
    noted = [record.value(Record().entries[output], False)]
    assert noted == [""]
    for _ in range(2):
        planned = record.value(Record().entries[output], True)
        assert planned not in noted
        os.environ[record.REMADE] = f"0 {record.short(output)}"
        make({output: "again"}, ["sheet.tsv"])
        os.environ.pop(record.REMADE)
        assert record.value(Record().entries[output], False) == planned
        noted.append(planned)


def test_the_value_survives_a_job_that_is_killed_and_tried_again():
    output = "results/k/samples.tsv"
    chain()
    planned = record.value(Record().entries[output], True)
    os.environ[record.REMADE] = record.short(output)
    for _ in range(2):
        Work(scripted.rule([output], log="log"))
        guards.clear()  # killed
    make({output: "again"})
    assert record.value(Record().entries[output], False) == planned


@pytest.mark.parametrize("output", ["results/k/samples.tsv", "results/" + "long-name/" * 40 + "samples.tsv"])
def test_snakemakes_notes_are_found_under_its_own_names_for_them(output, folder):
    record.link()
    notes = FilePersistence(path=folder / ".snakemake")
    for kept, path in (("metadata", notes._metadata_path), ("incomplete", notes._incomplete_path)):
        assert not record.note(output, kept).exists()
        notes._io_write(path, {"rule": "samples"}, output)
        assert record.note(output, kept).is_file()
        notes._io_delete(path, output)
        assert not record.note(output, kept).exists()


def test_notes_live_with_the_results_and_old_ones_are_moved_there(folder):
    old = folder / ".snakemake/metadata/@long/abc"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    for _ in range(2):
        record.link()
        assert (folder / "results/.snakemake/metadata/@long/abc").read_text() == "{}"
        assert (folder / ".snakemake/metadata").resolve() == folder / "results/.snakemake/metadata"
        assert (folder / ".snakemake/incomplete").is_dir()


def test_notes_of_results_that_were_copied_here_count_more_than_notes_that_were_here(folder):
    for place, text in ((".snakemake/metadata/abc", "here"), ("results/.snakemake/metadata/abc", "copied")):
        path = folder / place
        path.parent.mkdir(parents=True)
        path.write_text(text)
    record.link()
    assert (folder / ".snakemake/metadata/abc").read_text() == "copied"


def test_results_that_were_deleted_or_moved_take_their_notes_along(folder):
    record.link()
    (folder / ".snakemake/metadata/abc").write_text("{}")
    (folder / "results").rename(folder / "moved")
    record.link()
    assert not (folder / ".snakemake/metadata/abc").exists()
    assert (folder / "moved/.snakemake/metadata/abc").exists()


def test_strangers_are_files_of_which_nobody_noted_anything():
    chain()
    record.link()
    Path(".snakemake/metadata", "cmVzdWx0cy9rL3NhbXBsZXMudHN2").write_text("{}")  # of results/k/samples.tsv
    Path(".snakemake/incomplete", "cmVzdWx0cy9rL3NraXBwZWQudHN2").write_text("{}")
    outputs = [*Record().entries, "results/k/never.made"]
    assert record.strangers(outputs) == ["results/k/volumes.npy"]


def test_an_entry_that_cannot_be_read_is_none():
    chain()
    record.place("results/k/volumes.npy").write_text('{"job": "half')
    assert "results/k/volumes.npy" not in Record().entries
    record.place("results/k/volumes.npy").write_text(json.dumps([1]))
    assert record.read_entry("results/k/volumes.npy") is None


def test_an_output_that_a_start_has_compared_is_not_read_again_by_jobs(monkeypatch):
    chain()
    os.utime("results/k/samples.tsv", (1e9, 1e9))  # copied, say
    read = []
    with monkeypatch.context() as patch:
        patch.setattr(record, "checksum", lambda path: read.append(path) or sha("samples"))
        assert record.contents(["results/k/samples.tsv"]) == {"results/k/samples.tsv": sha("samples")}
    assert read == ["results/k/samples.tsv"]
    Record().replaced()
    monkeypatch.setattr(record, "checksum", lambda path: pytest.fail("read again"))
    assert record.contents(["results/k/samples.tsv"]) == {"results/k/samples.tsv": sha("samples")}


@pytest.mark.parametrize("text", ["", "{half", "[1]"])
def test_a_list_of_signatures_that_cannot_be_read_is_none(text):
    chain()
    write_text(record.VERIFIED, text)
    assert Record().replaced() == []
    assert set(record.verified()) == set(Record().entries)
