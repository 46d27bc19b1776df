"""Which jobs there are: of each rule and dataset, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from truemap.config.candidates import candidates
from truemap.config.dataset import Dataset
from truemap.config.models import GivenMaps, Model
from truemap.config.names import AT_RANDOM, ATTRIBUTION, BASELINES, DEGRADED, GRADIENT, SPLITS
from truemap.config.options import TwinOptions
from truemap.config.registry import resolved_options
from truemap.config.schema import Config

#: Wildcards of a job by name, but for its dataset's.
Job = dict[str, Any]
#: Wildcards in which jobs of one kind differ: their settings have the same keys, and their methods are the same.
ALIKE = ("seed", "candidate", "split", "shard", "order", "fraction")


class Jobs:
    """The jobs of each dataset, by its name.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[str, DatasetJobs] = {}

    def __getitem__(self, dataset: str) -> DatasetJobs:
        if dataset not in self._known:
            self._known[dataset] = DatasetJobs(self._config.datasets[dataset])
        return self._known[dataset]

    def kinds(self, rule: str) -> list[SimpleNamespace]:
        """Return the wildcards of one job for each kind that a rule has, over all datasets that run."""
        found: dict[tuple[Any, ...], SimpleNamespace] = {}
        for name in self._config.run:
            for job in self[name].of(rule):
                kind = tuple(value for key, value in job.items() if key not in ALIKE)
                found.setdefault((name, *kind), SimpleNamespace(dataset=name, **job))
        return list(found.values())


class DatasetJobs:
    """The jobs of one dataset.

    Parameters
    ----------
    dataset : Dataset

    Attributes
    ----------
    dataset : Dataset
    swept : dict
        Name of each swept candidate -> (model, candidate).
    models : dict
        Name -> model: those of the config, then swept candidates.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.swept = {
            f"{name}--{candidate}": (name, candidate)
            for name, model in dataset.networks.items()
            if model.sweep
            for candidate in candidates(model)
        }
        alone = {swept: _alone(dataset.networks[name], candidate) for swept, (name, candidate) in self.swept.items()}
        self.models: dict[str, Model | GivenMaps] = {**dataset.models, **alone}
        self._lists: dict[str, Callable[[], list[Job]]] = {
            "simulate": self._simulations,
            "volumes": self._volumes,
            "shapley": self._games,
            "train": self._trainings,
            "model": self.replicates,
            "permute": self.twins,
            "rank": lambda: [{**job, "method": method} for job, method in self._ranked()],
            "retrain": self._retrained,
            "explain": lambda: self._of_kind(Model),
            "adopt": lambda: self._of_kind(GivenMaps),
            "subject_maps": lambda: self.drawn() if self._brains else [],
            "score": self.explained,
            "refer": lambda: [{"reference": name} for name in dataset.references],
            "robustness": self._attacks,
            "attack_maps": self._map_attacks,
            "influence": lambda: self._seeds_of(dataset.influenced),
            "angles": lambda: self._seeds_of(dataset.angled),
            "measure": self._measured,
            "anchors": self._anchored,
        }
        # Rules with one job, where there is something to do for it.
        self._single: dict[str, Callable[[], object]] = {
            "regions": lambda: dataset.regions,
            "planted": self.planted,
            "background_chosen": lambda: dataset.listed,
            "networks": lambda: dataset.networks,
            "permutation": self.twins,
            "roar": lambda: dataset.roar,
            "fragility": lambda: dataset.fragility,
            "figure_fragility": lambda: dataset.fragility,
            "dimension": lambda: dataset.fragility and dataset.fragility.coarser,
            "influences": lambda: dataset.influence,
            "figure_influence": lambda: dataset.influence,
            "angle_summary": lambda: dataset.angles,
            "figure_angles": lambda: dataset.angles,
            "metrics": lambda: dataset.metrics,
            "predict": lambda: dataset.metrics,
            "figure_prediction": lambda: dataset.metrics,
            "figure_1": lambda: not self._brains,
            "figure_3": lambda: self._brains,
            "figure_strength": lambda: self.swept,
        }

    def of(self, rule: str) -> list[Job]:
        """Return the jobs that a rule has, by their wildcards; one, where nothing is said of it here."""
        if rule in self._lists:
            return self._lists[rule]()
        return [{}] if rule not in self._single or self._single[rule]() else []

    # Models, and what jobs use

    def network(self, name: str) -> Model:
        """Return the definition of a network; of a swept candidate, its own."""
        model = self.models[name]
        if not isinstance(model, Model):
            raise TypeError(f"'{name}' is no network")
        return model

    def methods(self, family: str, job: Job) -> list[dict[str, Any]]:
        """Return a family's methods that a job uses, with their options: the one that its wildcards name, or all."""
        dataset = self.dataset
        if family == "datasets":
            return [dataset.source]
        if family in ("saliency", "networks", "training"):
            models = [self.network(job["model"])] if "model" in job else list(dataset.networks.values())
            if family == "saliency":
                labelled = [(label, method) for model in models for label, method in model.saliency.items()]
                return [method for label, method in labelled if job.get("method", label) == label]
            used = [model.network if family == "networks" else model.training for model in models]
            return [method for method in used if method]
        of_anchors = "model" in job and "metric" not in job
        wildcard, found = {
            "references": ("reference", dataset.references),
            "attacks": ("attack", dataset.robustness.attacks),
            "map_attacks": ("attack", dataset.fragility.attacks if dataset.fragility else {}),
            "metrics": ("metric", self.of_anchors() if of_anchors else dataset.metrics),
        }[family]
        return [found[job[wildcard]]] if wildcard in job else list(found.values())

    def weights(self, seed: Any = None) -> list[tuple[str, str]]:
        """Return name and file of every network that is trained already; of one seed, if it is given."""
        given = [(name, model) for name, model in self.dataset.networks.items() if model.weights]
        seeds = [(name, str(model.weights), f"{one}") for name, model in given for one in model.seeds]
        return [(name, path.replace("{seed}", one)) for name, path, one in seeds if seed is None or one == f"{seed}"]

    def anchors(self) -> int:
        """Return how many anchors a network has (`truemap.evaluation.anchors`), its twin not counted."""
        return len(self.dataset.references) + 2 + len(DEGRADED) * (2 if self.dataset.regions else 1)

    def of_anchors(self) -> dict[str, Any]:
        """Return the metrics that anchors are measured by: a twin makes no noise and no truth."""
        twins = {twin["metric"] for twin in self.twins()}
        return {label: metric for label, metric in self.dataset.metrics.items() if label not in twins}

    def compared(self, model: str, method: str) -> dict[str, str]:
        """Return how maps of a method are compared with the network: what they are, the output and its baseline.

        Nothing where there are no regions, or no network.
        """
        if not self.dataset.regions or model in self.dataset.given:
            return {}
        settings = self.network(model).saliency[method]
        traits = resolved_options("saliency", settings).traits() or set()
        kind = next((kind for kind in (ATTRIBUTION, GRADIENT) if kind in traits), "")
        own = next((baseline for baseline in BASELINES if baseline in traits), self.dataset.baseline)
        return {"maps": kind, "output": settings.get("output", "logit"), "baseline": own}

    # Jobs of more than one rule, or a part of those of one

    def replicates(self) -> list[Job]:
        """Return model and seed of every network, swept candidates too."""
        return self._seeds_of(name for name, model in self.models.items() if isinstance(model, Model))

    def explained(self) -> list[Job]:
        """Return model, seed and method of every file of saliency maps, be they made here or given."""
        models = self.models.items()
        return [
            {"model": n, "seed": s, "method": m} for n, model in models for s in model.seeds for m in model.saliency
        ]

    def planted(self) -> list[Job]:
        """Return those of the explained jobs whose networks are planted."""
        planted = {name for name, model in self.dataset.networks.items() if model.planted}
        return [job for job in self.explained() if job["model"] in planted]

    def twins(self) -> list[Job]:
        """Return model, seed and metric of every network that is trained again on permuted labels."""
        dataset, found = self.dataset, []
        for label, metric in dataset.metrics.items():
            options = resolved_options("metrics", metric)
            if isinstance(options, TwinOptions):
                name = dataset.trained_again(options.model)
                found.append({"model": name, "seed": dataset.trained[name].seeds[0], "metric": label})
        return found

    def twin_measured(self) -> list[Job]:
        """Return those of the measured jobs that compare with a twin."""
        twins = self.twins()
        return [job for job in self._measured() if any(twin.items() <= job.items() for twin in twins)]

    def finalists(self) -> list[Job]:
        """Return the first seed of every model of the config and each of its methods."""
        first = {name: model.seeds[0] for name, model in self.dataset.models.items()}
        return [job for job in self.explained() if first.get(job["model"]) == job["seed"]]

    def drawn(self) -> list[Job]:
        """Return those of the finalists that figures show."""
        shown = self.dataset.drawn
        return [job for job in self.finalists() if shown is None or f"{job['model']}/{job['method']}" in shown]

    def attacked(self) -> list[Job]:
        """Return the attacks of which maps are drawn: on what figures show, or else on each network's first way."""
        dataset, jobs = self.dataset, self._map_attacks()
        cells = {f"{job['model']}/{job['method']}" for job in jobs} & set(dataset.drawn or ())
        cells = cells or {f"{model}/{labels[0]}" for model, labels in dataset.fragile.items() if labels}
        first = {model: dataset.networks[model].seeds[0] for model in dataset.fragile}
        return [j for j in jobs if f"{j['model']}/{j['method']}" in cells and j["seed"] == first[j["model"]]]

    def exemplified(self) -> list[Job]:
        """Return model and seed of the network whose influences are drawn: the first."""
        return self.of("influence")[:1]

    def candidates(self, model: str, seed: Any) -> list[Job]:
        """Return the trainings that a model is chosen among; of a swept candidate, its own."""
        name, *only = self.swept.get(model, (model,))
        return [{"model": name, "seed": seed, "candidate": each} for each in only or candidates(self.network(model))]

    def swept_trainings(self) -> list[Job]:
        """Return the trainings of the swept candidates."""
        swept = [(self.dataset.networks[name], name, candidate) for name, candidate in self.swept.values()]
        return [{"model": name, "seed": s, "candidate": each} for model, name, each in swept for s in model.seeds]

    # Jobs of single rules

    @property
    def _brains(self) -> bool:
        return self.dataset.figures == "glass_brain"

    def _of_kind(self, kind: type) -> list[Job]:
        return [job for job in self.explained() if isinstance(self.models[job["model"]], kind)]

    def _seeds_of(self, names: Iterable[str]) -> list[Job]:
        return [{"model": name, "seed": seed} for name in names for seed in self.models[name].seeds]

    def _simulations(self) -> list[Job]:
        shards = self.dataset.shards if self.dataset.simulated else 0
        return [{"shards": shards, "shard": shard} for shard in range(shards)]

    def _volumes(self) -> list[Job]:
        return [{"split": split, "shard": shard} for split in SPLITS for shard in range(self.dataset.shards)]

    def _games(self) -> list[Job]:
        """Return model, seed and baseline of all that maps are compared with."""
        found: dict[tuple[Any, ...], Job] = {}
        for job in self.explained():
            if compared := self.compared(job["model"], job["method"]):
                game = {"model": job["model"], "seed": job["seed"], "baseline": compared["baseline"]}
                found.setdefault(tuple(game.values()), game)
        return list(found.values())

    def _trainings(self) -> list[Job]:
        networks = self.dataset.networks.items()
        return [job for name, model in networks for seed in model.seeds for job in self.candidates(name, seed)]

    def _attacks(self) -> list[Job]:
        return [{**job, "attack": attack} for job in self.replicates() for attack in self.dataset.robustness.attacks]

    def _map_attacks(self) -> list[Job]:
        """Return the attacks on maps of networks of the config: of swept candidates none."""
        attacks = self.dataset.fragility.attacks if self.dataset.fragility else {}
        return [
            {**job, "method": label, "attack": attack}
            for name, labels in self.dataset.fragile.items()
            for job in self._seeds_of([name])
            for label in labels
            for attack in attacks
        ]

    def _ranked(self) -> list[tuple[Job, str]]:
        """Return the network that is trained again without voxels, and each method that says without which."""
        roar = self.dataset.roar
        if not roar:
            return []
        name = self.dataset.trained_again(roar.model)
        model = self.dataset.trained[name]
        return [({"model": name, "seed": model.seeds[0]}, method) for method in roar.methods or model.saliency]

    def _retrained(self) -> list[Job]:
        """Return the trainings without voxels: one without none, and one a fraction and order."""
        found, roar = self._ranked(), self.dataset.roar
        if roar is None:
            return []
        orders = [*found, (found[0][0], AT_RANDOM)]
        fractions = [f"{fraction:.12g}" for fraction in roar.fractions]
        jobs = [{**job, "order": order, "fraction": fraction} for job, order in orders for fraction in fractions]
        return [{**jobs[-1], "fraction": "0"}, *jobs]

    def _measured(self) -> list[Job]:
        twins = {twin["metric"]: twin for twin in self.twins()}
        jobs = [{**job, "metric": metric} for job in self._of_kind(Model) for metric in self.dataset.metrics]
        return [job for job in jobs if twins.get(job["metric"], job).items() <= job.items()]

    def _anchored(self) -> list[Job]:
        """Return the first seed of every network that is measured, and the way to explain that others' maps have."""
        if not self.of_anchors():
            return []
        first = {name: next(iter(model.saliency)) for name, model in self.dataset.networks.items()}
        return [job for job in self.finalists() if first.get(job["model"]) == job["method"]]


def _alone(model: Model, candidate: str) -> Model:
    """Return a swept candidate as a model of its own, with the methods that are swept."""
    methods = {label: model.saliency[label] for label in model.sweep}
    return model.model_copy(update={"training": candidates(model)[candidate], "saliency": methods, "sweep": []})
