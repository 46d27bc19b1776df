"""What settings of several rules' jobs have in common."""

from __future__ import annotations

from typing import Any

from truemap.config.models import Model
from truemap.config.names import CHOSEN, HEADLINES
from truemap.config.schema import Config
from truemap.config.trained import beside, read_trained
from truemap.plan.jobs import DatasetJobs, Job
from truemap.plan.record import Settings

#: Parts of a dataset's config that networks are asked about only where it has them.
PROBES = ("fragility", "influence", "angles")


class Parts:
    """A job, and parts of its settings.

    Parameters
    ----------
    config : Config
    jobs : DatasetJobs
        Of the job's dataset.
    wildcards : namespace
        The job's.
    """

    def __init__(self, config: Config, jobs: DatasetJobs, wildcards: Any) -> None:
        self._config, self._jobs, self._wildcards = config, jobs, wildcards
        self._dataset = jobs.dataset

    def _shared(self, *names: str) -> Settings:
        """Return parts of the dataset's config."""
        shared = self._dataset.model_dump(mode="json", include=set(names))
        # Who is left out shows in the samples. Snakemake's report holds settings, and no ID may be in it.
        if "exclude" in shared.get("source", {}):
            shared["source"] = {**shared["source"], "exclude": []}
        return shared

    def _probes(self) -> Settings:
        """Return those of `PROBES` that the dataset's config has."""
        return self._shared(*(name for name in PROBES if getattr(self._dataset, name)))

    def _data(self) -> str:
        """Return what the data are called wherever numbers show, and which networks' training subjects are unknown."""
        weights = self._jobs.weights()
        unknown = sorted({name for name, path in weights if read_trained(beside(path)).subjects == "unknown"})
        parts = [self._dataset.kind, *(f"training subjects of {name} unknown" for name in unknown)]
        return ", ".join(filter(None, parts))

    def _headline(self) -> Settings:
        """Return which truth and which condition set figures show (`truemap.evaluation.agreement`)."""
        asked = self._dataset.conditions
        conditions = CHOSEN if isinstance(asked, list) else HEADLINES[asked]
        return {"truth": "leave_out" if self._dataset.truth.leave_out else "full", "conditions": conditions}

    def _network(self) -> Model:
        """Return the definition of the job's network."""
        return self._jobs.network(self._wildcards.model)

    def _seeded(self) -> Settings:
        """Return the seed of everything random but training."""
        return {"seed": self._config.seed}

    def _torch(self) -> Settings:
        """Return what sums of a job with a network depend on."""
        return {"device": self._config.device, "threads": self._config.threads}

    def _in_chunks(self) -> Settings:
        """Return the same of a job that has many maps at a time."""
        return {"memory": self._config.memory, **self._torch()}

    def _explained(self) -> Settings:
        """Return how a method's maps are made."""
        saliency = self._network().saliency[self._wildcards.method]
        return {"saliency": saliency, **self._seeded(), **self._shared("explained"), **self._in_chunks()}

    def _stored(self) -> Settings:
        """Return what maps are of, and which of their voxels are stored."""
        return {"data": self._dataset.kind, "stored": self._config.maps.voxels}

    def _scored(self) -> Settings:
        """Return what maps are compared by: with the data's truth, and with the network where there are regions."""
        compared = self._jobs.compared(self._wildcards.model, self._wildcards.method)
        shared = {**self._shared("average", "voxels"), "chosen": self._dataset.listed}
        return {**shared, **({"network": compared} if compared else {})}

    def _alike(self) -> Settings:
        """Return what ways to explain and to train are called in every dataset: by their modules."""
        models = self._dataset.networks
        labelled = {f"{m}/{label}": way["name"] for m, model in models.items() for label, way in model.saliency.items()}
        trainings = {name: (model.training or model.network)["name"] for name, model in models.items()}
        return {"methods": dict(sorted(labelled.items())), "trainings": dict(sorted(trainings.items()))}

    def _group(self) -> str | None:
        """Return the label of the reference that agreement is given as a share of."""
        references = self._dataset.references.items()
        return next((label for label, reference in references if reference["name"] == "group_truth"), None)

    def _style(self, *names: str) -> Settings:
        """Return parts of the config that say how figures look."""
        return {"style": self._config.style.model_dump(mode="json", include=set(names))}

    def _labelled(self, entries: list[Job]) -> list[Settings]:
        """Return model and method of each job, with what figures call the model."""
        models = self._dataset.models
        return [
            {"model": job["model"], "method": job["method"], "label": models[job["model"]].label or job["model"]}
            for job in entries
        ]
