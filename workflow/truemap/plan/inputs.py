"""The files that each rule reads: Snakemake's input functions, as plain Python.

Where files are is spelled in the rules that make them: other rules give those patterns to `Inputs.each`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from truemap.config.dataset import Dataset
from truemap.config.names import AT_RANDOM
from truemap.config.schema import Config
from truemap.config.trained import beside
from truemap.plan.jobs import DatasetJobs, Job, Jobs
from truemap.plan.record import named, signed
from truemap.runtime.privacy import SALT, read_salt

Files = Callable[[Any], list[str]]
#: Options, of a dataset or a part of it, that name a file of the user's.
NAMED = ("sheet", "family", "mask", "peaks", "components")


class Inputs:
    """Input functions of rules.

    Parameters
    ----------
    config : Config
    root : path
        Folder of the Snakefile.
    """

    def __init__(self, config: Config, root: str | Path) -> None:
        self.config, self.jobs, self.root = config, Jobs(config), Path(root)
        #: What a start found (`truemap.plan.start.Start`); None where the process is not a run's first one.
        self.start: Any = None

    def _jobs(self, wildcards: Any) -> DatasetJobs:
        return self.jobs[wildcards.dataset]

    def _dataset(self, wildcards: Any) -> Dataset:
        return self.config.datasets[wildcards.dataset]

    # Files of jobs

    def each(self, rule: str, pattern: str, among: str = "", **fixed: Any) -> Files:
        """Input function: the file of each job that a rule has in the dataset.

        Parameters
        ----------
        rule : str
        pattern : str
            One of the rule's outputs, with wildcards in braces.
        among : str
            The method of `DatasetJobs` that lists those of the rule's jobs that are asked for; default: all.
        fixed
            Wildcards that jobs must have.
        """

        def files(wildcards: Any) -> list[str]:
            jobs = self._jobs(wildcards)
            asked = getattr(jobs, among)() if among else jobs.of(rule)
            found = [job for job in asked if all(job[name] == value for name, value in fixed.items())]
            return [str(pattern).format(dataset=wildcards.dataset, **job) for job in found]

        return signed(files)

    def candidates(self, pattern: str) -> Files:
        """Input function: the file of each training that a job's network is chosen among."""

        def files(wildcards: Any) -> list[str]:
            trainings = self._jobs(wildcards).candidates(wildcards.model, wildcards.seed)
            return [str(pattern).format(dataset=wildcards.dataset, **job) for job in trainings]

        return signed(files)

    def coarser(self, rule: str, pattern: str) -> Files:
        """Input function: as `each`, of the dataset that a dataset's attacked maps are compared with, if any."""

        def files(wildcards: Any) -> list[str]:
            fragility = self._dataset(wildcards).fragility
            other = fragility.coarser if fragility else None
            return list(self.each(rule, pattern)(SimpleNamespace(dataset=other))) if other else []

        return signed(files)

    def every(self, patterns: Mapping[str, Iterable[str]]) -> Files:
        """Input function: the files of each job that rules have in the dataset, by rule -> some of its outputs."""
        found = [self.each(rule, pattern) for rule, of_rule in patterns.items() for pattern in of_rule]
        return signed(lambda wildcards: [path for files in found for path in files(wildcards)])

    def all(self, rule: str, *patterns: str) -> list[str]:
        """Return the files of each job that a rule has, of all datasets that run."""
        files = self.every({rule: patterns})
        return [path for name in self.config.run for path in files(SimpleNamespace(dataset=name))]

    @property
    def running(self) -> str:
        """An expression for the names of the datasets that run."""
        return "|".join(map(re.escape, self.config.run))

    def standing(self, pattern: str, outdated: bool = False) -> Files:
        """Input function: the file of each dataset that this config does not run, where one stands with its record.

        Parameters
        ----------
        pattern : str
            With the wildcard ``{dataset}``.
        outdated : bool
            Rather than the files that are what they were made from, those whose inputs are other ones by now.
        """

        def files(wildcards: Any) -> list[str]:
            own = {pattern.format(dataset=name) for name in self.config.run}
            found = sorted(set(map(str, Path().glob(pattern.format(dataset="*")))) - own)
            return [path for path in found if self.start and self.start.outdated(path) == outdated]

        return signed(files)

    def unless_kept(self, temp: Callable[[str], str], path: str) -> str:
        """Return a saliency output's path, marked by Snakemake's `temp` where the config does not keep maps."""
        return path if self.config.maps.keep else temp(path)

    def models(self, given: bool) -> str:
        """Return a regular expression for `model` in paths of saliency maps: of maps from elsewhere, or of networks.

        Two rules make such paths, and one name may be that of a network in one dataset and of given maps in another.
        """
        datasets = [(name, dataset.given) for name, dataset in self.config.datasets.items() if dataset.given]
        names = [
            rf"(?<=/{re.escape(name)}/saliency/)(?:{'|'.join(map(re.escape, models))})" for name, models in datasets
        ]
        expression = "|".join(names) or "(?!)"
        return expression if given else f"(?!(?:{expression})/)[^/]+"

    # Files that are there before the first job

    def own(self, path: str) -> str:
        """Return where a file of the workflow's own is, from the working directory."""
        return os.path.relpath(self.root / path)

    def named(self, key: str) -> Files:
        """Input function: the file that a dataset, or its source, names under `key`, if any."""

        def file(wildcards: Any) -> list[str]:
            dataset = self._dataset(wildcards)
            path = dataset.source.get(key) or vars(dataset).get(key)
            return [path] if path else []

        return signed(file)

    def trained(self, wildcards: Any) -> list[str]:
        """Input function: weights of networks that are trained already, each with the file beside it.

        Of the job's model and seed, where it has them, else of the dataset.
        """
        job = named(wildcards)
        weights = self._jobs(wildcards).weights(job.get("seed"))
        found = [path for of, path in weights if job.get("model", of) == of]
        return [file for path in found for file in (path, str(beside(path)))]

    def sheet_of_maps(self, wildcards: Any) -> str:
        """Input function: the sheet of a model that is maps from elsewhere."""
        return self._dataset(wildcards).given[wildcards.model].maps[wildcards.method]

    def planted(self, *patterns: str) -> Files:
        """Input function: files of the dataset (`patterns`) that a network is planted by, if it is."""

        def nothing_more(wildcards: Any) -> Job | None:
            return {} if self._jobs(wildcards).network(wildcards.model).planted else None

        return self._where(nothing_more, patterns)

    def permuted(self, *patterns: str) -> Files:
        """Input function: files (`patterns`) of the twin that a job's network has, or its metric compares with."""

        def twin(wildcards: Any) -> Job | None:
            job = named(wildcards)
            asked = {name: job[name] for name in ("model", "metric") if name in job}
            return next((t for t in self._jobs(wildcards).twins() if asked.items() <= t.items()), None)

        return self._where(twin, patterns)

    def ranking(self, pattern: str) -> Files:
        """Input function: the file (`pattern`) of the order in which voxels are removed, unless it is random."""

        def method(wildcards: Any) -> Job | None:
            return None if wildcards.order == AT_RANDOM else {"method": wildcards.order}

        return self._where(method, [pattern])

    def compared(self, pattern: str) -> Files:
        """Input function: the file (`pattern`) of the network's truth that a job's maps are compared with, if any."""

        def asked(wildcards: Any) -> Job | None:
            return self._jobs(wildcards).compared(wildcards.model, wildcards.method) or None

        return self._where(asked, [pattern])

    def _where(self, asked: Callable[[Any], Mapping[str, Any] | None], patterns: Iterable[str]) -> Files:
        """Input function: the files of jobs for which `asked` returns wildcards, to fill in beside their own."""

        def files(wildcards: Any) -> list[str]:
            more = asked(wildcards)
            return [] if more is None else [str(p).format(**{**more, **named(wildcards)}) for p in patterns]

        return signed(files)

    def kept(self, pattern: str) -> Files:
        """Input function: the tables of test maps (`pattern`) where subjects may have been left out, else none."""
        tables = self.each("volumes", pattern, split="test")

        def files(wildcards: Any) -> list[str]:
            return tables(wildcards) if self._dataset(wildcards).on_bad_subject == "skip" else []

        return signed(files)

    def simulation_file(self, key: str) -> Files:
        """Input function: the table that `simulate` names, or the workflow's own."""
        own = self.own(f"config/simulation/task_{key}.tsv")
        return signed(lambda wildcards: self._dataset(wildcards).source["simulate"][key] or own)

    def region_files(self, wildcards: Any) -> list[str]:
        """Input function: the files that a dataset's regions are made from, if any."""
        dataset = self._dataset(wildcards)
        if dataset.regions == "components":
            return [str(self.simulation_file(key)(wildcards)) for key in ("peaks", "components")]
        return [dataset.atlas] if dataset.atlas else []

    def salt_file(self, wildcards: Any) -> list[str]:
        """The secret that pseudonyms hang on, where subjects get some; drawn where there is none."""
        if not self._dataset(wildcards).pseudonymous:
            return []
        read_salt()
        return [str(SALT)]

    def named_files(self, datasets: Iterable[str]) -> list[tuple[str, str]]:
        """Return the files and folders (ending with "/") that datasets name, each with its key."""
        found = []
        for name in datasets:
            dataset = self.config.datasets[name]
            parts = {
                "source.": dataset.source,
                "source.simulate.": dataset.source.get("simulate") or {},
                "": vars(dataset),
            }
            for prefix, part in parts.items():
                found += [(f"datasets.{name}.{prefix}{key}", part[key]) for key in NAMED if part.get(key)]
            if dataset.atlas:
                found.append((f"datasets.{name}.regions", dataset.atlas))
            for model, path in self.jobs[name].weights():
                key = f"datasets.{name}.models.{model}.weights"
                found += [(key, path), (f"{key}, JSON beside it", str(beside(path)))]
            for model, given in dataset.given.items():
                found += [(f"datasets.{name}.models.{model}.maps", path) for path in given.maps.values()]
            root = dataset.source.get("root")
            if root and "://" not in root:
                found.append((f"datasets.{name}.source.root", f"{root.rstrip('/')}/"))
        return found
