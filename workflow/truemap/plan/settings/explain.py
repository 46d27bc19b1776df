"""Settings of the rules in rules/explain.smk: maps, what they are compared with and measured by, and its tables."""

from __future__ import annotations

from truemap.config.names import GUIDED
from truemap.plan.record import Settings
from truemap.plan.settings.parts import Parts


class ExplainSettings(Parts):
    """A method a rule, of the rule's name."""

    def explain(self) -> Settings:
        """One method's saliency maps."""
        return {**self._stored(), **self._explained()}

    def adopt(self) -> Settings:
        """One sheet of maps from elsewhere."""
        choice = {**self._seeded(), **self._shared("explained", "nan")}
        return {**self._stored(), "signed": self._signed(), **choice}

    def shapley(self) -> Settings:
        """What one model does where regions are put back to one baseline."""
        return {**self._shared("permutations", "explained"), **self._seeded(), **self._in_chunks()}

    def subject_maps(self) -> Settings:
        """The mean maps of the test subject that Figure 3 draws."""
        choice = {"conditions": self._headline()["conditions"], "chosen": self._dataset.listed}
        return {"data": self._dataset.kind, **self._shared("show", "average"), **choice, **self._seeded()}

    def score(self) -> Settings:
        """The agreement with truth."""
        return {**self._scored(), "signed": self._signed()}

    def refer(self) -> Settings:
        """One reference's scores."""
        shared = {**self._shared("average", "voxels", "explained"), "chosen": self._dataset.listed}
        return {"reference": self._dataset.references[self._wildcards.reference], **shared, **self._seeded()}

    def robustness(self) -> Settings:
        """One attack on one model."""
        robustness = self._dataset.robustness
        shared = robustness.model_dump(mode="json", exclude={"attacks"})
        attack = robustness.attacks[self._wildcards.attack]
        return {"attack": attack, **shared, **self._seeded(), **self._in_chunks()}

    def measure(self) -> Settings:
        """One metric of one method's maps."""
        metric = self._dataset.metrics[self._wildcards.metric]
        return {"metric": metric, **self._shared("measured"), **self._explained()}

    def anchors(self) -> Settings:
        """Anchors of one model: metrics of them, and their agreement with both truths."""
        metrics = {"metrics": self._jobs.of_anchors()}
        shared = {**self._shared("references", "measured"), **metrics, **self._scored()}
        return {**self._explained(), **shared, "conditions": self._headline()["conditions"]}

    def planted(self) -> Settings:
        """Hits and false alarms of the maps of planted networks."""
        networks = {name: model.network for name, model in self._dataset.networks.items()}
        kinds = {name: network.get("kind", network["name"]) for name, network in networks.items()}
        jobs = self._jobs.planted()
        return {"data": self._data(), "entries": [{**job, "kind": kinds[job["model"]]} for job in jobs]}

    def statistics(self) -> Settings:
        """A dataset's summary and tests."""
        shown = {"swept": list(self._jobs.swept), "group": self._group(), "chosen": self._dataset.listed}
        return {"data": self._data(), **shown, **self._without_network()}

    def metrics(self) -> Settings:
        """A dataset's table of metrics, and the maps from elsewhere that have none."""
        given = [[name, label] for name, maps in self._dataset.given.items() for label in maps.saliency]
        return {"data": self._data(), "given": given}

    def permutation(self) -> Settings:
        """A dataset's table of twins."""
        return {"data": self._data(), "twins": self._jobs.twins()}

    def predict(self) -> Settings:
        """A dataset's table of which measure predicts which truth, and what it is repeated without."""
        ways = [way for model in self._dataset.networks.values() for way in model.saliency.items()]
        guided = sorted({label for label, saliency in ways if saliency["name"] in GUIDED})
        which = {"conditions": self._headline()["conditions"], "swept": list(self._jobs.swept)}
        return {"data": self._data(), **which, "guided": guided, "alike": self._alike(), **self._seeded()}

    # Parts

    def _signed(self) -> bool | None:
        """Return whether maps from elsewhere have signs, as the config says; None for a network's: they tell it."""
        given = self._dataset.given.get(self._wildcards.model)
        return given.signed if given else None

    def _without_network(self) -> Settings:
        """Return the models that are maps from elsewhere, the attacks, and perhaps the network, that they lack."""
        given, attacks = list(self._dataset.given), list(self._dataset.robustness.attacks)
        lacking = {"network": True} if given and self._dataset.regions else {}
        return {"given": given, "attacks": attacks if given else [], **lacking}
