"""The config: what can be set, what it means, and the checks that need no data."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from truemap.options import Count, Fraction, MethodOptions, Positive, Seed, Strict, load, suggest
from truemap.versions import installed


class ConfigError(ValueError):
    """The config is not usable; the message says where and what to do."""


def resolve_method(family: str, value: Any, name: str | None = None) -> dict[str, Any]:
    """Return ``{"name": ..., every option}`` for a method named in the config.

    Parameters
    ----------
    family : str
        Subpackage that holds the method: datasets, networks, training, saliency.
    value : str or dict or None
        A name, or options with the key ``name``.
    name : str, optional
        The name where `value` has none.
    """
    if not isinstance(value, str | dict | None):
        raise ValueError(f"a {family} method is a name, or options with a 'name', not {value!r}")
    options = {"name": value} if isinstance(value, str) else dict(value or {})
    for key in options:
        if not isinstance(key, str):
            raise ValueError(f"unknown key '{key}'")
    chosen = options.pop("name", name)
    if not isinstance(chosen, str):
        raise ValueError(f"a {family} method needs a 'name'")
    model: type[MethodOptions] = load(family, chosen)
    return {"name": chosen, **model(**options).model_dump(mode="json")}


class Model(Strict):
    """A decoder: a network, a way to train it, and the ways to explain it."""

    label: str | None = Field(None, description="name in figures and tables; default: the key")
    network: dict[str, Any] = Field(description="name of a module in truemap/networks, with its options")
    training: dict[str, Any] = Field(
        default="standard",
        description="name of a module in truemap/training, with its options; an option given as a list is a grid: "
        "one job a candidate, validation data choose",
    )
    seeds: list[Seed] = Field([0], min_length=1, description="one trained replicate a seed")
    tolerance: Fraction = Field(
        0.01,
        description="of several strengths (epsilon, or the weight of a penalty) the largest is taken whose validation "
        "accuracy is at most this much below the best; the paper says only 'set using the validation data'",
    )
    calibrate: bool = Field(
        True, description="divide logits by the temperature that minimises validation NLL (section 2.2.3); false: T = 1"
    )
    saliency: dict[str, dict[str, Any]] = Field(
        default="gradient",
        min_length=1,
        description="modules in truemap/saliency: a name, a list of names, or a mapping from a label to options",
    )

    @field_validator("network", mode="before")
    @classmethod
    def _network(cls, value: Any) -> dict[str, Any]:
        return resolve_method("networks", value)

    @field_validator("training", mode="before")
    @classmethod
    def _training(cls, value: Any) -> dict[str, Any]:
        return resolve_method("training", value)

    @field_validator("saliency", mode="before")
    @classmethod
    def _saliency(cls, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list):
            value = {entry if isinstance(entry, str) else repr(entry): None for entry in value}
        if not isinstance(value, dict):
            raise ValueError("saliency is a name, a list of names, or a mapping from a label to options")
        return {_path_word(label): resolve_method("saliency", options, label) for label, options in value.items()}

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: list[int]) -> list[int]:
        if len(set(value)) < len(value):
            raise ValueError("seeds must differ")
        return value


class Split(Strict):
    """Shares of the subjects; 790, 87 and 88 of HCP's 965 as in the paper."""

    train: Positive = Field(790 / 965, description="share of subjects that models are trained on")
    validation: Positive = Field(87 / 965, description="share for choosing hyperparameters and temperature")
    test: Positive = Field(88 / 965, description="share that maps and scores are made for")

    @model_validator(mode="after")
    def _sum(self) -> Split:
        if not math.isclose(self.train + self.validation + self.test, 1.0, abs_tol=1e-6):
            raise ValueError("train, validation and test must add up to 1")
        return self


class Dataset(Strict):
    """Maps with labels, and the models that are compared on them."""

    source: dict[str, Any] = Field(description="name of a module in truemap/datasets, with its options")
    split: Split = Field(Split(), description="by subject, where the source does not state the split itself")
    standardize: Literal["volume", "none"] = Field(
        "volume",
        description="volume: z-score each map over all its voxels, zeros outside the brain included (as the paper's "
        "epsilon of 95 implies); none: take maps as they are",
    )
    precision: Literal["float16", "float32"] = Field(
        "float16", description="type in which z-scored maps are stored; sums and correlations are float64 always"
    )
    shards: Count = Field(1, description="files (and jobs) each split's volumes are spread over, by subject")
    mask: str | None = Field(
        None,
        description="NIfTI file, non-zero in the brain; default: voxels that differ from 0 in a training map of the "
        "first subject",
    )
    voxels: Literal["all", "brain"] = Field(
        "all", description="voxels that agreement is computed over; all in the paper"
    )
    average: Literal["classes", "maps"] = Field(
        "classes",
        description="the mean that a class is compared with: of the class means (each class counts the same) or of all "
        "maps. The paper says 'average example across classes'",
    )
    figures: Literal["images", "glass_brain"] = Field(
        "glass_brain",
        description="how maps are drawn: as 2D images (Figure 1) or as glass brains in MNI space (Figure 3)",
    )
    show: list[str] | None = Field(
        None, description="classes drawn in Figures 1 and 3; default: the first three by name"
    )
    models: dict[str, Model] = Field(min_length=1, description="the decoders, by name")

    @field_validator("source", mode="before")
    @classmethod
    def _source(cls, value: Any) -> dict[str, Any]:
        return resolve_method("datasets", value)

    @field_validator("models")
    @classmethod
    def _names(cls, value: dict[str, Model]) -> dict[str, Model]:
        for name, model in value.items():
            _path_word(name)
            if model.network["name"] != "linear" and any(s["name"] == "weights" for s in model.saliency.values()):
                raise ValueError(f"model '{name}': saliency 'weights' exists for the linear network only")
        return value


class Style(Strict):
    """How figures look."""

    colormap: str = Field("RdBu_r", description="matplotlib colour map of signed maps")
    bars: str = Field("#4477aa", description="colour of the bars in Figure 2")
    dpi: Count = Field(150, description="of the PNG files")


class Provenance(Strict):
    """What counts as code, beyond the project's own modules."""

    packages: list[str] = Field(
        [],
        description="installed packages (e.g. torch) whose version counts as code of every rule: an upgrade then re-"
        "runs everything; all versions are written beside models and scores in any case",
    )

    @field_validator("packages")
    @classmethod
    def _installed(cls, value: list[str]) -> list[str]:
        for package in value:
            if not installed(package):
                raise ValueError(f"package '{package}' is not installed here; take it out, or install it")
        return value


class Config(Strict):
    """The whole config."""

    run: list[str] = Field(min_length=1, description="datasets to run, of those defined under `datasets`")
    seed: Seed = Field(0, description="of everything random but training: noise, splits, simulated subjects")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU where torch sees one, else the CPU; bits are the same only on the same device"
    )
    threads: Count = Field(
        1, description="CPU threads of one training or saliency job; part of the settings, because sums depend on it"
    )
    datasets: dict[str, Dataset] = Field(description="definitions, by name")
    style: Style = Field(Style(), description="how figures look")
    provenance: Provenance = Field(Provenance(), description="what counts as code")

    @model_validator(mode="after")
    def _run(self) -> Config:
        for name in self.datasets:
            _path_word(name)
        for name in self.run:
            if name not in self.datasets:
                raise ValueError(f"run: unknown dataset '{name}'{suggest(name, self.datasets)}")
        return self


def parse(raw: dict[str, Any]) -> Config:
    """Return the checked config.

    Raises
    ------
    ConfigError
        With one line for each fault: where it stands and what is wrong with it.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, fault['loc'])) or 'config'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise ConfigError("the config cannot be used:\n" + "\n".join(lines)) from None


def _path_word(word: str) -> str:
    if not isinstance(word, str) or not word or not all(c.isalnum() or c in "-_" for c in word):
        raise ValueError(f"'{word}' becomes a file name: use letters, digits, '-' and '_' only")
    return word
