"""What can be set of a model: a network that is trained or given, or saliency maps that another tool made."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from truemap.config.names import EPOCHS, PLANTED, STRENGTHS, path_words
from truemap.config.options import Fraction, Seed, Strict, suggest
from truemap.config.registry import check_fit, folders_of, resolve_method, resolve_methods, resolved_options


def _is_planted(network: dict[str, Any] | None) -> bool:
    """Return whether a network's weights are in closed form (`truemap.networks._contract.Plant`)."""
    return network is not None and PLANTED in (resolved_options("networks", network).traits() or ())


def _drawable(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("a label is drawn as text: use no control characters")
    return text


Label = Annotated[str, AfterValidator(_drawable)]
LABEL = "name in figures and tables; default: the key"


class Model(Strict):
    """A decoder: a network, a way to train it, and the ways to explain it."""

    label: Label | None = Field(None, description=LABEL)
    network: dict[str, Any] = Field(description="name of a module in truemap/networks, with its options")
    weights: str | None = Field(
        None,
        description="safetensors file of a network that is trained already, in place of `training`; `{seed}` in its "
        "name stands for each of `seeds`. The JSON file beside it, of the same name, says what the network is (below)",
    )
    training: dict[str, Any] | None = Field(
        default="standard",
        description="name of a module in truemap/training, with its options; an option given as a list is a grid: "
        "one job a candidate, validation data choose. None for the network planted",
    )
    seeds: list[Seed] = Field([0], min_length=1, description="one trained replicate a seed")
    tolerance: Fraction = Field(
        0.01,
        description="of several strengths (epsilon, or the weight of a penalty) the largest is taken whose validation "
        "accuracy is at most this much below the best; the paper says only 'set using the validation data'",
    )
    calibrate: bool = Field(
        True,
        description="divide logits by the temperature that minimises validation NLL (section 2.2.3); false: T = 1, or "
        "what is stated beside `weights`",
    )
    accuracy_within: Fraction = Field(
        0.1,
        description="of `weights` beside which an accuracy is stated: the run stops where test accuracy is lower by "
        "more than this, as classes, left and right or standardisation are then likely to be exchanged",
    )
    saliency: dict[str, dict[str, Any]] = Field(
        default="gradient",
        min_length=1,
        description="modules in truemap/saliency: a name, a list of names, or a mapping from a label to options",
    )
    sweep: list[str] = Field(
        [],
        description="labels among `saliency` whose maps are made for every candidate of the grid too, not only for the "
        "chosen one: r and accuracy against the strength, or `epochs` where these are the list (figure `strength`)",
    )

    @field_validator("network", mode="before")
    @classmethod
    def _network(cls, value: Any, info: ValidationInfo) -> dict[str, Any]:
        return resolve_method("networks", value, folders=folders_of(info))

    @property
    def planted(self) -> bool:
        """Whether the weights are in closed form, of the dataset's regions."""
        return not self.weights and _is_planted(self.network)

    @model_validator(mode="before")
    @classmethod
    def _untrained(cls, values: Any, info: ValidationInfo) -> Any:
        # The default is not told from what was written once it is filled in.
        if isinstance(values, dict) and values.get("training") is not None:
            network = None
            with suppress(ValueError):
                network = resolve_method("networks", values.get("network"), folders=folders_of(info))
            if _is_planted(network):
                raise ValueError(
                    f"training: network '{network['name']}' needs a dataset with `regions`, and no training. Drop it."
                )
        return values

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("weights") is None:
            return values
        for key in ("training", "sweep", "tolerance"):
            if values.get(key):
                raise ValueError(f"{key}: `weights` are trained already; leave one of the two out")
        if len(values.get("seeds") or [0]) > 1 and "{seed}" not in str(values["weights"]):
            raise ValueError("weights: one file cannot be that of several seeds; write {seed} in its name")
        return {**values, "training": None}

    @field_validator("weights")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        if value is not None and not value.endswith(".safetensors"):
            raise ValueError(
                "must be a .safetensors file, which holds numbers and no code; `python -m truemap.convert` makes it of "
                "a PyTorch state dict (.pt) or of linear decoders' coefficients (.npz)"
            )
        return value

    @field_validator("training", mode="before")
    @classmethod
    def _training(cls, value: Any, info: ValidationInfo) -> dict[str, Any] | None:
        if value is None and info.data.get("weights"):
            return None
        if _is_planted(info.data.get("network")):
            return None
        return resolve_method("training", value, folders=folders_of(info))

    @field_validator("saliency", mode="before")
    @classmethod
    def _saliency(cls, value: Any, info: ValidationInfo) -> dict[str, Any]:
        return resolve_methods("saliency", value, folders=folders_of(info))

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            raise ValueError("seeds must differ")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> Model:
        network = resolved_options("networks", self.network)
        of_network = ("network", self.network["name"], network.traits())
        if self.training is not None:
            training, name = resolved_options("training", self.training), self.training["name"]
            check_fit("network", self.network["name"], network.needs(), "training", name, training.traits())
            check_fit("training", name, training.needs(), *of_network)
        for label, saliency in self.saliency.items():
            check_fit("saliency", label, resolved_options("saliency", saliency).needs(), *of_network)
        return self

    @model_validator(mode="after")
    def _swept(self) -> Model:
        for label in self.sweep:
            if label not in self.saliency:
                raise ValueError(f"sweep: no saliency '{label}'{suggest(label, self.saliency)}")
        training = self.training or {}
        longer = isinstance(training.get(EPOCHS), list)
        if self.sweep and not self.weights and not longer and not set(STRENGTHS) & set(training):
            raise ValueError(f"sweep: training '{training.get('name')}' has no strength, and `epochs` is no list")
        return self


class GivenMaps(Strict):
    """Saliency maps that another tool made: scored, tested and drawn without a network; what needs one is left out."""

    label: Label | None = Field(None, description=LABEL)
    maps: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        description="TSV with columns image (NIfTI, or a .npy stack of shape (n, *shape) or (n, voxels), the last axis "
        "running fastest as NumPy has it; relative to the sheet), row (of a stack, from 0), sample (what the column "
        "image of results/{dataset}/samples.tsv says, or the number of its line, 0 below the header: numbers shift "
        "when maps come or go) and target (the class "
        "explained). Every test map that is explained needs a line for its own class, and all or none have lines for "
        "the other classes. Or a mapping from a label to such a sheet, for several ways to explain. Accuracies, robust "
        "ones too, need a network: tables and figures say that there is none",
    )
    signed: bool = Field(
        description="whether the sign of a value means something (for or against the class). false: sizes only, none "
        "negative; agreement is then that of sizes with the truth's sizes (criteria with the ending _absolute)"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_network(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            if key in Model.model_fields and key not in cls.model_fields:
                raise ValueError(f"'{key}' is of a network, and `maps` come without one. Drop one of the two.")
        return values

    @field_validator("maps", mode="before")
    @classmethod
    def _sheets(cls, value: Any) -> Any:
        if not isinstance(value, str | dict):
            raise ValueError("give a sheet, or a mapping from a label to a sheet")
        return {"maps": value} if isinstance(value, str) else value

    @field_validator("maps")
    @classmethod
    def _labels(cls, value: dict[str, str]) -> dict[str, str]:
        path_words(value)
        return value

    @property
    def seeds(self) -> list[int]:
        """The one replicate that there is."""
        return [0]

    @property
    def saliency(self) -> dict[str, str]:
        """The ways to explain: label -> sheet."""
        return self.maps


def _kind(model: Any) -> str:
    """Return which of the two a model is: maps from elsewhere are known by their key."""
    given = isinstance(model, GivenMaps) or (isinstance(model, dict) and "maps" in model)
    return "model[maps]" if given else "model[network]"


#: Tags are no part of a fault's place (`truemap.config.options.OF_UNION`).
AnyModel = Annotated[
    Annotated[Model, Tag("model[network]")] | Annotated[GivenMaps, Tag("model[maps]")], Discriminator(_kind)
]
