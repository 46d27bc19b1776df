import base64
import copy
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import scripted

from truemap.data import seen
from truemap.datasets import _s3 as s3
from truemap.plan.plan import Plan
from truemap.plan.start import Start, check_files
from truemap.runtime import made as record
from truemap.runtime.files import DataError, SourceError, guards, write_text
from truemap.runtime.work import Work

ROOT = Path(__file__).parents[2]
RAW = {
    "run": ["k"],
    "datasets": {
        "k": {"source": {"name": "sheet", "sheet": "data/samples.tsv"}, "models": {"linear": {"network": "linear"}}},
        "unused": {"source": {"name": "sheet", "sheet": "data/none.tsv"}, "models": {"linear": {"network": "linear"}}},
    },
}
OUTPUTS = {
    "samples": ["results/{dataset}/samples.tsv", "private/{dataset}/images.tsv"],
    "volumes": ["results/{dataset}/volumes/{split}/{shard}.npy"],
    "adopt": ["results/{dataset}/saliency/{model}/seed-{seed}/{method}.mean.nii.gz"],
    "claims": ["results/claims.tsv"],
    "all": [],
}
BENCHMARKS = {"volumes": "results/benchmarks/{dataset}/volumes-{split}-{shard}.tsv"}
K = {"dataset": "k"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(record.REMADE, "")
    write_text("data/samples.tsv", "image\tsubject\tlabel\n")
    yield tmp_path
    guards.clear()


def plan(**changes) -> Plan:
    raw = copy.deepcopy(RAW)
    raw["datasets"]["k"].update(changes)
    return Plan(raw, ROOT, False)


def make(path: str, text: str, inputs=()) -> None:
    work = Work(scripted.rule([path], log="log", inputs=inputs))
    write_text(path, text)
    work.finish()
    note(path)


def note(path: str) -> None:
    """Note an output as Snakemake does."""
    record.link()
    Path(".snakemake/metadata", base64.urlsafe_b64encode(path.encode()).decode()).write_text("{}")


def value(start: Start, rule: str, **wildcards: str) -> str:
    return start.value(rule, SimpleNamespace(items=lambda: wildcards.items()))


def listed(*paths: str) -> None:
    """Make the samples of dataset k, listed from these files."""
    make("results/k/samples.tsv", "samples", ["data/samples.tsv"])
    seen.write(seen.list_of("k"), seen.look(paths))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": {"name": "sheet", "sheet": "data/sampels.tsv"}}, "source.sheet: data/sampels.tsv: no such file"),
        ({"source": {"name": "sheet", "sheet": "data"}}, "source.sheet: data: a folder, and a file is wanted"),
        ({"source": {"name": "sheet", "sheet": "{x} 100%/s.tsv"}}, "source.sheet: {x} 100%/s.tsv: holds '{'"),
        ({"family": "famly.tsv"}, "datasets.k.family: famly.tsv: no such file"),
        ({"models": {"a": {"maps": "m.tsv", "signed": True}}}, "datasets.k.models.a.maps: m.tsv: no such file"),
        ({"models": {"a": {"maps": "m.tsv", "signed": True}}}, "make it of its header alone"),
        ({"mask": "~/none.nii.gz"}, "'~' is not read as your home folder: write it out"),
        ({"mask": "a\\none.nii.gz"}, "Write / between folders"),
        ({"mask": "$HOME/none.nii.gz"}, "Variables of the shell are not read"),
        ({"mask": "https://a.org/none.nii.gz"}, "What is on a server is not fetched"),
        ({"mask": "none.nii.gz"}, "datasets.k.mask: none.nii.gz: no such file"),
        ({"source": {"name": "hcp", "root": "/none/HCP"}}, "source.root: /none/HCP/: no such folder"),
        ({"source": {"name": "hcp", "root": "data/samples.tsv"}}, "data/samples.tsv/: no such folder"),
        ({"source": {"name": "hcp", "simulate": {"peaks": "p.tsv"}}}, "source.simulate.peaks: p.tsv: no such file"),
        ({"source": {"name": "hcp", "simulate": {"components": "c.tsv"}}}, "simulate.components: c.tsv: no such file"),
    ],
)
def test_files_that_the_config_names_are_looked_for_first(changes, words):
    with pytest.raises(DataError, match="the config names files") as error:
        check_files(plan(**changes), ["k"])
    assert words in str(error.value)
    assert "none.tsv" not in str(error.value)  # of a dataset that does not run


def test_all_faults_are_named_at_once():
    with pytest.raises(DataError, match=r"(?s)family: f.tsv.*mask: m.nii"):
        check_files(plan(family="f.tsv", mask="m.nii"), ["k"])


def test_a_file_that_may_not_be_read_is_no_missing_one(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: "samples" not in str(path))
    with pytest.raises(DataError, match=r"samples.tsv: may not be read"):
        check_files(plan(), ["k"])


def test_a_bucket_is_no_folder_here():
    check_files(plan(source={"name": "hcp", "root": "s3://bucket/HCP"}), ["k"])


def test_a_first_start_finds_nothing_amiss():
    start = Start(plan(), OUTPUTS, BENCHMARKS)
    assert value(start, "samples", **K) == value(start, "claims") == value(start, "unknown") == ""
    assert start.reasons == {}


def test_a_finished_run_finds_nothing_amiss():
    listed("data/samples.tsv")
    make("results/k/volumes/train/0.npy", "maps", ["results/k/samples.tsv"])
    start = Start(plan(), OUTPUTS, BENCHMARKS)
    assert value(start, "samples", **K) == ""
    assert value(start, "volumes", **K, split="train", shard="0") == ""


def test_an_image_that_was_exchanged_makes_the_samples_again():
    write_text("data/a.nii", "one")
    listed("data/a.nii")
    before = Path("data/a.nii").stat()
    write_text("data/a.nii", "two")
    os.utime("data/a.nii", ns=(before.st_atime_ns, before.st_mtime_ns))
    start = Start(plan(), OUTPUTS, BENCHMARKS)
    assert value(start, "samples", **K) == record.read_entry("results/k/samples.tsv")["job"]
    assert "1 of 1 files and folders" in start.reasons["results/k/samples.tsv"]
    assert os.environ[record.REMADE].split() == [record.short("results/k/samples.tsv")]


def test_an_image_that_was_touched_does_not_and_is_read_once(monkeypatch):
    write_text("data/a.nii", "one")
    listed("data/a.nii")
    os.utime("data/a.nii", (1e9, 1e9))
    assert value(Start(plan(), OUTPUTS, BENCHMARKS), "samples", **K) == ""
    monkeypatch.setattr(seen, "checksum", lambda path: pytest.fail("read again"))
    assert value(Start(plan(), OUTPUTS, BENCHMARKS), "samples", **K) == ""


def test_a_dataset_that_a_target_is_of_is_looked_at_though_the_run_does_not_list_it():
    raw = copy.deepcopy(RAW)
    raw["run"] = [name for name in raw["datasets"] if name != "k"]
    raw["datasets"][raw["run"][0]] = {**raw["datasets"]["k"]}
    write_text("data/a.nii", "one")
    listed("data/a.nii")
    write_text("data/a.nii", "two")
    assert value(Start(Plan(raw, ROOT, False), OUTPUTS, BENCHMARKS), "samples", **K) != ""
    raw["datasets"]["k"]["mask"] = "none.nii.gz"
    with pytest.raises(DataError, match=r"mask: none\.nii\.gz: no such file"):
        value(Start(Plan(raw, ROOT, False), OUTPUTS, BENCHMARKS), "volumes", **K, split="train", shard="0")


def test_a_map_from_elsewhere_that_was_exchanged_has_them_taken_over_again():
    output, job = "results/k/saliency/a/seed-0/ig.mean.nii.gz", {"model": "a", "seed": "0", "method": "ig"}
    listed("data/samples.tsv")
    write_text("maps/a.npy", "one")
    make(output, "mean")
    seen.write(seen.list_of("k", "a", "ig"), seen.look(["maps/a.npy"]))
    assert value(Start(plan(), OUTPUTS, BENCHMARKS), "adopt", **K, **job) == ""
    os.utime("maps/a.npy", (1e9, 1e9))
    assert value(Start(plan(), OUTPUTS, BENCHMARKS), "adopt", **K, **job) == ""
    write_text("maps/a.npy", "two")
    start = Start(plan(), OUTPUTS, BENCHMARKS)
    assert value(start, "adopt", **K, **job) == record.read_entry(output)["job"]
    assert value(start, "samples", **K) == ""
    assert "1 of 1 files" in start.reasons[output]


def test_samples_without_their_list_are_made_again():
    listed("data/samples.tsv")
    seen.list_of("k").unlink()
    start = Start(plan(), OUTPUTS, BENCHMARKS)
    assert value(start, "samples", **K) != ""
    assert "no list" in start.reasons["results/k/samples.tsv"]


def test_a_table_that_was_exchanged_for_an_older_one_makes_the_samples_again():
    listed()
    write_text("data/samples.tsv", "image\tsubject\tlabel\nother")
    os.utime("data/samples.tsv", (0, 0))
    start = Start(plan(), OUTPUTS, BENCHMARKS)
    assert value(start, "samples", **K) != ""
    assert start.reasons["results/k/samples.tsv"] == "data/samples.tsv"


def test_results_that_are_not_what_their_job_wrote_are_refused_by_name():
    listed()
    Path("results/k/samples.tsv").write_text("of somebody else")
    with pytest.raises(DataError, match=r"results/k/samples.tsv: are not what their job wrote"):
        Start(plan(), OUTPUTS, BENCHMARKS)
    Path("results/k/samples.tsv").unlink()
    Start(plan(), OUTPUTS, BENCHMARKS)


def test_results_without_a_record_are_refused_by_name():
    for shard in range(7):
        write_text(f"results/k/volumes/train/{shard}.npy", "maps")
    with pytest.raises(DataError, match=r"0.npy, .*4.npy and 2 more: have no record of what they were made from"):
        Start(plan(), OUTPUTS, BENCHMARKS)
    for shard in range(7):
        note(f"results/k/volumes/train/{shard}.npy")
    Start(plan(), OUTPUTS, BENCHMARKS)


def test_what_no_rule_makes_is_nobodys_business():
    write_text("results/k/notes.txt", "mine")
    write_text("results/k/volumes/notes.npy", "mine")
    write_text("results/k/.checkpoints/volumes/train/0.npy", "hidden")
    Start(plan(), OUTPUTS, BENCHMARKS)


def test_results_behind_a_link_count_too(folder):
    (folder / "scratch").mkdir()
    (folder / "results").symlink_to(folder / "scratch")
    write_text("results/k/volumes/train/0.npy", "maps")
    with pytest.raises(DataError, match="no record"):
        Start(plan(), OUTPUTS, BENCHMARKS)


def bucket(monkeypatch, answer) -> Plan:
    """A plan whose samples were listed from two objects of a bucket, and what that says now."""
    make("results/k/samples.tsv", "samples")
    urls = {"s3://b/HCP/100307/a.nii.gz": "etag:1", "s3://b/HCP/100408/a.nii.gz": "etag:2"}
    seen.write(seen.list_of("k"), seen.look(urls, None, urls))
    monkeypatch.setattr(s3, "tags", answer)
    return plan(source={"name": "hcp", "root": "s3://b/HCP", "endpoint_url": "http://localhost:1"})


def test_a_bucket_is_asked_for_etags(monkeypatch):
    found = bucket(monkeypatch, lambda urls, where: {url: "etag:1" for url in urls})
    assert "1 of 2" in reasons(found)
    found = bucket(monkeypatch, lambda urls, where: dict(zip(urls, ["etag:1", "etag:2"], strict=True)))
    assert reasons(found) == ""


def test_a_bucket_that_does_not_answer_is_said_so_without_an_id(monkeypatch, caplog):
    def fail(urls, where):
        raise SourceError(f"{urls[0]}: no AWS keys")

    assert reasons(bucket(monkeypatch, fail)) == ""
    assert "2 maps are taken as they were" in caplog.text
    assert "no AWS keys" in caplog.text
    assert "100307" not in caplog.text


def test_what_is_gone_from_a_cache_is_no_change_and_what_comes_back_otherwise_is(folder):
    write_text("cache/image_1.nii.gz", "map")
    write_text("cache/image_2.nii.gz", "map")
    listed("cache/image_1.nii.gz", "cache/image_2.nii.gz")
    found = plan(source={"name": "neurovault", "cache": "cache"})
    for name in ("image_1", "image_2"):
        Path(f"cache/{name}.nii.gz").unlink()
    assert reasons(found) == ""
    write_text("cache/image_1.nii.gz", "map")
    assert reasons(found) == ""
    write_text("cache/image_2.nii.gz", "other")
    assert "1 of 2" in reasons(found)


def reasons(found: Plan) -> str:
    start = Start(found, OUTPUTS, BENCHMARKS)
    value(start, "samples", **K)
    return start.reasons.get("results/k/samples.tsv", "")


def test_results_may_be_deleted_and_what_is_private_kept(folder):
    make("private/k/images.tsv", "images")
    shutil.rmtree(folder / "results")
    Start(plan(), OUTPUTS, BENCHMARKS)


def test_claims_of_datasets_that_this_config_does_not_run_are_shown_while_they_are_what_they_were_made_from():
    pattern, this = "results/{dataset}/claims.tsv", plan()
    for name in ("k", "unused", "elsewhere", "old"):
        write_text(f"data/{name}", name)
        make(f"results/{name}/claims.tsv", name, [f"data/{name}"])
    write_text("results/notes/claims.tsv", "nobody's")
    write_text("data/old", "other ones")
    this.start = Start(this, OUTPUTS, BENCHMARKS)
    assert this.standing(pattern)(None) == ["results/elsewhere/claims.tsv", "results/unused/claims.tsv"]
    assert this.standing(pattern, outdated=True)(None) == ["results/notes/claims.tsv", "results/old/claims.tsv"]
    Path("results/elsewhere/claims.tsv").unlink()
    assert this.standing(pattern)(None) == ["results/unused/claims.tsv"]
    assert re.fullmatch(this.running, "k") and not re.fullmatch(this.running, "unused")
