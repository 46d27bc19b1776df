import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from truemap.runtime.files import read_json, whole, write_json, write_text


def test_a_finished_file_has_its_content_and_leaves_nothing_else(tmp_path):
    with whole(tmp_path / "new" / "maps.nii.gz") as temporary:
        temporary.write_text("all of it")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["maps.nii.gz"]
    assert (tmp_path / "new" / "maps.nii.gz").read_text() == "all of it"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_folder_as_it_was(tmp_path, error):
    (tmp_path / "old.txt").write_text("old")
    for name in ("old.txt", "new.txt"):
        with pytest.raises(error), whole(tmp_path / name) as temporary:
            temporary.write_text("half of")
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]
    assert (tmp_path / "old.txt").read_text() == "old"


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("old")
    reader = path.open()
    with whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with reader:
        assert reader.read() == "old"  # another file, not the old one overwritten


def test_the_temporary_name_is_in_the_same_folder_and_keeps_the_suffixes(tmp_path):
    with whole(tmp_path / "mask.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffixes[-2:] == [".nii", ".gz"]
        temporary.touch()


def test_text_is_written_as_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "µ ± σ")
    assert (tmp_path / "a.txt").read_bytes() == "µ ± σ".encode()


def test_json_keeps_the_order_of_keys_and_every_bit_of_floats(tmp_path):
    content = {"z": 0.1 + 0.2, "a": [1e-300, 2**60, None, True], "m": {"é": "x"}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["z", "a", "m"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_numbers_that_json_has_not(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"nll": value})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path):
    """Gigabytes otherwise, hidden beside the results; what belongs to somebody who lives is not touched."""
    code = (
        "import os, sys\nfrom truemap.runtime.files import whole\n"
        f"with whole({str(tmp_path / 'maps.npy')!r}) as path:\n"
        "    path.write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "workflow")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -9
    (left,) = tmp_path.iterdir()
    alive = left.with_name(left.name.replace(left.name.split("-")[-2], str(os.getppid())))
    alive.touch()
    with whole(tmp_path / "other.npy") as temporary:
        temporary.touch()
    assert left.exists()
    with whole(tmp_path / "maps.npy") as temporary:
        temporary.write_text("all")
    assert {path.name for path in tmp_path.iterdir()} == {"maps.npy", "other.npy", alive.name}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_a_scheduler_or_ctrl_c_ends_removes_its_unfinished_file_and_says_nothing(tmp_path, number):
    code = (
        "import scripted, time\nfrom truemap.runtime.files import whole\n"
        f"from truemap.runtime.job import job\nfolder = {str(tmp_path)!r}\n"
        "with job(scripted.rule(['results/maps.npy'], log=folder + '/log')), whole('results/maps.npy') as path:\n"
        "    path.write_text('half')\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'workflow'}:{root / 'tests/support'}"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, b"")
    assert [path.name for path in (tmp_path / "results").iterdir()] == [".snakemake"]
