"""What part of the config each rule reads.

Settings are dicts of JSON types with every default filled in and keys in the order of the config model, so that a job
is re-run for a changed value only.
"""

from __future__ import annotations

import math
from collections import Counter
from statistics import mean
from typing import Any

from truemap.config.candidates import candidates, strength, swept_point
from truemap.config.models import GivenMaps, Model
from truemap.config.names import CHOSEN, EPOCHS, GUIDED, HEADLINES, PEOPLE
from truemap.config.options import SourceOptions
from truemap.config.registry import resolved_options
from truemap.config.trained import beside, read_trained
from truemap.plan.attacked import asked_of, at_random, done_of, influences_asked
from truemap.plan.jobs import Job, Jobs
from truemap.plan.record import Settings
from truemap.runtime.privacy import pseudonym, read_salt


class JobSettings:
    """Settings of each rule's jobs, by wildcards: one method a rule, of the rule's name.

    Parameters
    ----------
    jobs : Jobs
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs, self._config = jobs, jobs.config

    def of(self, rule: str, wildcards: Any) -> Settings:
        """Return the settings of one job."""
        return getattr(self, rule)(wildcards)

    def simulate(self, wildcards: Any) -> Settings:
        """One shard of simulated subjects."""
        dataset = self._jobs.dataset(wildcards)
        shard = {"shard": int(wildcards.shard), "shards": dataset.shards}
        return {"simulate": dataset.source["simulate"], "seed": self._config.seed, **shard}

    def samples(self, wildcards: Any) -> Settings:
        """The list of samples."""
        shared = self._shared(wildcards, "split", "family", "on_bad_subject")
        source, pseudonyms = self._jobs.dataset(wildcards).source, self.pseudonyms(wildcards)
        settings = {"source": source, **shared, "seed": self._config.seed, "pseudonyms": pseudonyms}
        if excluded := sorted(source.get("exclude", [])):
            # Settings are recorded with the results, where no ID may be.
            settings["excluded"] = [pseudonym(read_salt(), who) for who in excluded] if pseudonyms else excluded
        return settings

    def grid(self, wildcards: Any) -> Settings:
        """The grid and mask."""
        shared = self._shared(wildcards, "source", "mask", "nan", "downsample", "on_bad_subject")
        return {"data": self.kind(wildcards), **shared, "seed": self._config.seed}

    def regions(self, wildcards: Any) -> Settings:
        """The mask's regions."""
        settings = {"data": self.kind(wildcards), **self._shared(wildcards, "regions", "downsample")}
        if settings["regions"] == "components":
            simulate = self._jobs.dataset(wildcards).source["simulate"]
            settings["simulate"] = {key: simulate[key] for key in ("resolution", "blob_fwhm")}
        return settings

    def words(self, wildcards: Any) -> Settings:
        """The check of words that only the data know."""
        conditions = {"conditions": self._headline(wildcards)["conditions"], "chosen": self._jobs.listed(wildcards)}
        style = self._style("colormap", "sequential", "bars")
        return {**self._shared(wildcards, "show", "figures"), **conditions, "style": style}

    def networks(self, wildcards: Any) -> Settings:
        """All models' networks and methods, and how many jobs there are of each."""
        dataset, jobs = self._jobs.dataset(wildcards), self._jobs
        parents = {name: of for name, (of, _) in jobs.swept(wildcards).items()}

        def count(found: list[Job], **wanted: str) -> int:
            rows = ({**job, "model": parents.get(job["model"], job["model"])} for job in found)
            return sum(all(row[key] == value for key, value in wanted.items()) for row in rows)

        models, found = {}, jobs.of("measure", wildcards)
        measured = Counter((parents.get(job["model"], job["model"]), job["method"], job["metric"]) for job in found)
        for name, model in dataset.networks.items():
            labels = model.saliency.items()
            models[name] = {
                "network": model.network,
                "training": self._tried(model),
                "weights": [path for of, path in jobs.weights(wildcards) if of == name],
                "pseudonyms": self.pseudonyms(wildcards) if model.weights else None,
                "trainings": count(jobs.of("train", wildcards), model=name),
                "replicates": count(jobs.replicates(wildcards), model=name),
                "saliency": {
                    label: {
                        "method": saliency,
                        "jobs": count(jobs.explained(wildcards), model=name, method=label),
                        "measured": {metric: measured[name, label, metric] for metric in dataset.metrics},
                        "attacked": len(model.seeds) if label in dataset.fragile.get(name, []) else 0,
                    }
                    for label, saliency in labels
                },
                "retrained": self._again(name, wildcards),
                "anchors": jobs.anchors(wildcards) if count(jobs.of("anchors", wildcards), model=name) else 0,
                "games": count(jobs.of("shapley", wildcards), model=name),
                "influenced": count(jobs.of("influence", wildcards), model=name),
                "angled": count(jobs.of("angles", wildcards), model=name),
            }
        shared = self._shared(wildcards, "explained", "robustness", "metrics", "measured", "permutations")
        if dataset.fragility:
            shared = {**shared, **self._shared(wildcards, "fragility")}
        if dataset.influence:
            shared = {**shared, **self._shared(wildcards, "influence")}
        if dataset.angles:
            shared = {**shared, **self._shared(wildcards, "angles")}
        card = self._config.card.memory_gb if self._config.card else None
        computed = {"memory": self._config.memory, "seed": self._config.seed, "card": card, **self._torch()}
        return {"models": models, **shared, **computed}

    def volumes(self, wildcards: Any) -> Settings:
        """One shard of volumes."""
        part = {"seed": self._config.seed, "split": wildcards.split, "shard": int(wildcards.shard)}
        names = ("source", "nan", "downsample", "standardize", "precision", "shards", "on_bad_subject")
        return {**self._shared(wildcards, *names), **part}

    def quality(self, wildcards: Any) -> Settings:
        """The table of quality."""
        return {"data": self._data(wildcards)}

    def truth(self, wildcards: Any) -> Settings:
        """The class means."""
        shared = self._shared(wildcards, "source", "downsample")
        return {"data": self.kind(wildcards), **shared, "chosen": self._jobs.listed(wildcards)}

    def background(self, wildcards: Any) -> Settings:
        """The class means of the training maps."""
        return {"chosen": []}

    def background_chosen(self, wildcards: Any) -> Settings:
        """The same of chosen conditions."""
        return {"chosen": self._jobs.listed(wildcards)}

    def train(self, wildcards: Any) -> Settings:
        """One candidate."""
        model = self._jobs.model(wildcards)
        training = candidates(model)[wildcards.candidate]
        return {"network": model.network, "training": training, "seed": int(wildcards.seed), **self._torch()}

    def model(self, wildcards: Any) -> Settings:
        """The choice among candidates, and calibration; or the fit of trained weights to the data, and calibration."""
        model, of = self._jobs.model(wildcards), {"data": self.kind(wildcards)}
        computed = {"memory": self._config.memory, **self._torch()}
        if model.weights:
            data = {**self._shared(wildcards, "standardize"), "pseudonyms": self.pseudonyms(wildcards)}
            checked = {"accuracy_within": model.accuracy_within, "calibrate": model.calibrate}
            return {**of, "network": model.network, **data, **checked, **computed}
        if model.planted:
            return {**of, "network": model.network, "calibrate": model.calibrate, **computed}
        choice = {"strength": strength(model), "tolerance": model.tolerance, "calibrate": model.calibrate}
        return {**of, "network": model.network, **choice, **computed}

    def permute(self, wildcards: Any) -> Settings:
        """One twin, trained on permuted labels."""
        epochs = self._jobs.dataset(wildcards).metrics[wildcards.metric].get("epochs")
        return {"epochs": epochs, "seed": int(wildcards.seed), **self._torch()}

    def explain(self, wildcards: Any) -> Settings:
        """One method's saliency maps."""
        stored = {"data": self.kind(wildcards), "stored": self._config.maps.voxels}
        return {**stored, **self._explained(wildcards)}

    def adopt(self, wildcards: Any) -> Settings:
        """One sheet of maps from elsewhere."""
        choice = {"seed": self._config.seed, **self._shared(wildcards, "explained", "nan")}
        stored = {"data": self.kind(wildcards), "stored": self._config.maps.voxels}
        return {**stored, "signed": self._signed(wildcards), **choice}

    def robustness(self, wildcards: Any) -> Settings:
        """One attack on one model."""
        robustness = self._jobs.dataset(wildcards).robustness
        shared = robustness.model_dump(mode="json", exclude={"attacks"})
        computed = {"seed": self._config.seed, "memory": self._config.memory, **self._torch()}
        return {"attack": robustness.attacks[wildcards.attack], **shared, **computed}

    def measure(self, wildcards: Any) -> Settings:
        """One metric of one method's maps."""
        metric = self._jobs.dataset(wildcards).metrics[wildcards.metric]
        return {"metric": metric, **self._shared(wildcards, "measured"), **self._explained(wildcards)}

    def attack_maps(self, wildcards: Any) -> Settings:
        """One attack on one method's maps."""
        fragility = self._jobs.fragility(wildcards)
        asked = fragility.model_dump(mode="json", include={"epsilon", "norm", "maps", "top", "moved"})
        explain = {key: value for key, value in self.explain(wildcards).items() if key != "stored"}
        shared = {**self._scored(wildcards), **self._shared(wildcards, "standardize", "permutations")}
        return {"attack": fragility.attacks[wildcards.attack], **asked, **explain, **shared}

    def fragility(self, wildcards: Any) -> Settings:
        """A dataset's table of attacked maps, and which attack the others are compared with."""
        return {"data": self._data(wildcards), "random": at_random(self._jobs.fragility(wildcards))}

    def dimension(self, wildcards: Any) -> Settings:
        """A dataset's attacked maps beside those in fewer voxels."""
        return {"data": self._data(wildcards), "coarser": self._jobs.fragility(wildcards).coarser}

    def influence(self, wildcards: Any) -> Settings:
        """Influences of training maps on one network's predictions, and attacks on them."""
        asked = self._shared(wildcards, "influence")["influence"]
        asked = {key: value for key, value in asked.items() if key != "models"}
        choice = {"seed": self._config.seed, **self._shared(wildcards, "explained", "standardize")}
        return {"influence": asked, **choice, "memory": self._config.memory, **self._torch()}

    def influences(self, wildcards: Any) -> Settings:
        """A dataset's table of influences, and of how many most influential maps it tells."""
        return {"data": self._data(wildcards), "top": self._shared(wildcards, "influence")["influence"]["top"]}

    def figure_influence(self, wildcards: Any) -> Settings:
        """The figure of influences, and what they come to in words."""
        dataset, style = self._jobs.dataset(wildcards), self._style("colormap", "dpi")
        return {"data": self._data(wildcards), **influences_asked(dataset), "style": style}

    def angles(self, wildcards: Any) -> Settings:
        """Angles of directions of one network."""
        asked = self._shared(wildcards, "angles")["angles"]
        asked = {key: value for key, value in asked.items() if key != "models"}
        choice = {"start": int(wildcards.seed), "seed": self._config.seed, **self._shared(wildcards, "explained")}
        return {"angles": asked, **choice, "memory": self._config.memory, **self._torch()}

    def angle_summary(self, wildcards: Any) -> Settings:
        """A dataset's table of angles, and what networks are called."""
        dataset = self._jobs.dataset(wildcards)
        labels = {name: dataset.networks[name].label or name for name in dataset.angled}
        return {"data": self._data(wildcards), "labels": dict(sorted(labels.items()))}

    def figure_angles(self, wildcards: Any) -> Settings:
        """The histograms of angles."""
        return {**self.angle_summary(wildcards), "style": self._style("dpi")}

    def anchors(self, wildcards: Any) -> Settings:
        """Anchors of one model: metrics of them, and their agreement with both truths."""
        explain = self._explained(wildcards)
        shared = {**self._shared(wildcards, "references", "measured"), "metrics": self._jobs.of_anchors(wildcards)}
        return {**explain, **shared, **self._scored(wildcards), "conditions": self._headline(wildcards)["conditions"]}

    def shapley(self, wildcards: Any) -> Settings:
        """What one model does where regions are put back to one baseline."""
        shared = self._shared(wildcards, "permutations", "explained")
        return {**shared, "seed": self._config.seed, "memory": self._config.memory, **self._torch()}

    def refer(self, wildcards: Any) -> Settings:
        """One reference's scores."""
        reference = self._jobs.dataset(wildcards).references[wildcards.reference]
        shared = self._shared(wildcards, "average", "voxels", "explained")
        return {"reference": reference, **shared, "chosen": self._jobs.listed(wildcards), "seed": self._config.seed}

    def subject_maps(self, wildcards: Any) -> Settings:
        """The mean maps of the test subject that Figure 3 draws."""
        choice = {"conditions": self._headline(wildcards)["conditions"], "chosen": self._jobs.listed(wildcards)}
        shared = self._shared(wildcards, "show", "average")
        return {"data": self.kind(wildcards), **shared, **choice, "seed": self._config.seed}

    def score(self, wildcards: Any) -> Settings:
        """The agreement with truth."""
        return {**self._scored(wildcards), "signed": self._signed(wildcards)}

    def planted(self, wildcards: Any) -> Settings:
        """Hits and false alarms of the maps of planted networks."""
        models = self._jobs.dataset(wildcards).networks
        kinds = {name: model.network.get("kind", model.network["name"]) for name, model in models.items()}
        jobs = self._jobs.planted(wildcards)
        return {"data": self._data(wildcards), "entries": [{**job, "kind": kinds[job["model"]]} for job in jobs]}

    def statistics(self, wildcards: Any) -> Settings:
        """A dataset's summary and tests."""
        return {
            "data": self._data(wildcards),
            "swept": list(self._jobs.swept(wildcards)),
            "group": self._group(wildcards),
            "chosen": self._jobs.listed(wildcards),
            **self._without_network(wildcards),
        }

    def metrics(self, wildcards: Any) -> Settings:
        """A dataset's table of metrics, and the maps from elsewhere that have none."""
        given = [[name, label] for name, maps in self._jobs.dataset(wildcards).given.items() for label in maps.saliency]
        return {"data": self._data(wildcards), "given": given}

    def permutation(self, wildcards: Any) -> Settings:
        """A dataset's table of twins."""
        return {"data": self._data(wildcards), "twins": self._jobs.twins(wildcards)}

    def rank(self, wildcards: Any) -> Settings:
        """The order of voxels by one method's maps."""
        saliency = self._jobs.model(wildcards).saliency[wildcards.method]
        return {"saliency": saliency, **self._removing(wildcards), "memory": self._config.memory, **self._torch()}

    def retrain(self, wildcards: Any) -> Settings:
        """One training without voxels."""
        which = {"fraction": float(wildcards.fraction), "start": int(wildcards.seed)}
        return {**which, **self._removing(wildcards), **self._torch()}

    def roar(self, wildcards: Any) -> Settings:
        """A dataset's table of removing and training again."""
        return {"data": self._data(wildcards)}

    def predict(self, wildcards: Any) -> Settings:
        """A dataset's table of which measure predicts which truth, and what it is repeated without."""
        models = self._jobs.dataset(wildcards).networks.values()
        labelled = [(label, method["name"]) for model in models for label, method in model.saliency.items()]
        guided = sorted({label for label, name in labelled if name in GUIDED})
        which = {"conditions": self._headline(wildcards)["conditions"], "swept": list(self._jobs.swept(wildcards))}
        asked = {**which, "guided": guided, "alike": self._alike(wildcards), "seed": self._config.seed}
        return {"data": self._data(wildcards), **asked}

    def judge(self, wildcards: Any) -> Settings:
        """What the data, models and methods of a dataset are that claims are judged in, beside their names."""
        about = ("source", "split", "downsample", "standardize", "voxels", "explained", "metrics", "models")
        found = self._shared(wildcards, *about)
        found["source"].pop("fetch", None)  # changes no result
        of_model = ("network", "training", "calibrate", "seeds", "saliency")
        models = {m: {key: model[key] for key in of_model if key in model} for m, model in found["models"].items()}
        networks = self._jobs.dataset(wildcards).networks
        swept = {
            name: [of, swept_point(networks[of], candidate)[1]]
            for name, (of, candidate) in self._jobs.swept(wildcards).items()
        }
        if self._jobs.dataset(wildcards).fragility:
            found.update(self._shared(wildcards, "fragility"))
        if self._jobs.dataset(wildcards).influence:
            found.update(self._shared(wildcards, "influence"))
        if self._jobs.dataset(wildcards).angles:
            found.update(self._shared(wildcards, "angles"))
        return {**found, "models": models, "swept": swept}

    def figure_1(self, wildcards: Any) -> Settings:
        """The figures of maps."""
        return {
            "data": self._data(wildcards),
            **self._shared(wildcards, "source", "show", "average"),
            "seed": self._config.seed,
            **self._headline(wildcards),
            "entries": self._labels(self._jobs.drawn(wildcards), wildcards),
            "style": self._style("colormap", "dpi"),
        }

    def figure_3(self, wildcards: Any) -> Settings:
        """The figures of one subject's maps."""
        return {**self.figure_1(wildcards), **self._shared(wildcards, "voxels")}

    def figure_2(self, wildcards: Any) -> Settings:
        """The figures of mean agreement; `way` is the module that explains, by which colours go."""
        compared = self._compared(wildcards, self._jobs.drawn(wildcards))
        ways = self._alike(wildcards)["methods"]
        found = [ways.get(f"{entry['model']}/{entry['method']}", entry["method"]) for entry in compared["entries"]]
        entries = [{**entry, "way": way} for entry, way in zip(compared["entries"], found, strict=True)]
        return {**compared, "entries": entries, "style": self._style("bars", "dpi")}

    def figure_grid(self, wildcards: Any) -> Settings:
        """The grid of training and saliency."""
        return {
            **self._compared(wildcards, self._jobs.finalists(wildcards)),
            "attack": self._attack(wildcards),
            "group": self._group(wildcards),
            "style": self._style("sequential", "dpi"),
        }

    def figure_prediction(self, wildcards: Any) -> Settings:
        """The figures of which measure predicts which truth, and the page, which says how much was done."""
        seeds = {name: len(model.seeds) for name, model in self._jobs.dataset(wildcards).networks.items()}
        done = {**self._shared(wildcards, "explained", "measured", "metrics"), "trainings": dict(sorted(seeds.items()))}
        return {"data": self._data(wildcards), "done": done, "style": self._style("dpi")}

    def digest(self, wildcards: Any) -> Settings:
        """What the first page says of a dataset."""
        finalists, models = self._jobs.finalists(wildcards), self._jobs.dataset(wildcards).models
        compared = self._compared(wildcards, finalists)
        entries = [{**one, "seed": job["seed"]} for one, job in zip(compared["entries"], finalists, strict=True)]
        asked = {name: self._in_short(model) for name, model in models.items()}
        shared = {
            **self._shared(wildcards, "show", "average"),
            "drawn": self._labels(self._jobs.drawn(wildcards), wildcards),
        }
        words = {"data": self._data(wildcards), "group": self._group(wildcards)}
        return {**compared, "entries": entries, "models": asked, **shared, **words}

    def figure_strength(self, wildcards: Any) -> Settings:
        """Agreement against the strength of training."""
        models = self._jobs.dataset(wildcards).networks
        swept = [
            {
                "model": name,
                "of": of,
                "label": models[of].label or of,
                "candidate": candidate,
                **dict(zip(("option", "value"), swept_point(models[of], candidate), strict=True)),
                "method": models[of].sweep[0],
            }
            for name, (of, candidate) in self._jobs.swept(wildcards).items()
        ]
        shown = {**self._headline(wildcards), "attack": self._attack(wildcards)}
        return {**shown, "swept": swept, "style": self._style("dpi")}

    def figure_fragility(self, wildcards: Any) -> Settings:
        """The figures and the page of attacked maps."""
        dataset, fragility = self._jobs.dataset(wildcards), self._jobs.fragility(wildcards)
        asked = {**self._headline(wildcards), **asked_of(dataset, fragility)}
        done = done_of(dataset, fragility)
        return {"data": self._data(wildcards), "asked": asked, "done": done, "style": self._style("colormap", "dpi")}

    def pseudonyms(self, wildcards: Any) -> bool:
        """Return whether subjects get pseudonyms: as the config says, or else where they are people."""
        dataset = self._jobs.dataset(wildcards)
        people = dataset.source["name"] in PEOPLE and not self._jobs.simulated(wildcards)
        return people if dataset.pseudonyms is None else dataset.pseudonyms

    def kind(self, wildcards: Any) -> str:
        """Return what a dataset's data are called wherever they lie."""
        options = resolved_options("datasets", self._jobs.dataset(wildcards).source)
        return options.kind() if isinstance(options, SourceOptions) else ""

    # Parts

    def _shared(self, wildcards: Any, *names: str) -> Settings:
        shared = self._jobs.dataset(wildcards).model_dump(mode="json", include=set(names))
        # Who is left out shows in the samples. Snakemake's report holds settings, and no ID may be in it.
        if "exclude" in shared.get("source", {}):
            shared["source"] = {**shared["source"], "exclude": []}
        return shared

    def _data(self, wildcards: Any) -> str:
        """Return what a dataset's data are called wherever numbers show, and of which networks the data are unknown."""
        kind = self.kind(wildcards)
        weights = self._jobs.weights(wildcards)
        unknown = sorted({name for name, path in weights if read_trained(beside(path)).subjects == "unknown"})
        return ", ".join(filter(None, [kind, *(f"training subjects of {name} unknown" for name in unknown)]))

    def _in_short(self, model: Model | GivenMaps) -> Settings:
        """Return what a model is, by the names of its methods."""
        parts = {name: (getattr(model, name, None) or {}).get("name") for name in ("network", "training")}
        return {**parts, "seeds": list(model.seeds), "saliency": list(model.saliency)}

    def _tried(self, model: Model) -> Settings | None:
        """Return how a model's first candidate is trained, for as long as all are on average."""
        points = list(candidates(model).values())
        return {**points[0], EPOCHS: math.ceil(mean(point[EPOCHS] for point in points))} if points else None

    def _again(self, name: str, wildcards: Any) -> list[Settings]:
        """Return how a network is trained again, how often, and on which maps."""
        dataset, jobs = self._jobs.dataset(wildcards), self._jobs
        twins = [dataset.metrics[twin["metric"]] for twin in jobs.twins(wildcards) if twin["model"] == name]
        found: list[Settings] = [{"epochs": metric["epochs"], "jobs": 1} for metric in twins]
        removing = sum(job["model"] == name for job in jobs.of("retrain", wildcards))
        if dataset.roar and removing:
            ranked = [job["method"] for job in jobs.of("rank", wildcards)]
            parts = dataset.roar.model_dump(mode="json", include={"fractions", "train", "test"})
            found.append({"epochs": None, "jobs": removing, "ranked": ranked, **parts})
        return found

    def _removing(self, wildcards: Any) -> Settings:
        """Return which maps voxels are removed from."""
        roar = self._jobs.dataset(wildcards).roar
        return {**(roar.model_dump(mode="json", include={"train", "test"}) if roar else {}), "seed": self._config.seed}

    def _signed(self, wildcards: Any) -> bool | None:
        """Return whether maps from elsewhere have signs, as the config says; None for a network's: they tell it."""
        given = self._jobs.dataset(wildcards).given.get(wildcards.model)
        return given.signed if given else None

    def _alike(self, wildcards: Any) -> Settings:
        """Return what ways to explain and to train are called in every dataset: by their modules."""
        models = self._jobs.dataset(wildcards).networks
        labelled = {f"{m}/{label}": way["name"] for m, model in models.items() for label, way in model.saliency.items()}
        trainings = {name: (model.training or model.network)["name"] for name, model in models.items()}
        return {"methods": dict(sorted(labelled.items())), "trainings": dict(sorted(trainings.items()))}

    def _scored(self, wildcards: Any) -> Settings:
        """Return what maps are compared by: with the data's truth, and with the network where there are regions."""
        compared = self._jobs.compared(wildcards)
        shared = {**self._shared(wildcards, "average", "voxels"), "chosen": self._jobs.listed(wildcards)}
        return {**shared, **({"network": compared} if compared else {})}

    def _without_network(self, wildcards: Any) -> Settings:
        """Return the models that are maps from elsewhere, the attacks, and perhaps the network, that they lack."""
        dataset = self._jobs.dataset(wildcards)
        lacking = {"network": True} if dataset.given and dataset.regions else {}
        attacks = list(dataset.robustness.attacks) if dataset.given else []
        return {"given": list(dataset.given), "attacks": attacks, **lacking}

    def _explained(self, wildcards: Any) -> Settings:
        """Return how a method's maps are made."""
        saliency = self._jobs.model(wildcards).saliency[wildcards.method]
        choice = {"seed": self._config.seed, **self._shared(wildcards, "explained")}
        return {"saliency": saliency, **choice, "memory": self._config.memory, **self._torch()}

    def _torch(self) -> Settings:
        return {"device": self._config.device, "threads": self._config.threads}

    def _style(self, *names: str) -> Settings:
        return self._config.style.model_dump(mode="json", include=set(names))

    def _headline(self, wildcards: Any) -> Settings:
        """Return which truth and which condition set figures show (`truemap.evaluation.agreement`)."""
        dataset = self._jobs.dataset(wildcards)
        conditions = CHOSEN if isinstance(dataset.conditions, list) else HEADLINES[dataset.conditions]
        return {"truth": "leave_out" if dataset.truth.leave_out else "full", "conditions": conditions}

    def _attack(self, wildcards: Any) -> str | None:
        """Return the attack that figures show, the first."""
        return next(iter(self._jobs.dataset(wildcards).robustness.attacks), None)

    def _group(self, wildcards: Any) -> str | None:
        """Return the label of the reference that agreement is given as a share of."""
        references = self._jobs.dataset(wildcards).references
        return next((label for label, r in references.items() if r["name"] == "group_truth"), None)

    def _compared(self, wildcards: Any, entries: list[Job]) -> Settings:
        references = list(self._jobs.dataset(wildcards).references)
        return {**self._headline(wildcards), "entries": self._labels(entries, wildcards), "references": references}

    def _labels(self, entries: list[Job], wildcards: Any) -> list[Settings]:
        names = {name: model.label or name for name, model in self._jobs.dataset(wildcards).models.items()}
        return [{"model": j["model"], "method": j["method"], "label": names[j["model"]]} for j in entries]
