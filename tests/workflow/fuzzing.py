"""A checkout with data that a fuzz works on, and what a clean run of the same config, files and code gives."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import nibabel as nib
import numpy as np
import psutil
import yaml
from conftest import Clone, clone, results

#: What a run makes; all else in a checkout is what it is made from.
MADE = {"results", "store", "logs", ".snakemake", "private"}
#: Jobs end by themselves once their scheduler is gone, Python's start included; s.
END = 60
SHAPE, AFFINE = (6, 7, 6), np.diag([8.0, 8.0, 8.0, 1.0])
CONDITIONS = ("a", "b")
#: As people have it: Python may keep compiled code.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT["OMP_NUM_THREADS"] = "1"
#: Of a full run; fewer make a search faster.
TARGETS = os.environ.get("FUZZ_TARGETS", "").split()
MODEL = {
    "network": "linear",
    "training": {"name": "standard", "epochs": 2, "batch_size": 8},
    "saliency": ["gradient"],
}
DATASET = {
    "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
    "references": {"group_truth": None},
    "robustness": {"attacks": {}},
    "models": {"linear": MODEL},
}
SOURCES = {
    "sheet": {"name": "sheet", "sheet": "data/samples.tsv"},
    "simulated": {"name": "hcp", "simulate": {"subjects": 8, "resolution": 8}},
}


class Failure(AssertionError):
    """What a fuzz found, with the way to it."""


class World:
    """A checkout with a dataset called ``fuzz``; steps change it, and are written down.

    Parameters
    ----------
    kind : {"sheet", "simulated"}
    seed : int
    folder : path
        Empty; checkouts are made in it.
    """

    def __init__(self, kind: str, seed: int, folder: Path) -> None:
        self.kind, self.seed, self.folder = kind, seed, folder
        self.random, self.values = Random(f"{kind} {seed}"), np.random.default_rng(seed)
        self.copies, self.steps, self.ran = 0, [], 0
        self.lost: set[str] = set()
        self._clean: dict[str, dict[str, bytes]] = {}
        self.copy = clone(folder / "0")
        self.config = {"run": ["fuzz"], "device": "cpu", "datasets": {"fuzz": yaml.safe_load(yaml.safe_dump(DATASET))}}
        self.dataset["source"] = yaml.safe_load(yaml.safe_dump(SOURCES[kind]))
        self.rows: list[list[str]] = []
        if kind == "sheet":
            for subject in range(12):
                self.add_subject(f"s{subject:02d}")
            self.write_sheet()
        self.write_config()

    # State

    @property
    def root(self) -> Path:
        return self.copy.path

    @property
    def data(self) -> Path:
        (self.root / "data").mkdir(exist_ok=True)
        return self.root / "data"

    @property
    def dataset(self) -> dict:
        return self.config["datasets"]["fuzz"]

    def write_config(self) -> None:
        (self.root / "fuzz.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))

    def write_sheet(self) -> None:
        lines = [["image", "subject", "label", "condition"], *self.rows]
        (self.data / "samples.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))

    def add_subject(self, subject: str) -> None:
        for label in ("left", "right"):
            for condition in CONDITIONS:
                name = f"{subject}-{label}-{condition}.nii"
                self.write_map(self.data / name, (1 if label == "left" else -1) * self.pattern)
                self.rows.append([name, subject, label, condition])

    @property
    def pattern(self) -> np.ndarray:
        return np.linspace(-1, 1, SHAPE[0])[:, None, None] * np.ones(SHAPE)

    def write_map(self, path: Path, mean: np.ndarray | float = 0.0) -> None:
        """Write a map of random values with zeros around the brain; all maps have one size."""
        values = self.values.normal(mean, 1.0, SHAPE).astype(np.float32)
        values[[0, -1]] = 0
        nib.save(nib.Nifti1Image(values, AFFINE), path)

    def images(self) -> list[Path]:
        """Return the images of the sheet."""
        return [self.data / row[0] for row in self.rows]

    def inputs(self) -> list[Path]:
        """Return the files that results are to follow from."""
        tops = [top for top in self.root.iterdir() if top.name not in MADE]
        found = [path for top in tops for path in (top, *top.rglob("*"), self.root / "private/salt")]
        return sorted({path for path in found if path.is_file() and "__pycache__" not in path.parts})

    def made(self) -> list[Path]:
        """Return the files of results and private/ but the record and the salt."""
        found = [*(self.root / "results").rglob("*"), *(self.root / "private").rglob("*")]
        return [p for p in sorted(found) if p.is_file() and ".snakemake" not in p.parts and p.name != "salt"]

    def draw(self) -> Path | None:
        """Return a file that was made, a simulated map not as often as there are many; None where there are none."""
        files = [path for path in self.made() if "benchmarks" not in path.parts]
        few = [path for path in files if path.name != "cope1.nii.gz"]
        return self.random.choice(files if self.random.random() < 0.2 else few) if few else None

    # Runs

    def command(self, *arguments: str) -> list[str]:
        options = ["--cores", "2", "--configfile", "fuzz.yaml", "--rerun-incomplete"]
        return [sys.executable, "-m", "snakemake", *options, *(arguments or TARGETS)]

    def run(self, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        """Run to the end, the command perhaps with another one before it; unlock where a kill left a lock."""
        command = [*before, *self.command(*arguments)]
        pipes = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        result = subprocess.run(command, cwd=self.root, env=ENVIRONMENT, **pipes)
        if "Directory cannot be locked" in result.stdout:
            subprocess.run(self.command("--unlock"), cwd=self.root, env=ENVIRONMENT, check=False, **pipes)
            result = subprocess.run(command, cwd=self.root, env=ENVIRONMENT, **pipes)
        return result

    def start(self) -> subprocess.Popen:
        """Start a run, in a process group of its own."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = self.command("--nolock", *TARGETS)
        return subprocess.Popen(command, cwd=self.root, env=ENVIRONMENT, start_new_session=True, **quiet)

    def check(self) -> None:
        """Run, twice, and compare with a clean run of the same state; raise `Failure` where that shows a fault."""
        result = self.run()
        if result.returncode:
            result = self.run_again(result.stdout)
        self.ran += 1
        again = self.run()
        if again.returncode or "Nothing to be done" not in again.stdout:
            raise self.failure("a second run had work to do", again.stdout)
        wanted, found = self.clean(), self.found(self.copy)
        # What was lost by hand, or not kept, is made again where something needs it.
        different = [n for n in wanted if found.get(n) != wanted[n] and not (n in self.lost and n not in found)]
        if different:
            raise self.failure(f"differs from a clean run: {different}", result.stdout)
        self.steps.append(f"== run {self.ran}: {len(wanted)} files equal")

    def run_again(self, output: str) -> subprocess.CompletedProcess:
        """Do what a refusal asks for, and run again: delete outputs that were spoilt, by the names that it gives."""
        for _ in range(20):
            refused = re.search(r"(\S.*): (?:are not what their job wrote|have no record)", output)
            tree = re.search(r"simulated\. Delete (\S+),", output)
            if not (refused and self.spoilt) and not (tree and self.spoilt):
                raise self.failure("a run failed", output)
            for name in [tree[1]] if tree else re.findall(r"(?:results|private)/[^\s,]+", refused[1]):
                self.lose(self.root / name)
            result = self.run()
            output = result.stdout
            if not result.returncode:
                self.spoilt = False
                return result
        raise self.failure("refused again and again", output)

    #: Whether outputs were changed by hand, so that a refusal is right.
    spoilt = False

    def lose(self, path: Path) -> None:
        """Delete an output, or a folder of outputs; a part of a simulated tree makes the whole of it refused."""
        self.spoilt |= "tree" in path.parts
        for file in [path, *path.rglob("*")]:
            self.lost.add(str(file.relative_to(self.root)).removeprefix("results/"))
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def clean(self) -> dict[str, bytes]:
        """Return what a run in a fresh checkout gives, of the same state."""
        files = {str(path.relative_to(self.root)): path for path in self.inputs()}
        state = hashlib.sha256(repr([(n, p.read_bytes()) for n, p in files.items()]).encode()).hexdigest()
        if state not in self._clean:
            copy = Clone(self.folder / "clean")
            for name, path in files.items():
                (copy.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy.path / name)
            pipes = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            result = subprocess.run(self.command(), cwd=copy.path, env=ENVIRONMENT, check=False, **pipes)
            if result.returncode:
                raise self.failure("a clean run failed", result.stdout)
            self._clean[state] = self.found(copy)
            shutil.rmtree(copy.path)
        return self._clean[state]

    @staticmethod
    def found(copy: Clone) -> dict[str, bytes]:
        """Return the files to compare: what `results` gives, and the list of images."""
        private = {str(p.relative_to(copy.path)): p.read_bytes() for p in copy.path.glob("private/*/images.tsv")}
        return results(copy) | private

    def failure(self, what: str, output: str) -> Failure:
        steps = "\n".join(f"  {number}. {step}" for number, step in enumerate(self.steps))
        return Failure(f"{self.kind}, seed {self.seed}: {what}\nafter\n{steps}\nin {self.root}\n{output[-6000:]}")

    # Mishaps that need more than a line

    def kill(self, whom: str) -> None:
        """Start a run and end it, or a part of it, at some moment."""
        process = self.start()
        try:
            process.wait(timeout=self.random.uniform(2.0, 16.0))
            return
        except subprocess.TimeoutExpired:
            pass
        if whom == "group":
            os.killpg(process.pid, signal.SIGKILL)
        elif whom == "interrupt":
            os.killpg(process.pid, signal.SIGINT)
        else:
            os.kill(process.pid, signal.SIGSTOP)
            jobs = psutil.Process(process.pid).children(recursive=True)
            if whom == "main":
                os.kill(process.pid, signal.SIGKILL)
                _, alive = psutil.wait_procs(jobs, timeout=END)
                if alive:
                    raise self.failure(f"{[job.cmdline() for job in alive]} outlived their scheduler", "")
            else:
                if jobs:
                    self.random.choice(jobs).kill()
                os.kill(process.pid, signal.SIGCONT)
        process.wait()

    def move(self, times: bool) -> None:
        """Go on in a fresh checkout, with copies of all that was there."""
        self.copies += 1
        new = self.folder / str(self.copies)
        keep = "--archive" if times else "--recursive"
        subprocess.run(["cp", keep, self.root, new], check=True)
        shutil.rmtree(new / ".snakemake", ignore_errors=True)
        shutil.rmtree(self.root)
        self.copy = Clone(new)
