"""Which jobs there are: every dataset, model, seed, candidate, method, attack and reference of a config."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import Any

from truemap.config.candidates import candidates
from truemap.config.schema import Dataset, Model, parse

#: Model, seed and method (or attack).
Entry = tuple[str, int, str]


class Jobs:
    """The config, as a list of jobs.

    Parameters
    ----------
    raw : dict
        Snakemake's ``config``.

    Raises
    ------
    ConfigError
        If the config is not usable.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        self.config = parse(raw)

    def dataset(self, wildcards: Any) -> Dataset:
        """The dataset's definition."""
        return self.config.datasets[wildcards.dataset]

    def model(self, wildcards: Any) -> Model:
        """The model's definition; of a swept candidate, its own."""
        return self._models[wildcards.dataset][wildcards.model]

    @cached_property
    def _swept(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Dataset -> name of each swept candidate -> (model, candidate)."""
        return {
            name: {
                f"{model_name}--{candidate}": (model_name, candidate)
                for model_name, model in dataset.models.items()
                if model.sweep
                for candidate in candidates(model)
            }
            for name, dataset in self.config.datasets.items()
        }

    @cached_property
    def _models(self) -> dict[str, dict[str, Model]]:
        """Dataset -> name -> model, swept candidates after the models of the config."""
        result = {}
        for name, dataset in self.config.datasets.items():
            result[name] = dict(dataset.models)
            for swept, (model_name, candidate) in self._swept[name].items():
                model = dataset.models[model_name]
                chosen = {label: model.saliency[label] for label in model.sweep}
                changes = {"training": candidates(model)[candidate], "saliency": chosen, "sweep": []}
                result[name][swept] = model.model_copy(update=changes)
        return result

    def _simulated(self, wildcards: Any) -> bool:
        return bool(self.dataset(wildcards).source.get("simulate"))

    def _tree(self, wildcards: Any) -> str:
        """Return a simulated tree's folder: one for each number of shards, or one job would write over another's."""
        return f"results/{wildcards.dataset}/tree/of-{self.dataset(wildcards).shards}"

    def _replicates(self, wildcards: Any) -> list[tuple[str, int]]:
        return [(name, seed) for name, model in self._models[wildcards.dataset].items() for seed in model.seeds]

    def _attacked(self, wildcards: Any) -> list[Entry]:
        attacks = self.dataset(wildcards).robustness.attacks
        return [(m, s, attack) for m, s in self._replicates(wildcards) for attack in attacks]

    def _explained(self, wildcards: Any) -> list[Entry]:
        models = self._models[wildcards.dataset]
        return [(m, s, method) for m, s in self._replicates(wildcards) for method in models[m].saliency]

    def _finalists(self, wildcards: Any) -> list[Entry]:
        """First seed of every model of the config and each of its methods."""
        models = self.dataset(wildcards).models
        return [(m, s, f) for m, s, f in self._explained(wildcards) if m in models and s == models[m].seeds[0]]

    def _drawn(self, wildcards: Any) -> list[Entry]:
        drawn = self.dataset(wildcards).drawn
        return [e for e in self._finalists(wildcards) if drawn is None or f"{e[0]}/{e[2]}" in drawn]

    def _kinds(self, rule: str) -> list[SimpleNamespace]:
        """Wildcards of one job for each kind that a rule may have, of each dataset that runs."""
        shared = {"split": "train", "shard": "0", "seed": "0", "panel": "a"}
        jobs = [
            SimpleNamespace(
                dataset=d,
                model=m,
                candidate=next(iter(candidates(model))),
                method=method,
                attack=a,
                reference=r,
                **shared,
            )
            for d in self.config.run
            for m, model in self.config.datasets[d].models.items()
            for method in model.saliency
            for a, r in self._extras(d)
        ]
        exists = {
            "simulate": self._simulated,
            "refer": lambda job: job.reference is not None,
            "robustness": lambda job: job.attack is not None,
        }
        return [job for job in jobs if exists.get(rule, bool)(job)]

    def _extras(self, dataset: str) -> list[tuple[str | None, str | None]]:
        """Attacks and references of a dataset side by side, the shorter list filled up: each occurs."""
        robustness, references = self.config.datasets[dataset].robustness, self.config.datasets[dataset].references
        attacks, names = list(robustness.attacks) or [None], list(references) or [None]
        size = max(len(attacks), len(names))
        return list(zip((attacks * size)[:size], (names * size)[:size], strict=True))
