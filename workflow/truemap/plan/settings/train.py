"""Settings of the rules in rules/train.smk and rules/retrain.smk: all that trains networks."""

from __future__ import annotations

import math
from statistics import mean

from truemap.config.candidates import candidates, strength
from truemap.config.models import Model
from truemap.config.names import EPOCHS
from truemap.plan.jobs import Job
from truemap.plan.record import Settings
from truemap.plan.settings.parts import Parts


class TrainSettings(Parts):
    """A method a rule, of the rule's name."""

    def networks(self) -> Settings:
        """All models' networks and methods, and how many jobs there are of each."""
        models = {name: self._to_try(name, model) for name, model in self._dataset.networks.items()}
        shared = self._shared("explained", "robustness", "metrics", "measured", "permutations")
        card = self._config.card.memory_gb if self._config.card else None
        computed = {"memory": self._config.memory, **self._seeded(), "card": card, **self._torch()}
        return {"models": models, **shared, **self._probes(), **computed}

    def train(self) -> Settings:
        """One candidate."""
        model = self._network()
        training = candidates(model)[self._wildcards.candidate]
        return {"network": model.network, "training": training, "seed": int(self._wildcards.seed), **self._torch()}

    def model(self) -> Settings:
        """The choice among candidates, and calibration; or the fit of trained weights to the data, and calibration."""
        model = self._network()
        own: Settings = {}
        if model.weights:
            pseudonyms = self._dataset.pseudonymous
            own = {**self._shared("standardize"), "pseudonyms": pseudonyms, "accuracy_within": model.accuracy_within}
        elif not model.planted:
            own = {"strength": strength(model), "tolerance": model.tolerance}
        asked = {"network": model.network, **own, "calibrate": model.calibrate}
        return {"data": self._dataset.kind, **asked, **self._in_chunks()}

    def permute(self) -> Settings:
        """One twin, trained on permuted labels."""
        epochs = self._dataset.metrics[self._wildcards.metric].get("epochs")
        return {"epochs": epochs, "seed": int(self._wildcards.seed), **self._torch()}

    def rank(self) -> Settings:
        """The order of voxels by one method's maps."""
        saliency = self._network().saliency[self._wildcards.method]
        return {"saliency": saliency, **self._removing(), **self._in_chunks()}

    def retrain(self) -> Settings:
        """One training without voxels."""
        which = {"fraction": float(self._wildcards.fraction), "start": int(self._wildcards.seed)}
        return {**which, **self._removing(), **self._torch()}

    def roar(self) -> Settings:
        """A dataset's table of removing and training again."""
        return {"data": self._data()}

    # Parts

    def _to_try(self, name: str, model: Model) -> Settings:
        """Return what is tried of a model before it trains, and how many jobs there are of each part."""
        jobs = self._jobs
        explained, measured = jobs.explained(), jobs.of("measure")
        return {
            "network": model.network,
            "training": self._tried(model),
            "weights": [path for of, path in jobs.weights() if of == name],
            "pseudonyms": self._dataset.pseudonymous if model.weights else None,
            "trainings": self._count(jobs.of("train"), model=name),
            "replicates": self._count(jobs.replicates(), model=name),
            "saliency": {
                label: {
                    "method": saliency,
                    "jobs": self._count(explained, model=name, method=label),
                    "measured": {
                        metric: self._count(measured, model=name, method=label, metric=metric)
                        for metric in self._dataset.metrics
                    },
                    "attacked": len(model.seeds) if label in self._dataset.fragile.get(name, []) else 0,
                }
                for label, saliency in model.saliency.items()
            },
            "retrained": self._again(name),
            "anchors": jobs.anchors() if self._count(jobs.of("anchors"), model=name) else 0,
            "games": self._count(jobs.of("shapley"), model=name),
            "influenced": self._count(jobs.of("influence"), model=name),
            "angled": self._count(jobs.of("angles"), model=name),
        }

    def _count(self, jobs: list[Job], **wanted: str) -> int:
        """Return how many jobs have these wildcards; those of a swept candidate count as its model's."""
        parents = {name: of for name, (of, _) in self._jobs.swept.items()}
        rows = ({**job, "model": parents.get(job["model"], job["model"])} for job in jobs)
        return sum(wanted.items() <= row.items() for row in rows)

    def _tried(self, model: Model) -> Settings | None:
        """Return how a model's first candidate is trained, for as long as all are on average."""
        points = list(candidates(model).values())
        return {**points[0], EPOCHS: math.ceil(mean(point[EPOCHS] for point in points))} if points else None

    def _again(self, name: str) -> list[Settings]:
        """Return how a network is trained again, how often, and on which maps."""
        jobs, roar = self._jobs, self._dataset.roar
        twins = [self._dataset.metrics[twin["metric"]] for twin in jobs.twins() if twin["model"] == name]
        found: list[Settings] = [{"epochs": metric["epochs"], "jobs": 1} for metric in twins]
        removing = self._count(jobs.of("retrain"), model=name)
        if roar and removing:
            ranked = [job["method"] for job in jobs.of("rank")]
            parts = roar.model_dump(mode="json", include={"fractions", "train", "test"})
            found.append({"epochs": None, "jobs": removing, "ranked": ranked, **parts})
        return found

    def _removing(self) -> Settings:
        """Return which maps voxels are removed from."""
        roar = self._dataset.roar
        return {**(roar.model_dump(mode="json", include={"train", "test"}) if roar else {}), **self._seeded()}
