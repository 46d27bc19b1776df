"""Settings of the rules in rules/report.smk: figures, and what claims and the first page are made from."""

from __future__ import annotations

from truemap.config.candidates import swept_point
from truemap.config.models import GivenMaps, Model
from truemap.plan.jobs import Job
from truemap.plan.record import Settings
from truemap.plan.settings.parts import Parts


class ReportSettings(Parts):
    """A method a rule, of the rule's name."""

    def figure_1(self) -> Settings:
        """The figures of maps."""
        drawn = {**self._headline(), "entries": self._labelled(self._jobs.drawn())}
        shared = {"data": self._data(), **self._shared("source", "show", "average"), **self._seeded()}
        return {**shared, **drawn, **self._style("colormap", "dpi")}

    def figure_3(self) -> Settings:
        """The figures of one subject's maps."""
        return {**self.figure_1(), **self._shared("voxels")}

    def figure_2(self) -> Settings:
        """The figures of mean agreement; `way` is the module that explains, by which colours go."""
        compared = self._compared(self._jobs.drawn())
        ways = self._alike()["methods"]
        entries = [
            {**entry, "way": ways.get(f"{entry['model']}/{entry['method']}", entry["method"])}
            for entry in compared["entries"]
        ]
        return {**compared, "entries": entries, **self._style("bars", "dpi")}

    def figure_grid(self) -> Settings:
        """The grid of training and saliency."""
        compared = self._compared(self._jobs.finalists())
        return {**compared, "attack": self._attack(), "group": self._group(), **self._style("sequential", "dpi")}

    def figure_strength(self) -> Settings:
        """Agreement against the strength of training."""
        swept = []
        for name, (of, candidate) in self._jobs.swept.items():
            model = self._dataset.networks[of]
            option, value = swept_point(model, candidate)
            point = {"model": name, "of": of, "label": model.label or of, "candidate": candidate}
            swept.append({**point, "option": option, "value": value, "method": model.sweep[0]})
        return {**self._headline(), "attack": self._attack(), "swept": swept, **self._style("dpi")}

    def figure_prediction(self) -> Settings:
        """The figures of which measure predicts which truth, and the page, which says how much was done."""
        seeds = {name: len(model.seeds) for name, model in self._dataset.networks.items()}
        done = {**self._shared("explained", "measured", "metrics"), "trainings": dict(sorted(seeds.items()))}
        return {"data": self._data(), "done": done, **self._style("dpi")}

    def judge(self) -> Settings:
        """What the data, models and methods of a dataset are that claims are judged in, beside their names."""
        about = ("source", "split", "downsample", "standardize", "voxels", "explained", "metrics", "models")
        found = self._shared(*about)
        found["source"].pop("fetch", None)  # changes no result
        of_model = ("network", "training", "calibrate", "seeds", "saliency")
        models = {m: {key: model[key] for key in of_model if key in model} for m, model in found["models"].items()}
        networks, swept = self._dataset.networks, self._jobs.swept.items()
        values = {name: [of, swept_point(networks[of], candidate)[1]] for name, (of, candidate) in swept}
        return {**found, **self._probes(), "models": models, "swept": values}

    def digest(self) -> Settings:
        """What the first page says of a dataset."""
        finalists = self._jobs.finalists()
        compared = self._compared(finalists)
        entries = [{**one, "seed": job["seed"]} for one, job in zip(compared["entries"], finalists, strict=True)]
        models = {name: self._in_short(model) for name, model in self._dataset.models.items()}
        drawn = {**self._shared("show", "average"), "drawn": self._labelled(self._jobs.drawn())}
        words = {"data": self._data(), "group": self._group()}
        return {**compared, "entries": entries, "models": models, **drawn, **words}

    # Parts

    def _compared(self, entries: list[Job]) -> Settings:
        """Return what agreement is shown of: jobs, beside the references."""
        return {**self._headline(), "entries": self._labelled(entries), "references": list(self._dataset.references)}

    def _attack(self) -> str | None:
        """Return the attack that figures show, the first."""
        return next(iter(self._dataset.robustness.attacks), None)

    def _in_short(self, model: Model | GivenMaps) -> Settings:
        """Return what a model is, by the names of its methods."""
        parts = {name: (getattr(model, name, None) or {}).get("name") for name in ("network", "training")}
        return {**parts, "seeds": list(model.seeds), "saliency": list(model.saliency)}
