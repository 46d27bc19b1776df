"""What has to hold before the first job: the config's files are there, results are what was recorded of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from truemap.config.trained import beside, read_trained
from truemap.data import seen
from truemap.plan.plan import Plan
from truemap.plan.times import catch_up
from truemap.runtime import made as record
from truemap.runtime.files import DataError, spelling
from truemap.runtime.log import log
from truemap.runtime.privacy import without_ids

#: Files that a message lists.
LISTED = 5
#: What to do where a sheet of given maps is still to be written.
FIRST = (
    " To have results/{dataset}/samples.tsv first, which it is written from, make it of its header alone (image, "
    "sample, target, tabs between), and ask snakemake for that file (before --configfile, which takes all that follows "
    "for configs)."
)


class Start:
    """The state of results and sources as a run finds them; jobs are made again where it says that they are stale.

    Parameters
    ----------
    plan : Plan
    outputs : mapping
        Rule -> its outputs, with wildcards in braces.
    benchmarks : mapping
        Rule -> its benchmark, in the same way, where it has one.

    Raises
    ------
    DataError
        If a file that the config names is not there, or results are there that nobody knows the making of.
    """

    def __init__(self, plan: Plan, outputs: Mapping[str, list[str]], benchmarks: Mapping[str, str]) -> None:
        check_files(plan, plan.config.run)
        self._plan = plan
        self._first = {rule: files[0] for rule, files in outputs.items() if files}
        record.link()
        self._record = record.Record()
        self._refuse(self._record.replaced(), "are not what their job wrote")
        found = _matching(pattern for files in outputs.values() for pattern in files)
        self._refuse(record.strangers(found), "have no record of what they were made from (results/.snakemake)")
        firsts = {_expression(self._first[rule]): pattern for rule, pattern in benchmarks.items()}
        catch_up(self._record, lambda first: _same_job(firsts, first))
        #: List of files (`truemap.data.seen`) -> how they differ by now.
        self._changes: dict[Path, str] = {}
        #: Output -> what was said of its job first: the same is said later, when files have come and gone.
        self._values: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    def value(self, rule: str, wildcards: Any) -> str:
        """Return what stands for the inputs of a job in its params, as `truemap.runtime.made.value`.

        Raises
        ------
        DataError
            As at a start, for a dataset that the run does not list but a target on the command line is of.
        """
        if rule not in self._first:
            return ""
        names = dict(wildcards.items())
        output = self._first[rule].format(**names)
        if output not in self._values:
            self._values[output] = self._value(rule, names, output)
        return self._values[output]

    def _value(self, rule: str, names: Mapping[str, str], output: str) -> str:
        entry = self._record.entries.get(output)
        changes = self._look(names["dataset"]) if "dataset" in names else ""
        reason = changes if rule == "samples" else ""
        if rule == "adopt":
            reason = self._look(names["dataset"], names["model"], names["method"])
        reason = reason or ", ".join(self._record.others(output)[:LISTED])
        if entry and reason:
            self.reasons[output] = reason
            log.warning("%s is made again, as other files are there than it was made from: %s", output, reason)
            os.environ[record.REMADE] = f"{os.environ.get(record.REMADE, '')} {record.short(output)}"
        return record.value(entry, bool(reason))

    def outdated(self, output: str) -> bool:
        """Return whether a job's only output is not what it made of the files that are there now."""
        return self._record.settled(output) is None or bool(self._record.others(output))

    def _look(self, dataset: str, *maps: str) -> str:
        place = seen.list_of(dataset, *maps)
        if place not in self._changes:
            check_files(self._plan, [dataset])
            source = self._plan.config.datasets[dataset].source
            self._changes[place] = _changes(place, source.get("endpoint_url"), source.get("cache"))
        return self._changes[place]

    @staticmethod
    def end() -> None:
        """Note the outputs as they are at the end of a run, so that the next start need not read them."""
        record.Record().settle()

    @staticmethod
    def _refuse(files: list[str], what: str) -> None:
        if files:
            more = f" and {len(files) - LISTED} more" if len(files) > LISTED else ""
            raise DataError(
                f"{', '.join(sorted(files)[:LISTED])}{more}: {what}. Put back what was there, the folder "
                "results/.snakemake too; or delete them, and they are made again where something needs them."
            )


def check_files(plan: Plan, datasets: Iterable[str]) -> None:
    """Refuse a config that names files or folders that are not there, in these datasets.

    Snakemake itself takes a missing input for no error once the outputs that were made from it exist.
    """
    faults = []
    for key, path in plan.named_files(datasets):
        if "{" in path:
            faults.append(f"  {key}: {path}: holds '{{', which Snakemake takes for a wildcard. Rename it.")
        elif path.endswith("/") != Path(path).is_dir() or not Path(path).exists():
            reason = "no such folder" if path.endswith("/") else "no such file"
            reason = "a folder, and a file is wanted" if Path(path).is_dir() else reason
            made = FIRST if key.endswith(".maps") else ""
            faults.append(f"  {key}: {path}: {reason}. Paths are relative to {Path.cwd()}.{spelling(path)}{made}")
        elif not os.access(path, os.R_OK):
            faults.append(f"  {key}: {path}: may not be read. Mend its permissions.")
    if faults:
        raise DataError("the config names files that cannot be used:\n" + "\n".join(faults))
    check_trained(plan, datasets)


def check_trained(plan: Plan, datasets: Iterable[str]) -> None:
    """Refuse what is said beside weights and cannot be used; settings are made of it, so that this comes first."""
    for name in datasets:
        for model, path in plan.jobs[name].weights():
            theirs, ours = read_trained(beside(path)).standardize, plan.config.datasets[name].standardize
            if theirs != ours:
                raise DataError(
                    f"{beside(path)}: model {model} was trained on maps with `standardize: {theirs}`, dataset {name} "
                    f"has `standardize: {ours}`. Set the dataset's to {theirs}, or take weights for {ours}."
                )


def _changes(place: Path, endpoint_url: str | None = None, cache: str | None = None) -> str:
    """Return how the files of a list (`truemap.data.seen`) differ by now; empty where they do not."""
    before = seen.read(place)
    if before is None:
        return "there is no list of the files they were listed from"
    now = seen.look(before, before, _remote(place, before, endpoint_url))
    # What is gone from a cache is fetched again when it is needed.
    gone = {path for path in before if cache and not now[path][1] and path.startswith(cache)}
    found = [path for path in seen.changed(before, now) if path not in gone]
    if not found and not gone and now != before:
        seen.write(place, now)
    return f"{len(found)} of {len(before)} files and folders they were listed from have changed" if found else ""


def _remote(place: Path, before: seen.Seen, endpoint_url: str | None) -> dict[str, str]:
    """Return what a bucket says of the objects that were listed; what was noted, where it does not answer."""
    urls = [path for path in before if "://" in path]
    if not urls:
        return {}
    # Costs an import that nobody needs whose maps are files.
    from truemap.datasets._s3 import tags

    try:
        return tags(urls, endpoint_url)
    except DataError as error:
        reason = without_ids(str(error))
        log.warning("%s: its %d maps are taken as they were, as the bucket is silent: %s", place, len(urls), reason)
        return {url: before[url][1] for url in urls}


def _expression(pattern: str) -> re.Pattern[str]:
    """Return an expression for the paths of a pattern with wildcards in braces; it has groups by their names."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(pattern)))


def _same_job(patterns: Mapping[re.Pattern[str], str], path: str) -> str | None:
    """Return the path with the wildcards of another one, by the pattern of the other's; None for no rule's."""
    found = ((expression.fullmatch(path), pattern) for expression, pattern in patterns.items())
    return next((pattern.format(**match.groupdict()) for match, pattern in found if match), None)


def _matching(patterns: Iterable[str]) -> list[str]:
    """Return the files in results/ that a rule may have made; no folder is read that holds none."""
    inside = (pattern.split("/")[1:] for pattern in patterns if pattern.startswith(f"{record.RESULTS}/"))
    parts = {tuple(re.sub(r"\\{\w+\\}", ".+", re.escape(part)) for part in pattern) for pattern in inside}
    found = []

    def look(folder: str, wanted: list[tuple[str, ...]]) -> None:
        for entry in os.scandir(folder):
            rest = [part[1:] for part in wanted if re.fullmatch(part[0], entry.name)]
            if () in rest and entry.is_file():
                found.append(entry.path)
            if any(rest) and not entry.name.startswith(".") and entry.is_dir():
                look(entry.path, list(filter(None, rest)))

    look(str(record.RESULTS), list(parts))
    return found
