"""What each rule reads: its files, its part of the config, and the code it stands for.

The Snakefile's input and params functions, as plain Python. Settings are dicts of JSON types with every
default filled in and keys in the order of the config model, so that a job is re-run for a changed value only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from truemap import provenance
from truemap.candidates import candidates, strength
from truemap.config import Dataset, Model, parse
from truemap.params import Params, Settings, method_params, settings_params, signed
from truemap.versions import installed

Files = Callable[[Any], list[str]]
#: Panels of each way of drawing maps: number of the paper's figure.
PANELS = {"images": "1", "glass_brain": "3"}


class Plan:
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
        self.config = parse(raw)
        self.root = Path(root)
        #: GPUs that a training or saliency job asks for.
        self.gpus = int(self.config.device == "cuda" or (self.config.device == "auto" and gpu_present))

    # Lookups

    def dataset(self, wildcards: Any) -> Dataset:
        """The dataset's definition."""
        return self.config.datasets[wildcards.dataset]

    def model(self, wildcards: Any) -> Model:
        """The model's definition."""
        return self.dataset(wildcards).models[wildcards.model]

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

        return method_params(self._script(script), used, self._kinds())

    def _method(self, family: str, wildcards: Any) -> str:
        if family == "datasets":
            return self.dataset(wildcards).source["name"]
        model = self.model(wildcards)
        options = {"networks": model.network, "training": model.training}.get(family)
        return (options or model.saliency[wildcards.method])["name"]

    def _script(self, name: str) -> Path:
        return self.root / "workflow" / "scripts" / f"{name}.py"

    # Files

    def tree_files(self, wildcards: Any) -> list[str]:
        """Lists of the simulated subjects, where the dataset is simulated."""
        shards = range(self.dataset(wildcards).shards) if self._simulated(wildcards) else []
        return [f"results/{wildcards.dataset}/tree/shard-{shard}.tsv" for shard in shards]

    def source_file(self, key: str) -> Files:
        """Input function: the file that the source option `key` names, where there is that option."""

        def files(wildcards: Any) -> list[str]:
            source = self.dataset(wildcards).source
            return [path for part in (source, source.get("simulate") or {}) for k, path in part.items() if k == key]

        return signed(files)

    def mask_file(self, wildcards: Any) -> list[str]:
        """The mask that the config names, if any."""
        mask = self.dataset(wildcards).mask
        return [mask] if mask else []

    def volume_files(self, split: str, ending: str) -> Files:
        """Input function: the shards of one split."""

        def files(wildcards: Any) -> list[str]:
            folder = f"results/{wildcards.dataset}/volumes/{split}"
            return [f"{folder}/{shard}.{ending}" for shard in range(self.dataset(wildcards).shards)]

        return signed(files)

    def candidate_files(self, name: str) -> Files:
        """Input function: one file of each candidate of a model."""

        def files(wildcards: Any) -> list[str]:
            folder = f"results/{wildcards.dataset}/candidates/{wildcards.model}/seed-{wildcards.seed}"
            return [f"{folder}/{candidate}/{name}" for candidate in candidates(self.model(wildcards))]

        return signed(files)

    def score_files(self, wildcards: Any) -> list[str]:
        """Scores of every model, seed and method of a dataset."""
        folder = f"results/{wildcards.dataset}/scores"
        return [f"{folder}/{m}/seed-{s}/{method}.parquet" for m, s, method in self._explained(wildcards)]

    def prediction_files(self, wildcards: Any) -> list[str]:
        """Predictions of every model and seed of a dataset."""
        folder = f"results/{wildcards.dataset}/models"
        return [f"{folder}/{m}/seed-{s}/predictions.parquet" for m, s in self._replicates(wildcards)]

    def drawn_files(self, stage: str, ending: str) -> Files:
        """Input function: what figures draw, the first seed of every model and method."""

        def files(wildcards: Any) -> list[str]:
            folder = f"results/{wildcards.dataset}/{stage}"
            return [f"{folder}/{m}/seed-{s}/{method}{ending}" for m, s, method in self._drawn(wildcards)]

        return signed(files)

    def figure_files(self) -> list[str]:
        """All figures of all datasets that run."""
        return [
            f"results/{name}/figures/figure-{number}{panel}.{ending}"
            for name in self.config.run
            for number in sorted({"2", PANELS[self.config.datasets[name].figures]})
            for panel in "ab"
            for ending in ("svg", "png")
        ]

    # Settings

    def settings(self, rule: str) -> Params:
        """Params that hold a rule's settings, whole and one line a value."""
        jobs = [job for job in self._kinds() if rule != "simulate" or self._simulated(job)]
        return settings_params(getattr(self, f"{rule}_settings"), jobs)

    def simulate_settings(self, wildcards: Any) -> Settings:
        """Of one shard of simulated subjects."""
        dataset = self.dataset(wildcards)
        shard = {"shard": int(wildcards.shard), "shards": dataset.shards}
        return {"simulate": dataset.source["simulate"], "seed": self.config.seed, **shard}

    def samples_settings(self, wildcards: Any) -> Settings:
        """Of the list of samples."""
        root = f"results/{wildcards.dataset}/tree" if self._simulated(wildcards) else None
        return {**self._shared(wildcards, "source", "split"), "seed": self.config.seed, "root": root}

    def grid_settings(self, wildcards: Any) -> Settings:
        """Of the grid and mask."""
        return {**self._shared(wildcards, "source", "mask"), "seed": self.config.seed}

    def volumes_settings(self, wildcards: Any) -> Settings:
        """Of one shard of volumes."""
        part = {"seed": self.config.seed, "split": wildcards.split, "shard": int(wildcards.shard)}
        return {**self._shared(wildcards, "source", "standardize", "precision", "shards"), **part}

    def truth_settings(self, wildcards: Any) -> Settings:
        """Of the class means."""
        return self._shared(wildcards, "source")

    def train_settings(self, wildcards: Any) -> Settings:
        """Of one candidate."""
        model = self.model(wildcards)
        training = candidates(model)[wildcards.candidate]
        return {"network": model.network, "training": training, "seed": int(wildcards.seed), **self._torch()}

    def model_settings(self, wildcards: Any) -> Settings:
        """Of the choice among candidates and of calibration."""
        model = self.model(wildcards)
        choice = {"strength": strength(model), "tolerance": model.tolerance, "calibrate": model.calibrate}
        return {"network": model.network, **choice, **self._torch()}

    def explain_settings(self, wildcards: Any) -> Settings:
        """Of one method's saliency maps."""
        saliency = self.model(wildcards).saliency[wildcards.method]
        return {"saliency": saliency, "seed": self.config.seed, **self._torch()}

    def score_settings(self, wildcards: Any) -> Settings:
        """Of the agreement with truth."""
        return self._shared(wildcards, "average", "voxels")

    def statistics_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's summary and tests."""
        return {
            **self._shared(wildcards, "source"),
            "models": [{"model": m, "seed": s} for m, s in self._replicates(wildcards)],
            "entries": [{"model": m, "seed": s, "method": method} for m, s, method in self._explained(wildcards)],
        }

    def bars_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's figures of mean agreement."""
        return {"entries": self._labels(wildcards), "style": self._style("bars", "dpi")}

    def maps_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's figures of maps."""
        shared = {**self._shared(wildcards, "source", "show", "average"), "seed": self.config.seed}
        return {**shared, "entries": self._labels(wildcards), "style": self._style("colormap", "dpi")}

    # Parts

    def _shared(self, wildcards: Any, *names: str) -> Settings:
        return self.dataset(wildcards).model_dump(mode="json", include=set(names))

    def _torch(self) -> Settings:
        return {"device": self.config.device, "threads": self.config.threads}

    def _style(self, *names: str) -> Settings:
        return self.config.style.model_dump(mode="json", include=set(names))

    def _labels(self, wildcards: Any) -> list[dict[str, str]]:
        models = self.dataset(wildcards).models
        return [
            {"model": m, "method": method, "label": models[m].label or m} for m, _, method in self._drawn(wildcards)
        ]

    def _kinds(self) -> list[SimpleNamespace]:
        """Wildcards of one job for each model, candidate grid and method of each dataset that runs."""
        shared = {"split": "train", "shard": "0", "seed": "0", "panel": "a"}
        return [
            SimpleNamespace(dataset=d, model=m, candidate=next(iter(candidates(model))), method=method, **shared)
            for d in self.config.run
            for m, model in self.config.datasets[d].models.items()
            for method in model.saliency
        ]

    def _simulated(self, wildcards: Any) -> bool:
        return bool(self.dataset(wildcards).source.get("simulate"))

    def _replicates(self, wildcards: Any) -> list[tuple[str, int]]:
        return [(name, seed) for name, model in self.dataset(wildcards).models.items() for seed in model.seeds]

    def _explained(self, wildcards: Any) -> list[tuple[str, int, str]]:
        models = self.dataset(wildcards).models
        return [(m, s, method) for m, s in self._replicates(wildcards) for method in models[m].saliency]

    def _drawn(self, wildcards: Any) -> list[tuple[str, int, str]]:
        models = self.dataset(wildcards).models
        return [(m, s, method) for m, s, method in self._explained(wildcards) if s == models[m].seeds[0]]
