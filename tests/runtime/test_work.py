import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import scripted

from truemap.runtime import sourcecode, work
from truemap.runtime.files import DataError, guards, whole, write_text
from truemap.runtime.work import CONFIG, Work, announce, check_config

TESTS = Path(__file__).parents[1] / "support"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory, and nothing that an outer Snakemake says."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRUEMAP_REMADE", "PYTHONPATH", work.CODE, work.SCHEDULER):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield tmp_path
    guards.clear()


def named_hash(module: Path) -> str:
    return f"truemap.{module.stem}@{sourcecode.code_hash(module)[:10]}"


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A workflow with one module, planned with; its file, and the params of a job that uses it."""
    monkeypatch.setattr(sourcecode, "WORKFLOW", tmp_path / "workflow")
    monkeypatch.setattr(sourcecode, "_read", {})
    monkeypatch.setattr(Work, "_refuse_other_clone", lambda *_: None)
    module = tmp_path / "workflow/truemap/gradient.py"
    write_text(module, "SCALE = 1\n")
    param = named_hash(module)
    announce(sourcecode.hashed(), main=True)
    # As in a job's own process.
    sourcecode._read.clear()
    return module, [param, "seed = 0", None]


def job(code=(), inputs=(), outputs=("results/k/maps.npy",)) -> Work:
    return Work(scripted.rule(list(outputs), log="log", code=code, inputs=inputs))


def write(module: Path, text: str, when: float | None = None) -> None:
    """Write a module; its time stamp is of no account."""
    module.write_text(text)
    os.utime(module, (1e9, 1e9))


def test_code_that_is_as_planned_passes(code):
    job(code[1]).finish()


def test_an_edit_between_plan_and_job_ends_the_job(code):
    write(code[0], "SCALE = 2\n")
    with pytest.raises(DataError, match=r"gradient.py: was edited after this run was planned"):
        job(code[1])


def test_a_comment_between_plan_and_job_does_not(code, monkeypatch):
    write(code[0], "SCALE = 1  # of nothing\n")
    # The job's process began after the edit.
    later = type("Process", (), {"create_time": lambda self: time.time() + 1})
    monkeypatch.setattr(work.psutil, "Process", later)
    job(code[1]).finish()


def test_an_edit_while_a_job_starts_ends_it_though_it_was_put_back(code):
    write(code[0], "SCALE = 2\n")
    write(code[0], "SCALE = 1\n")
    with pytest.raises(DataError, match="was edited while this job started"):
        job(code[1])


def test_an_edit_while_a_job_runs_ends_it_though_it_was_put_back(code):
    begun = job(code[1])
    write(code[0], "SCALE = 2\n")
    write(code[0], "SCALE = 1\n")
    with pytest.raises(DataError, match="was edited while this job ran"):
        begun.finish()


def test_a_job_that_a_cluster_starts_later_is_held_to_what_the_first_process_planned(code):
    write(code[0], "SCALE = 2\n")
    params = [named_hash(code[0])]  # the job's own Snakemake plans anew
    announce(sourcecode.hashed(), main=False)
    with pytest.raises(DataError, match="was edited after this run was planned"):
        job(params)


@pytest.mark.parametrize("edited", [True, False])
def test_a_users_file_is_known_by_its_path_from_here_whatever_that_holds(code, edited):
    file = Path("a=b@c/my_methods/saliency/mine.py")
    write_text(file, "SCALE = 1\n")
    params = [f"{file}@{sourcecode.module_at(file.absolute()).digest[:10]}"]
    announce(sourcecode.hashed(), main=True)
    sourcecode._read.clear()
    if not edited:
        job(params).finish()
        return
    write(file, "SCALE = 2\n")
    with pytest.raises(DataError, match=r"mine.py: was edited after this run was planned"):
        job(params)


def test_a_module_that_is_only_imported_is_held_to_the_plan_too(code, monkeypatch):
    """What runs at its import is code of the job, whether or not there was any when the job was planned."""
    monkeypatch.setitem(sys.modules, "truemap.gradient", SimpleNamespace(__file__=str(code[0])))
    begun = job()
    write(code[0], "print()\n")
    with pytest.raises(DataError, match="was edited while this job ran"):
        begun.finish()
    with pytest.raises(DataError, match="was edited after this run was planned"):
        job()


def test_a_process_that_a_cluster_starts_without_the_plan_makes_its_own(code, monkeypatch):
    monkeypatch.delenv(work.CODE)
    sourcecode.module_at(code[0], "truemap.gradient")
    announce(sourcecode.hashed(), main=False)
    sourcecode._read.clear()
    write(code[0], "SCALE = 2\n")
    with pytest.raises(DataError, match="was edited after this run was planned"):
        job(code[1])


def test_a_module_that_is_gone_is_an_edit(code):
    code[0].unlink()
    with pytest.raises(DataError, match="was edited after"):
        job(code[1])


@pytest.mark.parametrize("text", ["other", "sheet"])
def test_an_input_that_is_written_while_it_is_read_ends_the_job(text):
    write_text("sheet.tsv", "sheet")
    begun = job(inputs=["sheet.tsv"])
    write_text("sheet.tsv", text)
    with pytest.raises(DataError, match=r"sheet.tsv: was written while this job read it"):
        begun.finish()


def test_a_job_writes_nothing_once_another_has_taken_over():
    old = job()
    new = job()
    guards[:] = [old._check_owner]
    with (
        pytest.raises(DataError, match="another job makes this by now"),
        whole("results/k/maps.npy") as path,
    ):
        path.write_text("of the old config")
    assert not Path("results/k/maps.npy").exists()
    guards[:] = [new._check_owner]
    write_text("results/k/maps.npy", "of the new config")
    new.finish()
    with pytest.raises(DataError, match="another job makes this by now"):
        old.finish()
    assert Path("results/k/maps.npy").read_text() == "of the new config"


def test_code_of_another_clone_is_refused(tmp_path):
    other = tmp_path / "other/workflow"
    shutil.copytree(sourcecode.WORKFLOW, other, ignore=shutil.ignore_patterns("__pycache__"))
    program = "import scripted; from truemap.runtime.work import Work; Work(scripted.rule(['results/a'], log='log'))"
    run = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": f"{other}:{TESTS}"}, capture_output=True, text=True
    )
    assert f"{other}: code of another copy of truemap runs here" in run.stderr


SLEEPER = """
import scripted, time
from truemap.runtime.files import whole
from truemap.runtime.job import job
with job(scripted.rule(['results/maps.npy'], log='log')), whole('results/maps.npy') as path:
    path.write_text('half')
    print('ready', flush=True)
    {rest}
"""


@pytest.mark.parametrize(
    "rest",
    ["time.sleep(120)", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); time.sleep(120)"],
    ids=["asleep", "deaf"],
)
def test_a_job_ends_with_the_scheduler_though_a_shell_between_lives_on(tmp_path, rest):
    script = tmp_path / "script.py"
    script.write_text(
        SLEEPER.format(rest=rest).replace(
            "from truemap.runtime.files",
            "from truemap.runtime import work; work.GRACE = 1\nfrom truemap.runtime.files",
        )
    )
    main = tmp_path / "main.py"
    main.write_text(
        "import subprocess, sys, time\nfrom truemap.runtime.work import announce\nannounce({}, True)\n"
        f"subprocess.Popen(['bash', '-c', '{sys.executable} {script}; sleep 30']); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{sourcecode.WORKFLOW}:{TESTS}"}
    process = subprocess.Popen(
        [sys.executable, main], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        (shell,) = psutil.Process(process.pid).children()
        (own,) = shell.children()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert own.wait(timeout=15) in (None, 128 + signal.SIGTERM)
        assert shell.is_running()
        if "sigmask" not in rest:
            assert [path.name for path in (tmp_path / "results").iterdir()] == [".snakemake"]
        assert not (tmp_path / "results/maps.npy").exists()
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_job_that_nobody_announced_runs_on(tmp_path):
    os.environ.pop(work.SCHEDULER, None)
    work.end_with_scheduler()
    announce({"a": ["b", None]}, main=True)
    assert json.loads(os.environ[work.CODE]) == {"a": ["b", None]}
    pid, created = os.environ[work.SCHEDULER].split()
    assert work._runs(int(pid), float(created))
    assert not work._runs(int(pid), float(created) - 5)  # the number was given to another process


def test_a_clusters_job_refuses_another_config_than_the_runs(monkeypatch):
    monkeypatch.delenv(CONFIG, raising=False)
    check_config('{"seed": 1}', main=False)  # nobody said
    check_config('{"seed": 0}', main=True)
    check_config('{"seed": 0}', main=False)
    with pytest.raises(DataError, match="config was edited after this run was planned"):
        check_config('{"seed": 1}', main=False)
    check_config('{"seed": 1}', main=True)  # of a run started within a run
    check_config('{"seed": 1}', main=False)
    monkeypatch.delenv(CONFIG)
