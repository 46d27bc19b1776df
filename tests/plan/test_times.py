"""Who is older than whom after a start, and what it must not touch."""

import os
import time
from pathlib import Path

import pytest
import scripted

from truemap.plan import times
from truemap.plan.times import catch_up
from truemap.runtime import made
from truemap.runtime.files import guards, write_text
from truemap.runtime.made import Record
from truemap.runtime.work import Work

SHEET, SAMPLES, IMAGES = "sheet.tsv", "results/k/samples.tsv", "private/k/images.tsv"
VOLUMES, SCORES, BENCHMARK = "results/k/volumes.npy", "results/k/scores.parquet", "results/benchmarks/volumes.tsv"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (made.REMADE, "TRUEMAP_CODE", "TRUEMAP_SCHEDULER"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    guards.clear()


def make(when: float, outputs: dict[str, str], inputs=()) -> None:
    """Do what a job does that ends at `when`; s."""
    work = Work(scripted.rule(list(outputs), log="log", inputs=inputs))
    for path, text in outputs.items():
        write_text(path, text)
    work.finish()
    for path in outputs:
        os.utime(path, (when, when))


def chain(samples: str = "samples", images: str = "images", maps: str = "maps") -> None:
    write_text(SHEET, "sheet")
    os.utime(SHEET, (1e9, 1e9))
    make(1.1e9, {SAMPLES: samples, IMAGES: images}, [SHEET])
    make(1.2e9, {VOLUMES: maps}, [SAMPLES, IMAGES])
    write_text(BENCHMARK, "s")
    os.utime(BENCHMARK, (1.2e9, 1.2e9))
    make(1.3e9, {SCORES: "scores"}, [VOLUMES])


def start() -> dict[str, float]:
    """Do what a start does; return every file's time stamp."""
    record = Record()
    assert record.replaced() == []
    catch_up(record, {VOLUMES: BENCHMARK}.get)
    return {path: mtime(path) for path in (SHEET, SAMPLES, IMAGES, VOLUMES, BENCHMARK, SCORES)}


def mtime(path: str) -> float:
    return Path(path).stat().st_mtime


def test_what_is_in_order_is_left_alone():
    chain()
    before = {path: mtime(path) for path in (SHEET, SAMPLES, IMAGES, VOLUMES, BENCHMARK, SCORES)}
    assert start() == before


def test_what_comes_after_the_same_bytes_is_no_older_than_they():
    chain()
    make(1.5e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    found = start()
    assert found[SAMPLES] == found[VOLUMES] == found[SCORES] == found[BENCHMARK] == 1.5e9
    assert Record().replaced() == []


def test_what_comes_after_other_bytes_stays_older_and_so_does_nothing_else():
    chain()
    make(1.5e9, {SAMPLES: "others", IMAGES: "images"}, [SHEET])
    found = start()
    assert found[VOLUMES] == found[BENCHMARK] == 1.2e9
    assert found[SCORES] == 1.3e9


def test_of_several_outputs_one_that_differs_is_enough():
    chain()
    make(1.5e9, {SAMPLES: "samples", IMAGES: "others"}, [SHEET])
    found = start()
    assert found[SAMPLES] == 1.5e9
    assert found[VOLUMES] == 1.2e9
    chain()
    make(1.5e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    assert start()[VOLUMES] == 1.5e9


def test_what_came_out_the_same_of_other_inputs_is_newer_than_they():
    """By its former time stamp it would be made again at each call, and what comes after it with it."""
    chain()
    make(1.5e9, {SAMPLES: "others", IMAGES: "images"}, [SHEET])
    make(1.6e9, {VOLUMES: "maps"}, [SAMPLES, IMAGES])
    found = start()
    assert found[SAMPLES] <= found[VOLUMES] <= found[SCORES]


def test_bytes_that_change_and_change_back_count_by_what_was_made_from_them():
    chain()
    make(1.5e9, {SAMPLES: "others", IMAGES: "images"}, [SHEET])
    assert start()[VOLUMES] == 1.2e9
    make(1.6e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    assert start()[VOLUMES] == 1.6e9
    make(1.7e9, {SAMPLES: "others", IMAGES: "images"}, [SHEET])
    make(1.71e9, {VOLUMES: "other maps"}, [SAMPLES, IMAGES])
    make(1.72e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    found = start()
    assert found[VOLUMES] == 1.71e9
    assert found[SCORES] == 1.6e9


def test_a_job_that_was_killed_before_its_record_is_no_reason_and_gets_no_time():
    chain()
    Work(scripted.rule([VOLUMES], log="log", inputs=[SAMPLES, IMAGES]))
    write_text(VOLUMES, "maps")
    guards.clear()  # killed
    os.utime(VOLUMES, (1.5e9, 1.5e9))
    make(1.6e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    found = start()
    assert found[VOLUMES] == 1.5e9
    assert found[SCORES] == 1.3e9
    make(1.7e9, {VOLUMES: "maps"}, [SAMPLES, IMAGES])
    assert start()[SCORES] == 1.7e9


def test_copies_and_touches_are_put_in_order():
    chain()
    for age, path in enumerate((SCORES, VOLUMES, IMAGES, SAMPLES, BENCHMARK, SHEET)):
        os.utime(path, (1.5e9 + age, 1.5e9 + age))
    found = start()
    assert found[SHEET] <= found[SAMPLES] <= found[VOLUMES] <= found[SCORES]
    assert found[VOLUMES] <= found[BENCHMARK]


def test_a_link_counts_with_its_own_time_too(folder):
    chain()
    (folder / "linked.tsv").write_text("sheet")
    os.utime("linked.tsv", (1e9, 1e9))
    Path(SHEET).unlink()
    Path(SHEET).symlink_to("linked.tsv")
    os.utime(SHEET, (1.5e9, 1.5e9), follow_symlinks=False)
    assert start()[SAMPLES] == 1.5e9


def test_an_input_of_the_future_puts_no_output_there():
    chain()
    os.utime(SHEET, (4e9, 4e9))
    assert start()[SAMPLES] <= time.time()


def test_nothing_is_touched_while_a_run_goes_on():
    chain()
    make(1.5e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    write_text(times.LOCKS / "0.output.lock", VOLUMES)
    assert start()[VOLUMES] == 1.2e9
    (times.LOCKS / "0.output.lock").unlink()
    assert start()[VOLUMES] == 1.5e9


def test_outputs_that_are_somebody_elses_are_left_alone(monkeypatch):
    chain()
    make(1.5e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])

    def refuse(*arguments, **options):
        raise PermissionError("not the owner")

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", refuse)
        assert start()[VOLUMES] == 1.2e9


def test_an_output_with_a_new_time_is_not_read_again_for_it(monkeypatch):
    chain()
    make(1.5e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    start()
    monkeypatch.setattr(made, "checksum", lambda path: pytest.fail(f"{path} was read"))
    start()
    assert set(made.contents([VOLUMES])) == {VOLUMES}


def test_outputs_that_are_gone_are_no_obstacle():
    chain()
    Path(VOLUMES).unlink()
    make(1.5e9, {SAMPLES: "samples", IMAGES: "images"}, [SHEET])
    record = Record()
    assert record.replaced() == []
    catch_up(record, {}.get)
    assert mtime(SCORES) == 1.3e9
