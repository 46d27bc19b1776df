"""Base classes and types with which a method module states its options.

A method (a source of data, a network, a way to train, a way to explain) is one module with a class
``Options``.  `load` reads that class from the module's source without importing the module, so that
checking a config costs no import of torch.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")
#: One value, or a list of candidates of which validation data choose one.
Grid = T | Annotated[list[T], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Strict(BaseModel):
    """A part of the config: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, coerce_numbers_to_str=True)

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

    def traits(self) -> set[str]:
        """Return what a network (or a training) with these options has that other methods may need."""
        return set()

    def needs(self) -> set[str]:
        """Return the traits without which the method cannot work: of the network; if it is one, of the training."""
        return set()


class TrainingOptions(MethodOptions):
    """What every way to train has in common (optimiser: Adam)."""

    epochs: Count = Field(20, description="passes over the training data")
    batch_size: Count | None = Field(32, description="maps a minibatch; null is the whole training set")
    learning_rate: Grid[Positive] = Field(1e-3, description="Adam's step size; Keras' and PyTorch's default")
    l2: Grid[NonNegative] = Field(
        0.0, description="penalty l2/2 times the sum of squared weights (biases excluded) added to the loss"
    )


class NetworkOptions(MethodOptions):
    """What every network has in common."""

    initialisation: Literal["glorot", "torch"] = Field(
        "glorot",
        description="glorot: Glorot-uniform weights and zero biases, as in the authors' code; torch: PyTorch's default",
    )


class MethodError(ValueError):
    """A method that does not exist, or whose module does not state its options."""


#: All that a class of options may be built of; see `load`.
VOCABULARY: dict[str, Any] = {
    "Annotated": Annotated,
    "Any": Any,
    "Count": Count,
    "Field": Field,
    "Fraction": Fraction,
    "Grid": Grid,
    "Literal": Literal,
    "MethodOptions": MethodOptions,
    "NetworkOptions": NetworkOptions,
    "NonNegative": NonNegative,
    "Positive": Positive,
    "Self": Self,
    "TrainingOptions": TrainingOptions,
    "model_validator": model_validator,
}


def suggest(word: str, known: Any) -> str:
    """Return the end of an error message that names the nearest known words."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    nearest = f"; did you mean '{close[0]}'?" if close else "."
    return f"{nearest} Known here: {', '.join(known) or 'none'}."


def module_path(family: str, name: str) -> Path:
    """Return the source file of the method ``truemap.{family}.{name}``.

    Raises
    ------
    MethodError
        If there is no such module; the message names the nearest one.
    """
    known = {path.stem: path for path in _modules(family)}
    if name not in known:
        raise MethodError(f"unknown {family} method '{name}'{suggest(name, known)}")
    return known[name]


def methods(family: str) -> list[str]:
    """Return the names of all methods of a family, sorted."""
    return sorted(path.stem for path in _modules(family))


@cache
def load(family: str, name: str) -> type[MethodOptions]:
    """Return the class ``Options`` of ``truemap.{family}.{name}`` without importing that module.

    Only the module's classes that derive from an options class are evaluated, with nothing but
    the names in `VOCABULARY` to build on.
    """
    path = module_path(family, name)
    names = {**VOCABULARY, "__name__": f"truemap.{family}.{name}"}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and _is_options(node, names):
            body = compile(ast.Module([node], []), str(path), "exec", dont_inherit=True)
            exec(body, names)  # a class body of our own source, annotations evaluated at once
    if not isinstance(names.get("Options"), type):
        raise MethodError(f"{path} has no class Options(MethodOptions)")
    return names["Options"]


def _modules(family: str) -> list[Path]:
    spec = importlib.util.find_spec(f"truemap.{family}")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])]
    files = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    return [path for path in files if _states_options(path)]


def _states_options(path: Path) -> bool:
    return "class Options(" in path.read_text(encoding="utf-8")


def _is_options(node: ast.ClassDef, names: dict[str, Any]) -> bool:
    bases = [names.get(base.id) for base in node.bases if isinstance(base, ast.Name)]
    return any(isinstance(base, type) and issubclass(base, MethodOptions) for base in bases)
