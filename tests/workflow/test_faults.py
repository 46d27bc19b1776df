"""A kill, a full disk or a folder that cannot be written costs time, never results (`make test-faults`)."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Clone, clone, results

from truemap.data.maps import MapWriter
from truemap.data.nifti import write_map
from truemap.runtime.files import whole, write_json

pytestmark = pytest.mark.faults
KILLS, ENOUGH = 20, 8


def start(copy: Clone) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", "--rerun-incomplete"]
    command += ["--configfile", "tests/workflow/tiny.yaml"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=copy.path, start_new_session=True, **quiet)


def test_a_run_killed_at_twenty_moments_ends_with_the_same_outputs(finished: Clone, tmp_path: Path) -> None:
    wanted, copy, moments = results(finished), clone(tmp_path / "killed"), random.Random(1)
    kills = 0
    while kills < KILLS:
        process = start(copy)
        try:
            process.wait(timeout=moments.uniform(2.0, 14.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            torn = [name for name, content in results(copy).items() if content != wanted[name]]
            assert torn == [], f"after kill {kills}"
        else:
            # It got to its end between two kills; where machines are fast it begins again.
            if kills >= ENOUGH:
                break
            shutil.rmtree(copy.path / "results")
    assert copy.snakemake("--nolock", "--rerun-incomplete").returncode == 0
    final = results(copy)
    assert set(final) == set(wanted)
    assert [name for name in wanted if final[name] != wanted[name]] == []
    assert list(copy.path.rglob(".partial-*")) == []
    assert not [path for path in copy.path.glob("results/*/.checkpoints/**/*") if path.is_file()]
    print(f"{kills} kills, {len(final)} files equal")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 100 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder]).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def write_weights(path: Path) -> None:
    from torch import nn

    from truemap.networks._decoder import save_weights

    save_weights(path, nn.Linear(1000, 1000))


def write_maps(path: Path) -> None:
    with whole(path) as temporary, MapWriter(temporary, 100_000, "float16") as writer:
        writer.write(pd.DataFrame({"sample": [1, 2]}), np.ones((2, 100_000)))


def write_table(path: Path) -> None:
    with whole(path) as temporary:
        pd.DataFrame({"r": np.random.default_rng(0).normal(size=100_000)}).to_parquet(temporary)


@pytest.mark.parametrize(
    "write",
    [
        write_weights,
        write_maps,
        write_table,
        lambda path: write_json(path, list(range(100_000))),
        lambda path: write_map(path.with_suffix(".nii"), np.zeros((50, 50, 50)), np.eye(4)),
    ],
    ids=["weights", "maps", "table", "json", "nifti"],
)
def test_no_writer_leaves_anything_on_a_full_disk(small_disk: Path, write) -> None:
    with pytest.raises(Exception, match=r"(?i)no space left|os error 28|could not write|bytes requested"):
        write(small_disk / "file")
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_no_output(tmp_path: Path, small_disk: Path) -> None:
    copy = clone(tmp_path / "copy")
    (copy.path / "results").symlink_to(small_disk)
    result = copy.snakemake("results/tiny-synthetic/volumes/train/0.npy")
    assert result.returncode != 0
    assert "No space left on device" in result.stdout
    assert "Free space" in result.stdout
    assert [path.name for path in small_disk.rglob("*.npy")] == []


def test_a_results_folder_that_cannot_be_written_is_named(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    copy = clone(tmp_path / "copy")
    (copy.path / "results").symlink_to(small_disk)
    result = copy.snakemake("results/tiny-synthetic/samples.tsv")
    assert result.returncode != 0
    assert "Read-only file system" in result.stdout
    assert "results/.snakemake" in result.stdout
    assert "mend permissions" in result.stdout
