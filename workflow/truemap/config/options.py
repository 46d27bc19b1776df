"""Base classes and types with which a method module states its options.

How a config finds a method's options: `truemap.config.registry`.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator


def _exponent(value: Any) -> Any:
    """Return the number where YAML 1.1 made text of one, as it does of 1e-3 (but not of 1.0e-3)."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value) else value


def _hcp_number(value: Any) -> Any:
    """Return a whole number of six digits as text: of those alone it is sure that YAML read them as they stand."""
    return str(value) if type(value) is int and 100_000 <= value <= 999_999 else value


T = TypeVar("T")


def once(value: list[T] | None) -> list[T] | None:
    """Return a list, of which nothing may be there twice: for `field_validator`."""
    if value and len(set(value)) < len(value):
        raise ValueError("one is there twice")
    return value


#: One value, or a list of candidates of which validation data choose one.
Grid: TypeAlias = T | Annotated[list[T], Field(min_length=1)]
Number = Annotated[float, BeforeValidator(_exponent)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
#: What the bound of noise is given in, and in words.
EpsilonUnit = Literal["voxel", "absolute"]
EPSILON_UNIT = "voxel: the L2 bound is epsilon times sqrt(voxels); absolute: it is epsilon"
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def composed(text: str) -> str:
    """Return a text as cells of tables are (`truemap.data.tables`): composed (NFC), one blank for any white space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


#: What is compared with cells of tables.
Name = Annotated[str, AfterValidator(composed)]
Subject = Annotated[Name, BeforeValidator(_hcp_number)]


class Strict(BaseModel):
    """A part of the config: frozen, no unknown keys, and nothing of another type than it says.

    YAML 1.1 makes numbers of 012345 (octal: 5349) and 12:30 (base 60: 750), and booleans of yes, no, on and off:
    taken for the text or the number that a key wants, they would be a value that nobody wrote.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        strict=True,
        allow_inf_nan=False,
        str_strip_whitespace=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key '{key}'{suggest(key, cls.model_fields)}")
        return values


class MethodOptions(Strict):
    """Options of one method; subclassed as ``Options`` in the method's module."""

    def traits(self) -> set[str] | None:
        """Return what a network (or a training) with these options has that other methods may need.

        Of a way to explain or a reference, what its maps are, by which they are compared with the network:
        ``attribution`` (a voxel's share of the output beside a baseline, ``zero`` or ``mean``), ``gradient`` (what a
        voxel's change would change), or nothing: sizes alone are compared then.

        None for a network of which only a look tells (`truemap.networks._look`), as for all that do not say.
        """
        return set()

    def needs(self) -> set[str]:
        """Return the traits without which the method cannot work: of the network; if it is one, of the training."""
        return set()


class SourceOptions(MethodOptions):
    """Options of a source of data."""

    def kind(self) -> str:
        """Return what these data are called wherever they show; simulated ones are called so."""
        raise NotImplementedError(f"{type(self).__module__}: its Options say not of what kind the data are (`kind`).")


class TrainingOptions(MethodOptions):
    """What every way to train has in common (optimiser: Adam)."""

    epochs: Grid[Count] = Field(
        20,
        description="passes over the training data; a list is one training, told of after each of these "
        "(made one by one, from the same start in the same order)",
    )
    batch_size: Count | None = Field(32, description="maps a minibatch; null is the whole training set")
    learning_rate: Grid[Positive] = Field(1e-3, description="Adam's step size; Keras' and PyTorch's default")
    l2: Grid[NonNegative] = Field(
        0.0, description="penalty l2/2 times the sum of squared weights (biases excluded) added to the loss"
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32",
        description="of the training's passes, forward and backward; bf16: by PyTorch's autocast, for GPUs that have "
        "it (docs/gpu.md). Weights, their updates and losses are float32 in either case, and so is all that a "
        "trained network is asked: validation, temperature, maps. In what type maps are stored says the dataset's "
        "`precision`",
    )
    micro_batch: Count | None = Field(
        None,
        description="maps of a minibatch that pass the network at a time, for minibatches whose activations memory "
        "does not hold (null: all). They are computed again for the gradient, so that a step takes a third more "
        "operations; weights differ by rounding",
    )


class TwinOptions(MethodOptions):
    """Options of a metric that compares with a twin: the same network, trained again on permuted labels."""

    model: str | None = Field(
        None,
        description="network whose first seed gets a twin, trained as it was (the options chosen for it) but for its "
        "labels and its start; other networks are not measured. Default: the first that is trained here",
    )
    epochs: Count | None = Field(
        None,
        description="of the twin: to learn labels by heart takes longer than to learn what is there. null: as many as "
        "the network had",
    )


#: Traits of networks that nothing but nn.ReLU layers keeps from being affine.
BENT_BY_RELU = ("relu only", "affine but for relu")


class NetworkOptions(MethodOptions):
    """What every network has in common."""

    initialisation: Literal["glorot", "torch"] = Field(
        "glorot",
        description="glorot: Glorot-uniform weights and zero biases, as in the authors' code; torch: PyTorch's default",
    )

    def traits(self) -> set[str] | None:
        """Return what a network with these options has; None: a look at the network tells."""
        return None


class MethodError(ValueError):
    """A method that does not exist, or whose module does not state its options."""


def nearest(word: str, known: Any) -> str:
    """Return the middle of an error message that names the nearest known word, where one is near."""
    close = difflib.get_close_matches(str(word), sorted(map(str, known)), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else "."


def suggest(word: str, known: Any) -> str:
    """Return the end of an error message that names the nearest known word, and all of them."""
    return f"{nearest(word, known)} Known here: {', '.join(sorted(map(str, known))) or 'none'}."


#: What to do about a value of another type, by pydantic's name of the fault.
REMEDIES = {
    "string_type": "must be text: write it in quotes, for YAML makes numbers, dates and booleans of some words",
    "int_type": "must be a whole number: without quotes or a point, and yes, no, on and off are none",
    "float_type": "must be a number: without quotes, and yes, no, on and off are none",
    "bool_type": "must be true or false, without quotes",
    "list_type": "must be a list: [one, two]",
    **dict.fromkeys(
        ("dict_type", "model_type"), "must have keys of its own: lines of `key: value` below it, indented by two blanks"
    ),
}
#: Parts of a fault's place that are no keys: the types that a value may have.
OF_UNION = re.compile(r"function-|constrained-|list\[|literal\[|model\[")


def faults(error: ValidationError) -> list[tuple[str, str]]:
    """Return place and words of each fault; no value is shown, as it may be a person's ID."""
    found: dict[str, dict[str, str]] = {}
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"] if not OF_UNION.match(str(part)))
        words = REMEDIES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        found.setdefault(place, {})[fault["type"]] = words
    for kinds in found.values():
        # What may be one value or a list, and is a wrong value, was meant for one.
        if len(kinds) > 1:
            kinds.pop("list_type", None)
    return [(place, words) for place, kinds in found.items() for words in kinds.values()]
