"""What can be set of a dataset beside its data: the models that are compared on it, and how they are tested."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from truemap.config.angles import Angles
from truemap.config.data import Data
from truemap.config.exemplars import Influential
from truemap.config.models import AnyModel, GivenMaps, Model
from truemap.config.names import NOT_ATTACKED, REFERENCE, path_words
from truemap.config.options import Count, Name, TwinOptions, suggest
from truemap.config.probes import Fragility, Roar, Robustness, require_trained
from truemap.config.registry import check_fit, folders_of, resolve_methods, resolved_options


class Dataset(Data):
    """Maps with labels, and the models that are compared on them."""

    references: dict[str, dict[str, Any]] = Field(
        default={
            "random": None,
            "input": None,
            "input-centred": {"name": "input", "centre": True},
            "group_truth": None,
        },
        description="modules in truemap/references, scored like saliency maps though they know nothing of a network: "
        "a name, a list of names, or a mapping from a label to options. Where there are `metrics` these "
        "measure them too, as anchors",
    )
    robustness: Robustness = Field(Robustness(), description="how robust accuracy is measured")
    metrics: dict[str, dict[str, Any]] = Field(
        default={},
        description="modules in truemap/metrics, which measure networks' maps without any truth: a name, a list of "
        "names, or a mapping from a label to options. What is measured is explained again, at full precision, for a "
        "sample's own class; beside it, for the first seed of each model, anchors: `references`, the truth degraded in "
        "steps, another class's truth, and by the model's first `saliency` the map of the untrained network, and of "
        "the twin that `label_permutation` trains",
    )
    measured: Count | None = Field(
        50,
        description="explained test maps that each of `metrics` measures, a seeded choice balanced over classes, the "
        "same for every model and method; null: all",
    )
    roar: Roar | None = Field(
        None, description="remove and retrain: accuracy against the share of voxels removed (statistics/roar.tsv)"
    )
    fragility: Fragility | None = Field(
        None,
        description="attacks on maps, under which the prediction stays: how far each map can be changed, and whether "
        "it still tells the truth (statistics/fragility.tsv)",
    )
    influence: Influential | None = Field(
        None,
        description="which training maps predictions hang on, and attacks on that, under which the prediction stays "
        "(statistics/influence.tsv)",
    )
    angles: Angles | None = Field(
        None,
        description="angles between the directions that change a score and its map, or a loss and an influence, the "
        "most (statistics/angles.tsv)",
    )
    figures: Literal["images", "glass_brain"] = Field(
        "glass_brain",
        description="how maps are drawn: as 2D images (Figure 1) or as glass brains in MNI space (Figure 3)",
    )
    show: list[Name] | None = Field(
        None,
        min_length=1,
        description="classes drawn in Figures 1 and 3, at least two in Figure 1; default: the first three by name",
    )
    drawn: list[str] | None = Field(
        None,
        min_length=1,
        description="rows of Figures 1, 2 and 3, each 'model/method'; default: every method of every model",
    )
    models: dict[str, AnyModel] = Field(
        min_length=1, description="the decoders, by name: networks, or maps that another tool made (key `maps`)"
    )

    @model_validator(mode="before")
    @classmethod
    def _unasked(cls, values: Any) -> Any:
        """People's own maps are attacked where they ask for it."""
        if isinstance(values, dict):
            source, robustness = values.get("source"), values.get("robustness", {})
            name = source.get("name") if isinstance(source, dict) else source
            if name in NOT_ATTACKED and isinstance(robustness, dict):
                return {**values, "robustness": {"attacks": {}, **robustness}}
        return values

    @field_validator("references", mode="before")
    @classmethod
    def _references(cls, value: Any, info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return resolve_methods("references", value, folders=folders_of(info))

    @field_validator("metrics", mode="before")
    @classmethod
    def _metrics(cls, value: Any, info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return resolve_methods("metrics", value, folders=folders_of(info))

    @field_validator("models")
    @classmethod
    def _names(cls, value: dict[str, AnyModel]) -> dict[str, AnyModel]:
        path_words(value)
        for name in value:
            if "--" in name:
                raise ValueError(f"a model cannot be called '{name}': '--' stands between a model and its candidate")
            if name == REFERENCE:
                raise ValueError(f"a model cannot be called '{name}': that is what references are called in tables")
        return value

    @model_validator(mode="after")
    def _regions_known(self) -> Dataset:
        if self.regions == "squares" and self.source["name"] != "synthetic":
            raise ValueError("regions: squares are those of the source synthetic. Name an atlas, or blocks [a, b, c].")
        for name, model in self.networks.items():
            if model.planted and not self.regions:
                raise ValueError(f"models.{name}: network '{model.network['name']}' needs a dataset with `regions`.")
        if self.regions == "components" and not self.source.get("simulate"):
            raise ValueError(
                "regions: components are those that subjects are simulated from (source hcp with `simulate`). Name an "
                "atlas, or blocks [a, b, c]."
            )
        return self

    @model_validator(mode="after")
    def _shown(self) -> Dataset:
        show = self.show or []
        if len(set(show)) < len(show):
            raise ValueError("show: names a class twice")
        if len(show) == 1 and self.figures == "images":
            raise ValueError("show: Figure 1 draws changes from one class to another; name at least two")
        return self

    @model_validator(mode="after")
    def _drawn(self) -> Dataset:
        known = [f"{name}/{method}" for name, model in self.models.items() for method in model.saliency]
        for entry in self.drawn or []:
            if entry not in known:
                raise ValueError(f"drawn: no '{entry}'{suggest(entry, known)}")
        return self

    @model_validator(mode="after")
    def _measurable(self) -> Dataset:
        if self.metrics and not self.networks:
            raise ValueError("metrics: they ask a network, and all models here are maps from elsewhere. Drop them.")
        for label, metric in self.metrics.items():
            options = resolved_options("metrics", metric)
            for model in self.networks.values():
                traits = resolved_options("networks", model.network).traits()
                check_fit("metrics", label, options.needs(), "network", model.network["name"], traits)
            if isinstance(options, TwinOptions):
                require_trained(f"metrics.{label}", options.model, self.trained)
        return self

    @model_validator(mode="after")
    def _probed(self) -> Dataset:
        # Refused is what asks networks that are not there, or more than they can tell.
        if self.roar:
            self.roar.check(self.trained)
        if self.fragility:
            self.fragility.check(self.networks, regions=bool(self.regions))
        if self.influence:
            self.influence.check(self.models, self.networks)
        if self.angles:
            self.angles.check(self.models)
        return self

    @property
    def networks(self) -> dict[str, Model]:
        """Those of the models that are networks."""
        return {name: model for name, model in self.models.items() if isinstance(model, Model)}

    @property
    def trained(self) -> dict[str, Model]:
        """Those of the networks that are trained here, and so can be trained again."""
        return {name: model for name, model in self.networks.items() if model.training}

    def trained_again(self, model: str | None) -> str:
        """Return the network that is trained again: the one that is named, or the first that is trained here."""
        return model or next(iter(self.trained))

    @property
    def given(self) -> dict[str, GivenMaps]:
        """Those of the models that are maps from elsewhere."""
        return {name: model for name, model in self.models.items() if isinstance(model, GivenMaps)}

    @property
    def fragile(self) -> dict[str, list[str]]:
        """Network -> labels of its ways to explain whose maps are attacked."""
        return self.fragility.attacked(self.networks) if self.fragility else {}

    @property
    def influenced(self) -> list[str]:
        """Networks of which it is told which training maps their predictions hang on."""
        return list(self.influence.models or self.trained) if self.influence else []

    @property
    def angled(self) -> list[str]:
        """Networks of which angles of directions are told."""
        return self.angles.asked(self.models) if self.angles else []
