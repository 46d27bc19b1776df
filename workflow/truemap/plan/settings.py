"""What part of the config each rule reads.

Settings are dicts of JSON types with every default filled in and keys in the order of the config model, so that a job
is re-run for a changed value only.
"""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

from truemap.config.candidates import candidates, strength
from truemap.config.names import CHOSEN, HEADLINES, PEOPLE, REFERENCE, SPLITS
from truemap.plan.jobs import Entry, Jobs
from truemap.plan.record import Settings
from truemap.runtime.privacy import pseudonym, read_salt


class JobSettings(Jobs):
    """Settings of each rule's jobs, by wildcards."""

    def simulate_settings(self, wildcards: Any) -> Settings:
        """Of one shard of simulated subjects."""
        dataset = self.dataset(wildcards)
        shard = {"shard": int(wildcards.shard), "shards": dataset.shards}
        return {"simulate": dataset.source["simulate"], "seed": self.config.seed, **shard}

    def samples_settings(self, wildcards: Any) -> Settings:
        """Of the list of samples."""
        root = self._tree(wildcards) if self._simulated(wildcards) else None
        shared = self._shared(wildcards, "split", "family", "on_bad_subject")
        source, pseudonyms = self.dataset(wildcards).source, self._pseudonyms(wildcards)
        settings = {"source": source, **shared, "seed": self.config.seed, "root": root, "pseudonyms": pseudonyms}
        if excluded := sorted(source.get("exclude", [])):
            # Settings are recorded with the results, where no ID may be.
            settings["excluded"] = [pseudonym(read_salt(), who) for who in excluded] if pseudonyms else excluded
        return settings

    def grid_settings(self, wildcards: Any) -> Settings:
        """Of the grid and mask."""
        return {**self._shared(wildcards, "source", "mask", "nan", "on_bad_subject"), "seed": self.config.seed}

    def words_settings(self, wildcards: Any) -> Settings:
        """Of the check of words that only the data know."""
        conditions = {"conditions": self._headline(wildcards)["conditions"], "chosen": self._chosen(wildcards)}
        style = self._style("colormap", "sequential", "bars")
        return {**self._shared(wildcards, "show", "figures"), **conditions, "style": style}

    def volumes_settings(self, wildcards: Any) -> Settings:
        """Of one shard of volumes."""
        part = {"seed": self.config.seed, "split": wildcards.split, "shard": int(wildcards.shard)}
        names = ("source", "nan", "standardize", "precision", "shards", "on_bad_subject")
        return {**self._shared(wildcards, *names), **part}

    def quality_settings(self, wildcards: Any) -> Settings:
        """Of the table of quality."""
        return self._shared(wildcards, "source")

    def truth_settings(self, wildcards: Any) -> Settings:
        """Of the class means."""
        return {**self._shared(wildcards, "source"), "chosen": self._chosen(wildcards)}

    def background_chosen_settings(self, wildcards: Any) -> Settings:
        """Of the class means of the training maps of chosen conditions."""
        return {"chosen": self._chosen(wildcards)}

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
        choice = {"seed": self.config.seed, **self._shared(wildcards, "explained"), "stored": self.config.maps.voxels}
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
        return {"reference": reference, **shared, "chosen": self._chosen(wildcards), "seed": self.config.seed}

    def subject_maps_settings(self, wildcards: Any) -> Settings:
        """Of the mean maps of the test subject that Figure 3 draws."""
        choice = {"conditions": self._headline(wildcards)["conditions"], "chosen": self._chosen(wildcards)}
        return {**self._shared(wildcards, "show", "average"), **choice, "seed": self.config.seed}

    def score_settings(self, wildcards: Any) -> Settings:
        """Of the agreement with truth."""
        return {**self._shared(wildcards, "average", "voxels"), "chosen": self._chosen(wildcards)}

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
            "chosen": self._chosen(wildcards),
        }

    def claims_settings(self, wildcards: Any) -> Settings:
        """Of the published claims: what the data, models and methods of all datasets are, beside their names."""
        parts = ("source", "standardize", "voxels", "models")
        of_model = ("network", "training", "calibrate", "saliency")
        found = {}
        for name in self.config.run:
            found[name] = self._shared(SimpleNamespace(dataset=name), *parts)
            found[name]["source"].pop("fetch", None)  # changes no result
            models = found[name]["models"].items()
            found[name]["models"] = {m: {key: model[key] for key in of_model} for m, model in models}
        return {"datasets": found}

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
            **self._headline(wildcards),
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
        return {**shared, **self._headline(wildcards), "entries": entries, "style": style}

    def benchmark_files(self) -> list[str]:
        """Return the file of each job whose time and memory are kept, of all datasets that run."""
        return [
            f"results/benchmarks/{name}/{'-'.join(map(str, job))}.tsv"
            for name in self.config.run
            for job in self._measured(SimpleNamespace(dataset=name))
        ]

    # Parts

    def _measured(self, dataset: Any) -> list[tuple[Any, ...]]:
        """Return rule and wildcards of each job of a dataset that has a `benchmark:`."""
        definition, shards = self.dataset(dataset), range(self.dataset(dataset).shards)
        trained = [(m, s, candidate) for m, model in definition.models.items() for s in model.seeds
                   for candidate in candidates(model)]  # fmt: skip
        by_rule = {
            "simulate": [(shard, "of", len(shards)) for shard in shards if self._simulated(dataset)],
            "volumes": list(product(SPLITS, shards)),
            "background-chosen": [()] if self._chosen(dataset) else [],
            **{key: [()] for key in ("quality", "truth", "background")},
            **dict.fromkeys(("explain", "score"), self._explained(dataset)),
            "subject_maps": self._drawn(dataset) if definition.figures == "glass_brain" else [],
            "refer": [(reference,) for reference in definition.references],
            "train": trained,
            "model": self._replicates(dataset),
            "robustness": self._attacked(dataset),
        }
        return [(rule, *job) for rule, jobs in by_rule.items() for job in jobs]

    def _shared(self, wildcards: Any, *names: str) -> Settings:
        shared = self.dataset(wildcards).model_dump(mode="json", include=set(names))
        # Who is left out shows in the samples. Snakemake's report holds settings, and no ID may be in it.
        if "exclude" in shared.get("source", {}):
            shared["source"] = {**shared["source"], "exclude": []}
        return shared

    def _torch(self) -> Settings:
        return {"device": self.config.device, "threads": self.config.threads}

    def _style(self, *names: str) -> Settings:
        return self.config.style.model_dump(mode="json", include=set(names))

    def _headline(self, wildcards: Any) -> Settings:
        """Return which truth and which condition set figures show (`truemap.evaluation.agreement`)."""
        dataset = self.dataset(wildcards)
        conditions = CHOSEN if isinstance(dataset.conditions, list) else HEADLINES[dataset.conditions]
        return {"truth": "leave_out" if dataset.truth.leave_out else "full", "conditions": conditions}

    def _pseudonyms(self, wildcards: Any) -> bool:
        """Return whether subjects get pseudonyms: as the config says, or else where they are people."""
        dataset = self.dataset(wildcards)
        people = dataset.source["name"] in PEOPLE and not self._simulated(wildcards)
        return people if dataset.pseudonyms is None else dataset.pseudonyms

    def _chosen(self, wildcards: Any) -> list[str]:
        """Return the conditions that the config lists, in an order of their own."""
        conditions = self.dataset(wildcards).conditions
        return sorted(set(conditions)) if isinstance(conditions, list) else []

    def _group(self, wildcards: Any) -> str | None:
        """Return the label of the reference that agreement is given as a share of."""
        references = self.dataset(wildcards).references
        return next((label for label, r in references.items() if r["name"] == "group_truth"), None)

    def _compared(self, wildcards: Any, entries: list[Entry]) -> Settings:
        references = list(self.dataset(wildcards).references)
        labels = self._labels(entries, wildcards)
        return {**self._headline(wildcards), "entries": labels, "references": references}

    def _labels(self, entries: list[Entry], wildcards: Any) -> list[dict[str, str]]:
        models = self.dataset(wildcards).models
        return [{"model": m, "method": method, "label": models[m].label or m} for m, _, method in entries]
