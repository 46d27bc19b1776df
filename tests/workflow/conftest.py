"""Running the real workflow in copies of the checkout."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import tracing
from forking import Forking

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config", "envs", "profiles", "workflow", "CITATION.cff", "tests/workflow/tiny.yaml")
#: Same bytes from the same config; pictures too, as they carry no date.
ENDINGS = {".parquet", ".safetensors", ".npy", ".tsv", ".json", ".svg", ".png", ".gz", ".html"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that run the whole workflow first: of processes side by side one would end long after the others."""
    # Backwards, as the last module has the longest tests.
    workflow = sorted({item.path for item in items if item.path.parent == Path(__file__).parent}, reverse=True)
    items.sort(key=lambda item: workflow.index(item.path) if item.path in workflow else len(workflow))


@dataclass(frozen=True)
class Clone:
    """A copy of the checkout, without results."""

    path: Path

    def snakemake(
        self, *arguments: str, config: str | None = "tests/workflow/tiny.yaml", cores: int = 2, **variables: str
    ):
        """Run snakemake in the copy, with environment variables; return the finished process with its text output."""
        overlay = ["--configfile", config] if config else []
        words = ["--cores", str(cores), *arguments, *overlay]
        environment = {**os.environ, **variables}
        if of_python(environment) != STARTED:
            # Python reads these when it starts.
            command = [sys.executable, "-m", "snakemake", *words]
            return subprocess.run(command, cwd=self.path, text=True, env=environment,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        return forking().run(words, self.path, environment)


def of_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("PYTHON") and name != "PYTHONPATH"}


#: What this process has been started with, and so the one that calls fork.
STARTED = of_python(os.environ)


@cache
def forking() -> Forking:
    return Forking()


def clone(path: Path) -> Clone:
    for part in PARTS:
        source, target = ROOT / part, path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    return compiled(path)


def compiled(path: Path) -> Clone:
    """Have compiled code, copied together with its sources, be younger than these: a start removes what is older."""
    for file in path.rglob("*.pyc"):
        file.touch()
    return Clone(path)


def results(copy: Clone) -> dict[str, bytes]:
    """Return the files under their final names, but the record and what depends on the clock."""
    root = copy.path / "results"
    found = (p for p in root.rglob("*") if p.is_file() and p.suffix in ENDINGS)
    names = ((p.relative_to(root), p) for p in found if not p.name.startswith(".partial-"))
    return {str(n): p.read_bytes() for n, p in names if n.parts[0] not in (".snakemake", "benchmarks")
            and ".checkpoints" not in n.parts and n.stem not in ("resources", "networks", "index")}  # fmt: skip


def copied(source: Clone, path: Path) -> Clone:
    """A copy of a copy, with results and Snakemake's record of them: nothing is run again for the move."""
    shutil.copytree(source.path, path, symlinks=True)
    return compiled(path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the tiny config has run, with two cores: once, however many processes test side by side."""
    path = tmp_path_factory.getbasetemp() / "finished"
    # Each of pytest-xdist's processes has a folder of its own in one that they share.
    shared = path.parent.parent / "finished-once" if "PYTEST_XDIST_WORKER" in os.environ else path
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            running = shared.with_suffix(".running")
            assert not running.exists(), "it failed, as another process says"
            copy = clone(running)
            result = copy.snakemake(PYTHONPATH=tracing.start(running))
            assert result.returncode == 0, result.stdout
            copy.path.rename(shared)
    return Clone(shared) if shared == path else copied(Clone(shared), path)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nothing has run; tests that run something in it use a dataset name of their own."""
    return clone(tmp_path_factory.mktemp("fresh"))
