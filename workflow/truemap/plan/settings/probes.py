"""Settings of the rules in rules/fragility.smk, exemplars.smk and curvature.smk: attacked maps, influences, angles."""

from __future__ import annotations

from truemap.config.probes import Fragility
from truemap.plan.attacked import asked_of, at_random, done_of, influences_asked
from truemap.plan.record import Settings
from truemap.plan.settings.parts import Parts


class ProbeSettings(Parts):
    """A method a rule, of the rule's name."""

    def attack_maps(self) -> Settings:
        """One attack on one method's maps."""
        fragility = self._fragility()
        asked = fragility.model_dump(mode="json", include={"epsilon", "norm", "maps", "top", "moved"})
        maps = {"data": self._dataset.kind, **self._explained()}
        shared = {**self._scored(), **self._shared("standardize", "permutations")}
        return {"attack": fragility.attacks[self._wildcards.attack], **asked, **maps, **shared}

    def fragility(self) -> Settings:
        """A dataset's table of attacked maps, and which attack the others are compared with."""
        return {"data": self._data(), "random": at_random(self._fragility())}

    def dimension(self) -> Settings:
        """A dataset's attacked maps beside those in fewer voxels."""
        return {"data": self._data(), "coarser": self._fragility().coarser}

    def figure_fragility(self) -> Settings:
        """The figures and the page of attacked maps."""
        dataset, fragility = self._dataset, self._fragility()
        asked = {**self._headline(), **asked_of(dataset, fragility)}
        shown = {"asked": asked, "done": done_of(dataset, fragility)}
        return {"data": self._data(), **shown, **self._style("colormap", "dpi")}

    def influence(self) -> Settings:
        """Influences of training maps on one network's predictions, and attacks on them."""
        choice = {**self._seeded(), **self._shared("explained", "standardize")}
        return {"influence": self._asked("influence"), **choice, **self._in_chunks()}

    def influences(self) -> Settings:
        """A dataset's table of influences, and of how many most influential maps it tells."""
        return {"data": self._data(), "top": self._asked("influence")["top"]}

    def figure_influence(self) -> Settings:
        """The figure of influences, and what they come to in words."""
        return {"data": self._data(), **influences_asked(self._dataset), **self._style("colormap", "dpi")}

    def angles(self) -> Settings:
        """Angles of directions of one network."""
        choice = {"start": int(self._wildcards.seed), **self._seeded(), **self._shared("explained")}
        return {"angles": self._asked("angles"), **choice, **self._in_chunks()}

    def angle_summary(self) -> Settings:
        """A dataset's table of angles, and what networks are called."""
        labels = {name: self._dataset.networks[name].label or name for name in self._dataset.angled}
        return {"data": self._data(), "labels": dict(sorted(labels.items()))}

    def figure_angles(self) -> Settings:
        """The histograms of angles."""
        return {**self.angle_summary(), **self._style("dpi")}

    # Parts

    def _fragility(self) -> Fragility:
        """Return how maps are attacked."""
        fragility = self._dataset.fragility
        if fragility is None:
            raise TypeError(f"maps of '{self._wildcards.dataset}' are not attacked")
        return fragility

    def _asked(self, probe: str) -> Settings:
        """Return what is asked of one network."""
        return {key: value for key, value in self._shared(probe)[probe].items() if key != "models"}
