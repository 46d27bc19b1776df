"""A Slurm cluster on this machine, copies of the checkout set up for it, and jobs caught at work."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PARTS = ("Snakefile", "config", "envs", "profiles", "workflow", "CITATION.cff", "tests/cluster")
PROFILE = "profiles/slurm"
#: Seconds after which something hangs; nothing is expected to take this long.
PATIENCE = 900


class NoSlurm(Exception):
    """This machine cannot have a cluster; the message says why."""


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Have a cluster for as long as the block lasts."""
    started = subprocess.run([HERE / "slurm", "start", folder], stderr=subprocess.PIPE, text=True)
    if started.returncode == 77:
        raise NoSlurm(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    try:
        yield
    finally:
        subprocess.run([HERE / "slurm", "stop", folder], check=True)


def ask(*command: str) -> str:
    """Return what one of Slurm's commands prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def soon(get: Callable[[], Any], what: str) -> Any:
    """Return the first true answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if answer := get():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not after {PATIENCE} s: {what}")


@dataclass(frozen=True)
class Job:
    """What Slurm knows of a job."""

    number: int
    #: As the plugin writes it: ``rule_train_wildcards_tiny_linear_0_l2-0.1``, say.
    comment: str
    state: str
    gpus: str
    partition: str
    megabytes: int
    minutes: int
    node: str

    @property
    def rule(self) -> str:
        return self.comment.split("_")[1]

    @classmethod
    def parse(cls, line: str) -> "Job":
        fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
        days, _, clock = fields["TimeLimit"].rpartition("-")
        hours, minutes, _ = map(int, clock.split(":"))
        memory = fields["MinMemoryNode"]
        return cls(
            number=int(fields["JobId"]),
            comment=fields["Comment"],
            state=fields["JobState"],
            gpus=fields.get("TresPerJob", ""),
            partition=fields["Partition"],
            megabytes=int(memory[:-1]) * (1024 if memory.endswith("G") else 1),
            minutes=(int(days or 0) * 24 + hours) * 60 + minutes,
            node=fields["NodeList"],
        )


def crash(job: Job) -> None:
    """Let a job's node fail: Slurm hears of it, and whatever ran there is gone. The node itself comes back at once."""
    ask("scontrol", "update", f"NodeName={job.node}", "State=DOWN", "Reason=test")
    for process in psutil.process_iter(["environ"]):
        environment = process.info["environ"] or {}
        if (environment.get("SLURM_CLUSTER_NAME"), environment.get("SLURM_JOB_ID")) == ("tests", f"{job.number}"):
            process.kill()


@dataclass(frozen=True)
class Checkout:
    """A copy of the checkout, without results."""

    path: Path

    @classmethod
    def copy(cls, path: Path) -> "Checkout":
        for part in PARTS:
            source, target = ROOT / part, path / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        return cls(path)

    def start(self, log: str, *arguments: str, configs: list[str]) -> subprocess.Popen:
        """Start snakemake; its output goes to the file `log`."""
        files = [f"tests/cluster/{name}.yaml" for name in configs]
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", *files]
        with (self.path / log).open("w") as output:
            # A shell ignores Ctrl-C for what it runs in the background, pytest perhaps, and that is inherited.
            heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
            return subprocess.Popen(command, cwd=self.path, stdout=output, stderr=subprocess.STDOUT, preexec_fn=heed)

    def jobs(self) -> list[Job]:
        """Return the Slurm jobs of this copy in the order they were submitted."""
        lines = ask("scontrol", "show", "job", "--oneliner").splitlines()
        mine = [Job.parse(line) for line in lines if f" WorkDir={self.path} " in line]
        return sorted(mine, key=lambda job: job.number)

    def set_up_profile(self, seconds_before_checks: int, **resources: dict[str, str]) -> None:
        """Fill in the profile as a user would, with short waits and some rules' resources."""
        path = self.path / PROFILE / "config.yaml"
        profile = yaml.safe_load(path.read_text())
        profile["slurm-init-seconds-before-status-checks"] = seconds_before_checks
        profile["default-resources"] = {"slurm_partition": "cpu"}
        for rule, asked in profile["set-resources"].items():
            asked.update(slurm_partition="gpu", **resources.get(rule, {}))
        path.write_text(yaml.safe_dump(profile))

    def at_work(self, log: str) -> psutil.Process | None:
        """Return the process that has a rule's log open, if there is one: that of a script at work."""
        name = str(self.path / log)
        for process in psutil.process_iter(["open_files"]):
            if any(file.path == name for file in process.info["open_files"] or []):
                return process
        return None

    def end_processes(self) -> None:
        """Kill what still runs in this copy."""
        for process in psutil.process_iter(["cwd"]):
            if process.info["cwd"] and Path(process.info["cwd"]) == self.path:
                process.kill()
