"""Settings of the rules in rules/data.smk: from what there is to volumes and the data's truth."""

from __future__ import annotations

from truemap.plan.record import Settings
from truemap.plan.settings.parts import Parts
from truemap.runtime.privacy import pseudonym, read_salt


class DataSettings(Parts):
    """A method a rule, of the rule's name."""

    def simulate(self) -> Settings:
        """One shard of simulated subjects."""
        shard = {"shard": int(self._wildcards.shard), "shards": self._dataset.shards}
        return {"simulate": self._dataset.source["simulate"], **self._seeded(), **shard}

    def samples(self) -> Settings:
        """The list of samples."""
        source, pseudonyms = self._dataset.source, self._dataset.pseudonymous
        shared = self._shared("split", "family", "on_bad_subject")
        settings = {"source": source, **shared, **self._seeded(), "pseudonyms": pseudonyms}
        if excluded := sorted(source.get("exclude", [])):
            # Settings are recorded with the results, where no ID may be.
            settings["excluded"] = [pseudonym(read_salt(), who) for who in excluded] if pseudonyms else excluded
        return settings

    def grid(self) -> Settings:
        """The grid and mask."""
        shared = self._shared("source", "mask", "nan", "downsample", "on_bad_subject")
        return {"data": self._dataset.kind, **shared, **self._seeded()}

    def regions(self) -> Settings:
        """The mask's regions."""
        settings = {"data": self._dataset.kind, **self._shared("regions", "downsample")}
        if settings["regions"] == "components":
            simulate = self._dataset.source["simulate"]
            settings["simulate"] = {key: simulate[key] for key in ("resolution", "blob_fwhm")}
        return settings

    def words(self) -> Settings:
        """The check of words that only the data know."""
        conditions = {"conditions": self._headline()["conditions"], "chosen": self._dataset.listed}
        return {**self._shared("show", "figures"), **conditions, **self._style("colormap", "sequential", "bars")}

    def volumes(self) -> Settings:
        """One shard of volumes."""
        names = ("source", "nan", "downsample", "standardize", "precision", "shards", "on_bad_subject")
        part = {"split": self._wildcards.split, "shard": int(self._wildcards.shard)}
        return {**self._shared(*names), **self._seeded(), **part}

    def quality(self) -> Settings:
        """The table of quality."""
        return {"data": self._data()}

    def truth(self) -> Settings:
        """The class means."""
        return {"data": self._dataset.kind, **self._shared("source", "downsample"), "chosen": self._dataset.listed}

    def background(self) -> Settings:
        """The class means of the training maps."""
        return {"chosen": []}

    def background_chosen(self) -> Settings:
        """The same of chosen conditions."""
        return {"chosen": self._dataset.listed}
