"""What a run says on the terminal: a line a job, the reasons of a dry run by rule; Snakemake's own log file has all."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from snakemake.logging import DefaultFormatter, format_wildcards, get_event
from snakemake_interface_logger_plugins.common import LogEvent

#: How messages begin that say what Snakemake does and not what is done.
CHATTER = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Conda environments: ignored",
    "Rules claiming more threads",
    "Select jobs to execute",
    "Using shell",
)
#: What another line says, or Snakemake's log file.
SILENT = (LogEvent.JOB_INFO, LogEvent.JOB_FINISHED, LogEvent.JOB_STARTED, LogEvent.WORKFLOW_STARTED)
#: What is said at the end of a dry run, of which the details would be hundreds of jobs.
REASONS = "Reasons:"
#: A file name that a reason names, or what was made by a job.
PARTS = re.compile(r"; (?=[A-Z])")
#: What Snakemake says of a script that broke: the copy that it ran is gone when one reads it.
SCRIPT = re.compile(r"Command '[^']*/\.snakemake/scripts/\w+\.(?P<name>\w+\.py)' (?P<how>.*)")
#: A job's params as Snakemake compares them: modules with a hash of what was reached of them, and settings.
CHANGED = re.compile(r"before: (.*?) now: (.*)", re.S)
MODULE = re.compile(r"'([\w.]+)@\w+'")
#: The verdicts of claims, as their words begin.
VERDICTS = (
    "not reproduced", "not replicated", "does not hold", "reproduced", "replicated", "holds", "not testable", "not run",
)  # fmt: skip
OPPOSITE = "the opposite came out"
MINUTE, HOUR = 60, 3600
#: Letters of a line.
WIDTH = 120
#: When this process began to say things.
BEGAN = time.time()


class Terminal(DefaultFormatter):
    """Formats Snakemake's messages; as a filter it leaves out what `format` says in another line.

    Parameters
    ----------
    quiet, show_failed_logs
        As Snakemake's own.
    dry : bool
        Whether nothing is run.
    """

    def __init__(self, quiet: Iterable[Any] | None, show_failed_logs: bool, dry: bool) -> None:
        super().__init__(quiet, show_failed_logs)
        self._dry, self._began = dry, time.monotonic()
        self._jobs: dict[int, dict[str, Any]] = {}
        self._starts: dict[int, float] = {}
        self._ended: list[int] = []
        self._left: Counter[str] = Counter()
        self._total = 0
        self._took: defaultdict[str, list[float]] = defaultdict(list)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is said by itself; note what is said of its job later."""
        event = get_event(record)
        if event == LogEvent.JOB_INFO:
            self._jobs[record.__dict__["jobid"]] = record.__dict__
            self._starts[record.__dict__["jobid"]] = time.monotonic()
        elif event == LogEvent.JOB_FINISHED:
            self._ended.append(record.__dict__["job_id"])
        elif event == LogEvent.RUN_INFO:
            # A dry run says it again at its end.
            again, self._left = bool(self._left), Counter(record.__dict__["stats"])
            self._left.pop("total", None)
            self._total = self._left.total()
            return not again
        elif event == LogEvent.PROGRESS:
            return bool(self._ended)
        silent = event in SILENT
        return not (silent or (record.levelno <= logging.INFO and str(record.msg).startswith(CHATTER)))

    def format(self, record: logging.LogRecord) -> str:
        """Return the message; at the end of a dry run the reasons by rule."""
        if self._dry and self._jobs and get_event(record) is None and str(record.msg).startswith(REASONS):
            return reasons(self._jobs.values())
        text = str(super().format(record))
        if broken := SCRIPT.search(text):
            return f"{broken['name']} {broken['how']}"
        return text

    def format_run_info(self, msg: dict[str, Any]) -> str:
        """Return how many jobs of which rules there are; in a dry run Snakemake's table."""
        if self._dry:
            return str(msg["msg"])
        return wrapped(f"{self._left.total()} jobs: {', '.join(f'{r} {count}' for r, count in self._left.items())}")

    def format_progress(self, msg: dict[str, Any]) -> str:
        """Return a line for each job that ended since: how many are done, what it was, its time, what time is left."""
        lines, first = [], msg["done"] - len(self._ended) + 1
        # Snakemake counts jobs beyond those that it was asked for (`--until`) too.
        total = self._total or msg["total"]
        for number, jobid in enumerate(self._ended, first):
            job = self._jobs.pop(jobid, None)
            rule = job["rule_name"] if job else "?"
            took = time.monotonic() - self._starts.pop(jobid, time.monotonic())
            self._left[rule] -= 1
            self._took[rule].append(took)
            name = f"{rule} {format_wildcards(job['wildcards'])}" if job else rule
            lines.append(f"{number} of {total}  {name.strip()}  {spoken(took)}")
        self._ended.clear()
        if msg["done"] < total:
            lines[-1] += f"  (about {self._remaining()} left)"
        return "\n".join(lines)

    def _remaining(self) -> str:
        """Return what time is left at the pace of each rule's jobs (of all, where it had none), as many at a time."""
        pace = {rule: sum(took) / len(took) for rule, took in self._took.items()}
        spent = sum(map(sum, self._took.values()))
        usual = spent / sum(map(len, self._took.values()))
        work = sum(count * pace.get(rule, usual) for rule, count in self._left.items() if count > 0)
        return spoken(work / max(1.0, spent / (time.monotonic() - self._began)))

    def _format_job_error(self, msg: dict[str, Any]) -> list[str]:
        """Return what broke and where its reason stands; outputs, no inputs: those may be hundreds."""
        job = self._jobs.get(msg["jobid"])
        names = f" ({format_wildcards(job['wildcards'])})" if job and job["wildcards"] else ""
        short = {**msg, "rule_name": msg["rule_name"] + names, "msg": msg["rule_msg"], "input": [], "shellcmd": ""}
        return list(super()._format_job_error(short))


def spoken(seconds: float) -> str:
    """Return a time in seconds, minutes, or hours and minutes."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds // HOUR:.0f} h {seconds % HOUR / MINUTE:.0f} min"


def wrapped(text: str, indent: str = "") -> str:
    """Return text in lines that a terminal shows whole."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def reasons(jobs: Iterable[Mapping[str, Any]]) -> str:
    """Return why jobs are to run: by reason, with how many of which rules, what changed by name."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for job in jobs:
        for part in PARTS.split(str(job["reason"])):
            found[_kind(part)][job["rule_name"]] += 1
    lines = ["Why (jobs one by one: add -p):"]
    for reason, rules in sorted(found.items()):
        listed = ", ".join(f"{rule} ({count})" for rule, count in sorted(rules.items()))
        lines += [wrapped(f"{reason}:", "  "), wrapped(listed, "    ")]
    return "\n".join(lines)


def _kind(reason: str) -> str:
    """Return a job's reason without the names of its files."""
    what, _, detail = reason.partition(": ")
    changed = CHANGED.search(detail) if what.startswith("Params have changed") else None
    if not changed:
        return what[0].lower() + what[1:].rstrip(".") if what else "no reason given"
    modules = sorted({name for part in changed.groups() for name in MODULE.findall(part)})
    # What is left of the list, without the gaps of modules.
    parts = [[word.strip() for word in MODULE.sub("", part).split(",")] for part in changed.groups()]
    rest = [", ".join(filter(None, part)) for part in parts]
    said = [f"code of {name}" for name in modules]
    if any(part not in ("", "<nothing exclusive>") for part in rest):
        said.append(f"before: {rest[0]} now: {rest[1]}")
    return f"changed: {', '.join(said)}"


def attend(settings: Any) -> None:
    """Have what Snakemake says on the terminal said in this way, but where it is asked for more (`-p`, `--verbose`)."""
    if settings.verbose or settings.printshellcmds or settings.debug_dag:
        return
    for handler in logging.getLogger("snakemake.logging").handlers:
        if handler.name == "DefaultStreamHandler" and not isinstance(handler.formatter, Terminal):
            terminal = Terminal(settings.quiet, settings.show_failed_logs, settings.dryrun)
            handler.setFormatter(terminal)
            handler.addFilter(terminal)


def outcome(page: Path, claims: Path) -> str:
    """Return how many claims came out how, and where the page is; empty where this run did not make it."""
    if not (page.exists() and claims.exists() and page.stat().st_mtime >= BEGAN):
        return ""
    with claims.open(encoding="utf-8", newline="") as file:
        found = [row["verdict"] for row in csv.DictReader(file, delimiter="\t")]
    counts = {word: sum(verdict.startswith(word) for verdict in found) for word in VERDICTS}
    opposite = {word: sum(v.startswith(word) and OPPOSITE in v for v in found) for word in VERDICTS}
    words = {word: f" ({count} the opposite)" if count else "" for word, count in opposite.items()}
    said = ", ".join(f"{count} {word}{words[word]}" for word, count in counts.items() if count) or "none"
    return (
        f"Claims: {said} ({claims.with_suffix('.html')})\nWhat came out, on which data: {page} (open it in a browser)"
    )


def needed(config: Mapping[str, Any]) -> str:
    """Return what the jobs of a config will take, counted in a process of its own: this one loads no torch.

    Parameters
    ----------
    config : mapping
        Snakemake's.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    call = [sys.executable, "-m", "truemap.needs", "-"]
    done = subprocess.run(
        call, input=json.dumps(config, default=str), capture_output=True, text=True, env=environment, check=False
    )
    return (done.stdout + done.stderr).strip()
