"""What part of the config each rule reads.

Settings are dicts of JSON types with every default filled in and keys in the order of the config model, so that a job
is re-run for a changed value only.
"""

from __future__ import annotations

from typing import Any

from truemap.candidates import candidates, strength
from truemap.jobs import Entry, Jobs
from truemap.names import REFERENCE
from truemap.params import Settings


class JobSettings(Jobs):
    """Settings of each rule's jobs, by wildcards."""

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
        choice = {"seed": self.config.seed, **self._shared(wildcards, "explained")}
        return {"saliency": saliency, **choice, "memory": self.config.memory, **self._torch()}

    def robustness_settings(self, wildcards: Any) -> Settings:
        """Of one attack on one model."""
        robustness = self.dataset(wildcards).robustness
        shared = robustness.model_dump(mode="json", exclude={"attacks"})
        return {"attack": robustness.attacks[wildcards.attack], **shared, "seed": self.config.seed, **self._torch()}

    def refer_settings(self, wildcards: Any) -> Settings:
        """Of one reference's scores."""
        reference = self.dataset(wildcards).references[wildcards.reference]
        shared = self._shared(wildcards, "average", "voxels", "explained")
        return {"reference": reference, **shared, "seed": self.config.seed}

    def score_settings(self, wildcards: Any) -> Settings:
        """Of the agreement with truth."""
        return self._shared(wildcards, "average", "voxels")

    def statistics_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's summary and tests."""
        references = self.dataset(wildcards).references
        entry = [{"model": m, "seed": s, "method": method} for m, s, method in self._explained(wildcards)]
        return {
            **self._shared(wildcards, "source"),
            "models": [{"model": m, "seed": s} for m, s in self._replicates(wildcards)],
            "entries": entry,
            "attacked": [{"model": m, "seed": s, "method": attack} for m, s, attack in self._attacked(wildcards)],
            "references": [{"model": REFERENCE, "seed": 0, "method": label} for label in references],
            "swept": list(self._swept[wildcards.dataset]),
            "group": self._group(wildcards),
        }

    def bars_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's figures of mean agreement."""
        return {**self._compared(wildcards, self._drawn(wildcards)), "style": self._style("bars", "dpi")}

    def comparison_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's grid of training and saliency."""
        attack = next(iter(self.dataset(wildcards).robustness.attacks), None)
        return {
            **self._compared(wildcards, self._finalists(wildcards)),
            "attack": attack,
            "group": self._group(wildcards),
            "style": self._style("sequential", "dpi"),
        }

    def strength_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's figure of agreement against the strength of training."""
        swept = self._swept[wildcards.dataset]
        models = self.dataset(wildcards).models
        return {
            "truth": self._truth(wildcards),
            "attack": next(iter(self.dataset(wildcards).robustness.attacks), None),
            "swept": [
                {
                    "model": name,
                    "of": of,
                    "label": models[of].label or of,
                    "candidate": candidate,
                    "option": strength(models[of]),
                    "value": candidates(models[of])[candidate].get(strength(models[of])),
                    "method": models[of].sweep[0],
                    "seeds": models[of].seeds,
                }
                for name, (of, candidate) in swept.items()
            ],
            "style": self._style("dpi"),
        }

    def maps_settings(self, wildcards: Any) -> Settings:
        """Of a dataset's figures of maps."""
        shared = {**self._shared(wildcards, "source", "show", "average"), "seed": self.config.seed}
        style = self._style("colormap", "dpi")
        entries = self._labels(self._drawn(wildcards), wildcards)
        return {**shared, "truth": self._truth(wildcards), "entries": entries, "style": style}

    # Parts

    def _shared(self, wildcards: Any, *names: str) -> Settings:
        return self.dataset(wildcards).model_dump(mode="json", include=set(names))

    def _torch(self) -> Settings:
        return {"device": self.config.device, "threads": self.config.threads}

    def _style(self, *names: str) -> Settings:
        return self.config.style.model_dump(mode="json", include=set(names))

    def _truth(self, wildcards: Any) -> str:
        """Return which truth figures show (`truemap.evaluation.agreement`)."""
        return "leave_out" if self.dataset(wildcards).truth.leave_out else "full"

    def _group(self, wildcards: Any) -> str | None:
        """Return the label of the reference that agreement is given as a share of."""
        references = self.dataset(wildcards).references
        return next((label for label, r in references.items() if r["name"] == "group_truth"), None)

    def _compared(self, wildcards: Any, entries: list[Entry]) -> Settings:
        references = list(self.dataset(wildcards).references)
        labels = self._labels(entries, wildcards)
        return {"truth": self._truth(wildcards), "entries": labels, "references": references}

    def _labels(self, entries: list[Entry], wildcards: Any) -> list[dict[str, str]]:
        models = self.dataset(wildcards).models
        return [{"model": m, "method": method, "label": models[m].label or m} for m, _, method in entries]
