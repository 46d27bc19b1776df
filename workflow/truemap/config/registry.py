"""Methods: which there are, what options each has, and the one that a config names as an object.

A method (a source of data, a network, a way to train, to explain, to attack) is one module of its family's folder, of
the project's or of a user's, with a class ``Options`` and the functions of the family's contract
(``truemap.{family}._contract``). A config is checked without importing method modules: that would import torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from truemap.config.folders import OURS, check_method, defines, lacking, methods_in
from truemap.config.names import path_words
from truemap.config.options import MethodError, MethodOptions, SourceOptions, TrainingOptions, suggest
from truemap.config.slices import evaluated

#: What options of a family derive from; of others from `MethodOptions`.
BASES: dict[str, type[MethodOptions]] = {"datasets": SourceOptions, "training": TrainingOptions}
#: Keys of a method's settings that are none of its options: what it is called, and the user's folder it is in.
NAME, FOLDER = "name", "folder"
M = TypeVar("M", bound="Method")


@dataclass(frozen=True)
class Method:
    """A method, ready to be used; subclassed by the contract of its family, whose fields are the module's functions.

    Attributes
    ----------
    name : str
        Of its module.
    options : MethodOptions
    """

    name: str
    options: Any

    @classmethod
    def of(cls: type[M], module: ModuleType, options: MethodOptions) -> M:
        """Return a module's functions; those that it may leave out are the contract's own.

        Raises
        ------
        MethodError
            If it lacks one that it must have.
        """
        own = [field for field in fields(cls) if field.name not in ("name", "options")]
        for field in own:
            if not hasattr(module, field.name) and field.default is MISSING:
                raise MethodError(lacking(module.__file__, field.name, cls.__module__))
        found = {field.name: getattr(module, field.name) for field in own if hasattr(module, field.name)}
        return cls(module.__name__.rpartition(".")[2], options, **found)


def method(family: str, settings: Mapping[str, Any], contract: type[M]) -> M:
    """Return the method that settings name.

    Parameters
    ----------
    family : str
        A family; where code is recorded, a word in the call says which (`truemap.plan.code`).
    settings : mapping
        ``name`` and every option, as `resolve_method` gives them.
    contract : type
        The family's subclass of `Method`.
    """
    if FOLDER in settings:
        _imported_package(Path(settings[FOLDER]))
    module = importlib.import_module(module_of(family, settings))
    return contract.of(module, module.Options(**_own_options(settings)))


def module_of(family: str, settings: Mapping[str, Any]) -> str:
    """Return the name by which a method's module is imported."""
    package = Path(settings[FOLDER]).name if FOLDER in settings else "truemap"
    return f"{package}.{family}.{settings[NAME]}"


def _own_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in (NAME, FOLDER)}


def _imported_package(folder: Path) -> str:
    """Return the name by which a user's folder can be imported from, wherever it is."""
    name, places = folder.name, [str(folder.absolute())]
    if not folder.is_dir():
        raise MethodError(f"{folder}: no such folder of methods. It is looked for from {Path.cwd()}.")
    if name not in sys.modules:
        start = folder / "__init__.py"
        spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=places)
        module = importlib.util.module_from_spec(spec) if spec and start.is_file() else ModuleType(name)
        module.__path__ = places
        sys.modules[name] = module
        if spec and spec.loader and start.is_file():
            spec.loader.exec_module(module)
    elif list(getattr(sys.modules[name], "__path__", [])) != places:
        raise MethodError(f"{folder}: another package '{name}' is in use. Rename one of the folders.")
    return name


# Which there are


def names(family: str, folders: Sequence[str] = ()) -> list[str]:
    """Return the names of all methods of a family, sorted."""
    return sorted(name for place in _places(folders) for name in methods_in(place / family))


def module_path(family: str, name: str, folders: Sequence[str] = ()) -> Path:
    """Return the source file of a method.

    Raises
    ------
    MethodError
        If there is none; the message names the nearest one.
    """
    for place in _places(folders):
        if name in methods_in(place / family):
            return place / family / f"{name}.py"
    raise MethodError(f"unknown {family} method '{name}'{suggest(name, names(family, folders))}")


def options_of(family: str, name: str, folders: Sequence[str] = ()) -> type[MethodOptions]:
    """Return the class ``Options`` of a method without importing its module.

    Raises
    ------
    MethodError
        If there is no such method, it lacks something, or its options cannot be read (`truemap.config.slices`).
    """
    path = module_path(family, name, folders)
    place, base = path.parents[1], BASES.get(family, MethodOptions)
    check_method(place, family, name, tuple(Path(folder).name for folder in folders))
    options = evaluated(place, f"{family}.{name}", "Options")
    if not (isinstance(options, type) and issubclass(options, base)):
        raise MethodError(f"{path}: its Options are no {base.__name__}. Derive the class from it.")
    if issubclass(options, SourceOptions) and options.kind is SourceOptions.kind:
        raise MethodError(
            f"{path}: its Options say not of what kind the data are. Write `kind` as SourceOptions has it."
        )
    for key in (NAME, FOLDER):
        if key in options.model_fields:
            raise MethodError(f"{path}: an option cannot be called '{key}', as the config says that beside. Rename it.")
    return options


def _places(folders: Sequence[str]) -> list[Path]:
    return [OURS, *(Path(folder).absolute() for folder in folders)]


# What a config says of them


def folders_of(info: ValidationInfo) -> list[str]:
    """Return users' folders with methods, which the whole config names and its parts are checked with."""
    return (info.context or {}).get("methods", [])


def resolve_method(family: str, value: Any, name: str | None = None, folders: Sequence[str] = ()) -> dict[str, Any]:
    """Return ``{"name": ..., every option}`` for a method named in the config; of a user's also its ``folder``.

    Parameters
    ----------
    family : str
        A family.
    value : str or dict or None
        A name, or options with the key ``name``.
    name : str, optional
        The name where `value` has none.
    folders : sequence of str
        Users' folders with methods.
    """
    if not isinstance(value, str | dict | None):
        raise ValueError(f"a {family} method is a name, or options with a 'name', not {value!r}")
    options = {NAME: value} if isinstance(value, str) else dict(value or {})
    for key in options:
        if not isinstance(key, str):
            raise ValueError(f"unknown key '{key}'")
    chosen = options.pop(NAME, name)
    if not isinstance(chosen, str):
        raise ValueError(f"a {family} method needs a 'name'")
    model = options_of(family, chosen, folders)
    place = module_path(family, chosen, folders).parents[1]
    folder = next((str(Path(folder)) for folder in folders if Path(folder).absolute() == place), None)
    return {NAME: chosen, **({FOLDER: folder} if folder else {}), **model(**options).model_dump(mode="json")}


def resolve_methods(family: str, value: Any, folders: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return label -> method for a name, a list of names, or a mapping from a label to options."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {entry if isinstance(entry, str) else repr(entry): None for entry in value}
    if not isinstance(value, dict):
        raise ValueError(f"{family}: give a name, a list of names, or a mapping from a label to options")
    path_words(value)
    found = {label: _resolve_labelled(family, options, label, folders) for label, options in value.items()}
    known = names(family, folders)
    for label, resolved in found.items():
        if label != resolved[NAME] and label in known:
            raise ValueError(f"'{label}' is another {family} method than '{resolved[NAME]}': choose another label")
    return found


def _resolve_labelled(family: str, value: Any, label: str, folders: Sequence[str]) -> dict[str, Any]:
    """Return what `resolve_method` gives; the place of a fault in its options begins with the label."""
    try:
        return resolve_method(family, value, label, folders)
    except ValidationError as error:
        # As errors of no known kind: a user's options may raise ones that pydantic does not know.
        lines = [
            InitErrorDetails(type=PydanticCustomError(one["type"], one["msg"]), loc=(label, *one["loc"]), input=None)
            for one in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, lines) from None


def resolved_class(family: str, settings: Mapping[str, Any]) -> type[MethodOptions]:
    """Return the class ``Options`` of what `resolve_method` gave."""
    return options_of(family, settings[NAME], [settings[FOLDER]] if FOLDER in settings else [])


def resolved_options(family: str, settings: Mapping[str, Any]) -> MethodOptions:
    """Return the options of what `resolve_method` gave."""
    return resolved_class(family, settings)(**_own_options(settings))


def resolved_defines(family: str, settings: Mapping[str, Any], what: str) -> bool:
    """Return whether what `resolve_method` gave has something that its contract lets it leave out."""
    return defines(Path(settings[FOLDER]) if FOLDER in settings else OURS, family, settings[NAME], what)


def check_fit(kind: str, name: str, needs: set[str], of: str, other: str, traits: Collection[str] | None) -> None:
    """Raise ValueError where a method needs more than another has; nothing is known of one without traits (None).

    Parameters
    ----------
    kind, name : str
        Family and name of the method that needs something.
    of, other : str
        Family and name of the method that should have it.
    """
    if traits is not None and needs - set(traits):
        has = ", ".join(sorted(traits)) or "nothing of the kind"
        raise ValueError(f"{kind} '{name}' needs a {of} with: {', '.join(sorted(needs))}; '{other}' has: {has}")
