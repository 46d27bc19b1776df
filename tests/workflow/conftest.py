"""Running the real workflow in copies of the checkout."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config", "envs", "profiles", "workflow", "tests/workflow/tiny.yaml")
#: Same bytes from the same config; pictures too, as they carry no date.
ENDINGS = {".parquet", ".safetensors", ".npy", ".tsv", ".json", ".svg", ".png", ".gz", ".html"}


@dataclass(frozen=True)
class Clone:
    """A copy of the checkout, without results."""

    path: Path

    def snakemake(self, *arguments: str, config: str | None = "tests/workflow/tiny.yaml", cores: int = 2):
        """Run snakemake in the copy; return the finished process with its text output."""
        overlay = ["--configfile", config] if config else []
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments, *overlay]
        return subprocess.run(command, cwd=self.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def clone(path: Path) -> Clone:
    for part in PARTS:
        source, target = ROOT / part, path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return Clone(path)


def results(copy: Clone) -> dict[str, bytes]:
    """Return the files under their final names, but the record and what depends on the clock."""
    root = copy.path / "results"
    found = (p for p in root.rglob("*") if p.is_file() and p.suffix in ENDINGS)
    names = ((p.relative_to(root), p) for p in found if not p.name.startswith(".partial-"))
    return {str(n): p.read_bytes() for n, p in names if n.parts[0] not in (".snakemake", "benchmarks", "resources.tsv")
            and ".checkpoints" not in n.parts and n.name != "resources.html"}  # fmt: skip


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the tiny config has run, with two cores."""
    copy = clone(tmp_path_factory.mktemp("finished"))
    result = copy.snakemake()
    assert result.returncode == 0, result.stdout
    return copy


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nothing has run; tests that run something in it use a dataset name of their own."""
    return clone(tmp_path_factory.mktemp("fresh"))
