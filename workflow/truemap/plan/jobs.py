"""Which jobs there are: of each rule and dataset, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from truemap.config.candidates import candidates
from truemap.config.dataset import Dataset
from truemap.config.models import GivenMaps, Model
from truemap.config.names import AT_RANDOM, ATTRIBUTION, BASELINES, DEGRADED, GRADIENT, SPLITS
from truemap.config.options import TwinOptions
from truemap.config.probes import Fragility
from truemap.config.registry import resolved_options
from truemap.config.schema import Config
from truemap.plan.record import named

#: Wildcards of a job by name, but for its dataset's.
Job = dict[str, Any]
#: Wildcards in which jobs of one kind differ: their settings have the same keys, and their methods are the same.
ALIKE = ("seed", "candidate", "split", "shard", "order", "fraction")


class Jobs:
    """The config, as a list of jobs.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._by_rule: dict[str, Callable[[Any], list[Job]]] = {
            "simulate": self._simulations,
            "volumes": self._volumes,
            "regions": self._if(lambda wildcards: self.dataset(wildcards).regions),
            "shapley": self._games,
            "planted": self._if(self.planted),
            "background_chosen": self._if(lambda wildcards: self.dataset(wildcards).listed),
            "networks": self._if(lambda wildcards: self.dataset(wildcards).networks),
            "train": self._trainings,
            "model": self.replicates,
            "permute": self.twins,
            "permutation": self._if(self.twins),
            "rank": lambda wildcards: [{**job, "method": method} for job, method in self._ranked(wildcards)],
            "retrain": self._retrained,
            "roar": self._if(self._ranked),
            "explain": lambda wildcards: self._of_kind(Model, wildcards),
            "adopt": lambda wildcards: self._of_kind(GivenMaps, wildcards),
            "subject_maps": lambda wildcards: self.drawn(wildcards) if self._brains(wildcards) else [],
            "score": self.explained,
            "refer": lambda wildcards: [{"reference": name} for name in self.dataset(wildcards).references],
            "robustness": self._attacks,
            "attack_maps": self._map_attacks,
            "fragility": self._if(lambda wildcards: self.dataset(wildcards).fragility),
            "dimension": self._if(self._coarser),
            "influence": self._influences,
            "influences": self._if(lambda wildcards: self.dataset(wildcards).influence),
            "figure_influence": self._if(lambda wildcards: self.dataset(wildcards).influence),
            "angles": self._angles,
            "angle_summary": self._if(lambda wildcards: self.dataset(wildcards).angles),
            "figure_angles": self._if(lambda wildcards: self.dataset(wildcards).angles),
            "measure": self._measured,
            "anchors": self._anchored,
            "metrics": self._if(lambda wildcards: self.dataset(wildcards).metrics),
            "predict": self._if(lambda wildcards: self.dataset(wildcards).metrics),
            "figure_1": self._if(lambda wildcards: not self._brains(wildcards)),
            "figure_3": self._if(self._brains),
            "figure_prediction": self._if(lambda wildcards: self.dataset(wildcards).metrics),
            "figure_strength": self._if(self.swept),
            "figure_fragility": self._if(lambda wildcards: self.dataset(wildcards).fragility),
        }

    def of(self, rule: str, wildcards: Any) -> list[Job]:
        """Return the jobs that a rule has in a dataset, by their wildcards."""
        return self._by_rule[rule](wildcards) if rule in self._by_rule else [{}]

    def kinds(self, rule: str) -> list[SimpleNamespace]:
        """Return the wildcards of one job for each kind that a rule has, over all datasets that run."""
        found: dict[tuple[Any, ...], SimpleNamespace] = {}
        for name in self.config.run:
            for job in self.of(rule, SimpleNamespace(dataset=name)):
                kind = tuple(value for key, value in job.items() if key not in ALIKE)
                found.setdefault((name, *kind), SimpleNamespace(dataset=name, **job))
        return list(found.values())

    # A dataset and its models

    def dataset(self, wildcards: Any) -> Dataset:
        """Return the dataset's definition."""
        return self.config.datasets[wildcards.dataset]

    def model(self, wildcards: Any) -> Model:
        """Return the definition of a network; of a swept candidate, its own."""
        model = self._models[wildcards.dataset][wildcards.model]
        if not isinstance(model, Model):
            raise TypeError(f"'{wildcards.model}' is no network")
        return model

    def fragility(self, wildcards: Any) -> Fragility:
        """Return how a dataset's maps are attacked."""
        fragility = self.dataset(wildcards).fragility
        if fragility is None:
            raise TypeError(f"maps of '{wildcards.dataset}' are not attacked")
        return fragility

    def methods(self, family: str, wildcards: Any) -> list[dict[str, Any]]:
        """Return a family's methods that a job uses, with their options: one, of a job that is of a model's one."""
        dataset, job = self.dataset(wildcards), named(wildcards)
        if family == "datasets":
            return [dataset.source]
        if family in ("references", "attacks", "map_attacks", "metrics"):
            key = family.removeprefix("map_").removesuffix("s")
            found = {} if family.endswith("attacks") else getattr(dataset, family)
            if attacking := {"attacks": dataset.robustness, "map_attacks": dataset.fragility}.get(family):
                found = attacking.attacks
            if family == "metrics" and "model" in job and key not in job:
                found = self.of_anchors(wildcards)
            return [found[job[key]]] if key in job else list(found.values())
        models = [self.model(wildcards)] if "model" in job else list(dataset.networks.values())
        if family == "saliency":
            labelled = [(label, method) for model in models for label, method in model.saliency.items()]
            return [method for label, method in labelled if job.get("method", label) == label]
        used = [{"networks": model.network, "training": model.training}[family] for model in models]
        return [method for method in used if method]

    def weights(self, wildcards: Any, seed: Any = None) -> list[tuple[str, str]]:
        """Return name and file of every network of a dataset that is trained already; of one seed, if it is given."""
        given = [(name, model) for name, model in self.dataset(wildcards).networks.items() if model.weights]
        seeds = [(name, str(model.weights), f"{one}") for name, model in given for one in model.seeds]
        return [(name, path.replace("{seed}", one)) for name, path, one in seeds if seed is None or one == f"{seed}"]

    def swept(self, wildcards: Any) -> dict[str, tuple[str, str]]:
        """Return the name of each swept candidate -> (model, candidate)."""
        return self._swept[wildcards.dataset]

    # Jobs of more than one rule, or a part of those of one

    def replicates(self, wildcards: Any) -> list[Job]:
        """Return model and seed of every trained network."""
        models = self._models[wildcards.dataset].items()
        return [{"model": name, "seed": s} for name, model in models if isinstance(model, Model) for s in model.seeds]

    def explained(self, wildcards: Any) -> list[Job]:
        """Return model, seed and method of every file of saliency maps, be they made here or given."""
        models = self._models[wildcards.dataset].items()
        return [
            {"model": n, "seed": s, "method": m} for n, model in models for s in model.seeds for m in model.saliency
        ]

    def planted(self, wildcards: Any) -> list[Job]:
        """Return those of the explained jobs whose networks are planted."""
        models = self.dataset(wildcards).networks
        return [j for j in self.explained(wildcards) if j["model"] in models and models[j["model"]].planted]

    def twins(self, wildcards: Any) -> list[Job]:
        """Return model, seed and metric of every network that is trained again on permuted labels."""
        dataset, found = self.dataset(wildcards), []
        for label, metric in dataset.metrics.items():
            options = resolved_options("metrics", metric)
            if isinstance(options, TwinOptions):
                name = dataset.trained_again(options.model)
                found.append({"model": name, "seed": dataset.trained[name].seeds[0], "metric": label})
        return found

    def twin_measured(self, wildcards: Any) -> list[Job]:
        """Return those of the measured jobs that compare with a twin."""
        twins = self.twins(wildcards)
        return [job for job in self._measured(wildcards) if any(twin.items() <= job.items() for twin in twins)]

    def anchors(self, wildcards: Any) -> int:
        """Return how many anchors a network has (`truemap.evaluation.anchors`), its twin not counted."""
        dataset = self.dataset(wildcards)
        return len(dataset.references) + 2 + len(DEGRADED) * (2 if dataset.regions else 1)

    def of_anchors(self, wildcards: Any) -> dict[str, Any]:
        """Return the metrics that anchors are measured by: a twin makes no noise and no truth."""
        twins = {twin["metric"] for twin in self.twins(wildcards)}
        return {label: metric for label, metric in self.dataset(wildcards).metrics.items() if label not in twins}

    def compared(self, wildcards: Any) -> dict[str, str]:
        """Return how maps of a method are compared with the network: what they are, the output and its baseline.

        Nothing where there are no regions, or no network.
        """
        dataset = self.dataset(wildcards)
        if not dataset.regions or wildcards.model in dataset.given:
            return {}
        settings = self.model(wildcards).saliency[wildcards.method]
        options = resolved_options("saliency", settings)
        traits = options.traits() or set()
        kind = next((kind for kind in (ATTRIBUTION, GRADIENT) if kind in traits), "")
        own = next((baseline for baseline in BASELINES if baseline in traits), dataset.baseline)
        return {"maps": kind, "output": settings.get("output", "logit"), "baseline": own}

    def finalists(self, wildcards: Any) -> list[Job]:
        """Return the first seed of every model of the config and each of its methods."""
        models = self.dataset(wildcards).models
        first = {name: model.seeds[0] for name, model in models.items()}
        return [job for job in self.explained(wildcards) if first.get(job["model"]) == job["seed"]]

    def drawn(self, wildcards: Any) -> list[Job]:
        """Return those of the finalists that figures show."""
        shown = self.dataset(wildcards).drawn
        return [j for j in self.finalists(wildcards) if shown is None or f"{j['model']}/{j['method']}" in shown]

    def candidates(self, wildcards: Any) -> list[Job]:
        """Return the trainings that a model is chosen among; of a swept candidate, its own."""
        model, *only = self.swept(wildcards).get(wildcards.model, (wildcards.model,))
        names = only or candidates(self.model(wildcards))
        return [{"model": model, "seed": wildcards.seed, "candidate": name} for name in names]

    def swept_trainings(self, wildcards: Any) -> list[Job]:
        """Return the trainings of the swept candidates."""
        models = self.dataset(wildcards).networks
        swept = self.swept(wildcards).values()
        return [{"model": m, "seed": s, "candidate": candidate} for m, candidate in swept for s in models[m].seeds]

    # Jobs of single rules

    def _if(self, holds: Callable[[Any], Any]) -> Callable[[Any], list[Job]]:
        return lambda wildcards: [{}] if holds(wildcards) else []

    def _of_kind(self, kind: type, wildcards: Any) -> list[Job]:
        models = self._models[wildcards.dataset]
        return [job for job in self.explained(wildcards) if isinstance(models[job["model"]], kind)]

    def _brains(self, wildcards: Any) -> bool:
        return self.dataset(wildcards).figures == "glass_brain"

    def _simulations(self, wildcards: Any) -> list[Job]:
        dataset = self.dataset(wildcards)
        shards = dataset.shards if dataset.simulated else 0
        return [{"shards": shards, "shard": shard} for shard in range(shards)]

    def _volumes(self, wildcards: Any) -> list[Job]:
        shards = range(self.dataset(wildcards).shards)
        return [{"split": split, "shard": shard} for split in SPLITS for shard in shards]

    def _games(self, wildcards: Any) -> list[Job]:
        """Return model, seed and baseline of all that maps are compared with."""
        found: dict[tuple[Any, ...], Job] = {}
        for job in self.explained(wildcards):
            if compared := self.compared(SimpleNamespace(dataset=wildcards.dataset, **job)):
                game = {"model": job["model"], "seed": job["seed"], "baseline": compared["baseline"]}
                found.setdefault(tuple(game.values()), game)
        return list(found.values())

    def _trainings(self, wildcards: Any) -> list[Job]:
        models = self.dataset(wildcards).networks.items()
        return [
            {"model": name, "seed": seed, "candidate": candidate}
            for name, model in models
            for seed in model.seeds
            for candidate in candidates(model)
        ]

    def _attacks(self, wildcards: Any) -> list[Job]:
        attacks = self.dataset(wildcards).robustness.attacks
        return [{**job, "attack": attack} for job in self.replicates(wildcards) for attack in attacks]

    def _map_attacks(self, wildcards: Any) -> list[Job]:
        """Return the attacks on maps of networks of the config: of swept candidates none."""
        dataset = self.dataset(wildcards)
        attacks = dataset.fragility.attacks if dataset.fragility else {}
        return [
            {"model": name, "seed": seed, "method": label, "attack": attack}
            for name, labels in dataset.fragile.items()
            for seed in dataset.networks[name].seeds
            for label in labels
            for attack in attacks
        ]

    def _coarser(self, wildcards: Any) -> str | None:
        fragility = self.dataset(wildcards).fragility
        return fragility.coarser if fragility else None

    def attacked(self, wildcards: Any) -> list[Job]:
        """Return the attacks of which maps are drawn: on what figures show, or else on each network's first way."""
        dataset, jobs = self.dataset(wildcards), self._map_attacks(wildcards)
        cells = {f"{job['model']}/{job['method']}" for job in jobs} & set(dataset.drawn or ())
        cells = cells or {f"{model}/{labels[0]}" for model, labels in dataset.fragile.items() if labels}
        first = {model: dataset.networks[model].seeds[0] for model in dataset.fragile}
        return [j for j in jobs if f"{j['model']}/{j['method']}" in cells and j["seed"] == first[j["model"]]]

    def _influences(self, wildcards: Any) -> list[Job]:
        """Return model and seed of every network that is asked on which training maps it hangs."""
        dataset = self.dataset(wildcards)
        return [{"model": name, "seed": seed} for name in dataset.influenced for seed in dataset.networks[name].seeds]

    def exemplified(self, wildcards: Any) -> list[Job]:
        """Return model and seed of the network whose influences are drawn: the first."""
        return self._influences(wildcards)[:1]

    def _angles(self, wildcards: Any) -> list[Job]:
        """Return model and seed of every network of which angles of directions are told."""
        dataset = self.dataset(wildcards)
        return [{"model": name, "seed": seed} for name in dataset.angled for seed in dataset.networks[name].seeds]

    def _ranked(self, wildcards: Any) -> list[tuple[Job, str]]:
        """Return the network that is trained again without voxels, and each method that says without which."""
        dataset = self.dataset(wildcards)
        if not dataset.roar:
            return []
        name = dataset.trained_again(dataset.roar.model)
        model = dataset.trained[name]
        return [({"model": name, "seed": model.seeds[0]}, m) for m in dataset.roar.methods or model.saliency]

    def _retrained(self, wildcards: Any) -> list[Job]:
        """Return the trainings without voxels: one without none, and one a fraction and order."""
        found, roar = self._ranked(wildcards), self.dataset(wildcards).roar
        if roar is None:
            return []
        orders = [*found, (found[0][0], AT_RANDOM)]
        fractions = [f"{fraction:.12g}" for fraction in roar.fractions]
        jobs = [{**job, "order": order, "fraction": fraction} for job, order in orders for fraction in fractions]
        return [{**jobs[-1], "fraction": "0"}, *jobs]

    def _measured(self, wildcards: Any) -> list[Job]:
        metrics, twins = self.dataset(wildcards).metrics, {twin["metric"]: twin for twin in self.twins(wildcards)}
        jobs = [{**job, "metric": metric} for job in self._of_kind(Model, wildcards) for metric in metrics]
        return [job for job in jobs if twins.get(job["metric"], job).items() <= job.items()]

    def _anchored(self, wildcards: Any) -> list[Job]:
        """Return the first seed of every network that is measured, and the way to explain that others' maps have."""
        measured = self.of_anchors(wildcards)
        networks = self.dataset(wildcards).networks.items()
        first = {name: next(iter(model.saliency)) for name, model in networks if measured}
        return [job for job in self.finalists(wildcards) if first.get(job["model"]) == job["method"]]

    @cached_property
    def _swept(self) -> dict[str, dict[str, tuple[str, str]]]:
        return {
            name: {
                f"{model_name}--{candidate}": (model_name, candidate)
                for model_name, model in dataset.networks.items()
                if model.sweep
                for candidate in candidates(model)
            }
            for name, dataset in self.config.datasets.items()
        }

    @cached_property
    def _models(self) -> dict[str, dict[str, Model | GivenMaps]]:
        """Dataset -> name -> model, swept candidates after the models of the config."""
        result: dict[str, dict[str, Model | GivenMaps]] = {}
        for name, dataset in self.config.datasets.items():
            result[name] = dict(dataset.models)
            for swept, (model_name, candidate) in self._swept[name].items():
                model = dataset.networks[model_name]
                methods = {label: model.saliency[label] for label in model.sweep}
                changes = {"training": candidates(model)[candidate], "saliency": methods, "sweep": []}
                result[name][swept] = model.model_copy(update=changes)
        return result
