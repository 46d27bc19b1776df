"""What each rule reads: its files, its part of the config, and the code it stands for.

The Snakefile's input and params functions, as plain Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from truemap.config.candidates import candidates
from truemap.plan import code as provenance
from truemap.plan.record import Params, Settings, method_params, settings_params, signed
from truemap.plan.settings import JobSettings
from truemap.runtime.privacy import SALT, read_salt
from truemap.runtime.versions import installed

Files = Callable[[Any], list[str]]
#: Options, of a dataset or a part of it, that name a file of the user's.
NAMED = ("sheet", "family", "mask", "peaks", "components")
#: Panels of each way of drawing maps: number of the paper's figure.
PANELS = {"images": "1", "glass_brain": "3"}


class Plan(JobSettings):
    """The config, as rules ask for it.

    Parameters
    ----------
    raw : dict
        Snakemake's ``config``.
    root : path
        Folder of the Snakefile.
    gpu_present : bool
        Whether this machine has a GPU (asked only where ``device`` is ``auto``).

    Raises
    ------
    ConfigError
        If the config is not usable.
    """

    def __init__(self, raw: Settings, root: str | Path, gpu_present: bool) -> None:
        super().__init__(raw)
        self.root = Path(root)
        #: What a start found (`truemap.plan.start.Start`); None where the process is not a run's first one.
        self.start: Any = None
        #: GPUs that a training or saliency job asks for.
        self.gpus = int(self.config.device == "cuda" or (self.config.device == "auto" and gpu_present))

    # Code

    def code(self, script: str) -> dict[str, str]:
        """Params that stand for a script's code, one a module, and one a package that counts as code."""
        packages = {f"package_{number}": name for number, name in enumerate(self.config.provenance.packages)}
        versions = {key: f"{name} {installed(name)}" for key, name in packages.items()}
        return {**provenance.code(self._script(script)), **versions}

    def methods(self, script: str, *families: str) -> Params:
        """Params that stand for the methods of these families that a job's settings name, one a module."""

        def used(wildcards: Any) -> list[str]:
            return [f"truemap.{family}.{self._method(family, wildcards)}" for family in families]

        return method_params(self._script(script), used, self._kinds(script))

    def _method(self, family: str, wildcards: Any) -> str:
        dataset = self.dataset(wildcards)
        if family == "datasets":
            return dataset.source["name"]
        if family == "references":
            return dataset.references[wildcards.reference]["name"]
        if family == "attacks":
            return dataset.robustness.attacks[wildcards.attack]["name"]
        model = self.model(wildcards)
        options = {"networks": model.network, "training": model.training}.get(family)
        return (options or model.saliency[wildcards.method])["name"]

    def record(self, rule: str) -> Params:
        """Param that changes when a job has to be made again because its inputs are not those that it read."""
        return {"record": signed(lambda wildcards: self.start.value(rule, wildcards) if self.start else "")}

    def _script(self, name: str) -> Path:
        return self.root / "workflow" / "scripts" / f"{name}.py"

    # Files

    def tree_files(self, wildcards: Any) -> list[str]:
        """Lists of the simulated subjects, where the dataset is simulated."""
        if not self._simulated(wildcards):
            return []
        return [f"{self._tree(wildcards)}/shard-{shard}.tsv" for shard in range(self.dataset(wildcards).shards)]

    def own(self, path: str) -> str:
        """Return where a file of the workflow's own is, from the working directory."""
        return os.path.relpath(self.root / path)

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
            root = dataset.source.get("root")
            if root and "://" not in root:
                found.append((f"datasets.{name}.source.root", f"{root.rstrip('/')}/"))
        return found

    def sheet_file(self, wildcards: Any) -> list[str]:
        """The sheet that the config names, where the source is one."""
        sheet = self.dataset(wildcards).source.get("sheet")
        return [sheet] if sheet else []

    def simulation_file(self, key: str) -> Files:
        """Input function: the table that `simulate` names, or the workflow's own."""
        own = self.own(f"config/simulation/task_{key}.tsv")
        return signed(lambda wildcards: self.dataset(wildcards).source["simulate"][key] or own)

    def salt_file(self, wildcards: Any) -> list[str]:
        """The secret that pseudonyms hang on, where subjects get some; drawn where there is none."""
        if not self._pseudonyms(wildcards):
            return []
        read_salt()
        return [str(SALT)]

    def mask_file(self, wildcards: Any) -> list[str]:
        """The mask that the config names, if any."""
        mask = self.dataset(wildcards).mask
        return [mask] if mask else []

    def family_file(self, wildcards: Any) -> list[str]:
        """The list of families that the config names, if any."""
        family = self.dataset(wildcards).family
        return [family] if family else []

    def volume_files(self, split: str, ending: str) -> Files:
        """Input function: the shards of one split."""

        def files(wildcards: Any) -> list[str]:
            folder = f"results/{wildcards.dataset}/volumes/{split}"
            return [f"{folder}/{shard}.{ending}" for shard in range(self.dataset(wildcards).shards)]

        return signed(files)

    def all_volume_files(self, ending: str) -> Files:
        """Input function: the shards of all splits."""
        parts = [self.volume_files(split, ending) for split in ("train", "validation", "test")]
        return signed(lambda wildcards: [path for files in parts for path in files(wildcards)])

    def candidate_files(self, name: str) -> Files:
        """Input function: one file of each candidate of a model."""

        def files(wildcards: Any) -> list[str]:
            model, *chosen = self._swept[wildcards.dataset].get(wildcards.model, (wildcards.model,))
            folder = f"results/{wildcards.dataset}/candidates/{model}/seed-{wildcards.seed}"
            return [f"{folder}/{candidate}/{name}" for candidate in chosen or candidates(self.model(wildcards))]

        return signed(files)

    def score_files(self, wildcards: Any) -> list[str]:
        """Scores of every model, seed and method of a dataset."""
        folder = f"results/{wildcards.dataset}/scores"
        return [f"{folder}/{m}/seed-{s}/{method}.parquet" for m, s, method in self._explained(wildcards)]

    def background_files(self, wildcards: Any) -> list[str]:
        """Class means of the training maps, those of chosen conditions too."""
        names = ["background", *(["background-chosen"] if self._chosen(wildcards) else [])]
        return [f"results/{wildcards.dataset}/truth/{name}.parquet" for name in names]

    def prediction_files(self, wildcards: Any) -> list[str]:
        """Predictions of every model and seed of a dataset."""
        folder = f"results/{wildcards.dataset}/models"
        return [f"{folder}/{m}/seed-{s}/predictions.parquet" for m, s in self._replicates(wildcards)]

    def reference_files(self, wildcards: Any) -> list[str]:
        """Scores of a dataset's references."""
        folder = f"results/{wildcards.dataset}/references"
        return [f"{folder}/{name}.parquet" for name in self.dataset(wildcards).references]

    def robustness_files(self, wildcards: Any) -> list[str]:
        """Robustness of every model and seed of a dataset under every attack."""
        folder = f"results/{wildcards.dataset}/robustness"
        return [f"{folder}/{m}/seed-{s}/{attack}.parquet" for m, s, attack in self._attacked(wildcards)]

    def history_files(self, wildcards: Any) -> list[str]:
        """Training curves of a dataset's swept candidates."""
        folder = f"results/{wildcards.dataset}/candidates"
        return [
            f"{folder}/{m}/seed-{s}/{candidate}/history.parquet"
            for m, candidate in self._swept[wildcards.dataset].values()
            for s in self.dataset(wildcards).models[m].seeds
        ]

    def drawn_files(self, stage: str, ending: str) -> Files:
        """Input function: what figures draw, the first seed of every model and method."""

        def files(wildcards: Any) -> list[str]:
            folder = f"results/{wildcards.dataset}/{stage}"
            return [f"{folder}/{m}/seed-{s}/{method}{ending}" for m, s, method in self._drawn(wildcards)]

        return signed(files)

    def unless_kept(self, temp: Callable[[str], str], path: str) -> str:
        """Return a saliency output's path, marked by Snakemake's `temp` where the config does not keep maps."""
        return path if self.config.maps.keep else temp(path)

    def figure_files(self) -> list[str]:
        """All figures of all datasets that run."""
        files = []
        for name in self.config.run:
            numbers = sorted({"2", PANELS[self.config.datasets[name].figures]})
            figures = [f"figure-{number}{panel}" for number in numbers for panel in "ab"]
            figures += ["grid-informative", "grid-pairwise", *(["strength"] if self._swept[name] else [])]
            files += [f"results/{name}/figures/{figure}.{ending}" for figure in figures for ending in ("svg", "png")]
        return files

    # Settings

    def settings(self, rule: str) -> Params:
        """Params that hold a rule's settings, whole and one line a value."""
        return settings_params(getattr(self, f"{rule}_settings"), self._kinds(rule))
