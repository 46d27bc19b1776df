"""The source files of the project, and of users: by what names they are recorded, and whether they were edited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from truemap.runtime.files import signature
from truemap.runtime.syntax import Module

WORKFLOW = Path(__file__).parents[2]
SCRIPTS = WORKFLOW / "scripts"
#: File -> its module, and the signature that it had before it was read.
_read: dict[Path, tuple[Module, list[int] | None]] = {}


def module_at(path: Path, name: str = "") -> Module:
    """Return a file's module; it is read once."""
    key = path.absolute()
    if key not in _read:
        before = signature(path)
        _read[key] = Module(path, name), before
    return _read[key][0]


def file_of(label: str) -> Path:
    """Return the file that a label of the record stands for: a module's name, a script's ``x.py``, or a user's file."""
    if "/" in label:
        return Path(label)
    if label.endswith(".py"):
        return SCRIPTS / label
    return source_file(WORKFLOW.joinpath(*label.split(".")))


def source_file(place: Path) -> Path:
    """Return a module's file by its path without ``.py``, or a package's ``__init__.py``, as Python finds it.

    A folder without an ``__init__.py`` is a package where there is no file of that name.
    """
    package, module = place / "__init__.py", place.with_name(f"{place.name}.py")
    return package if package.is_file() or (place.is_dir() and not module.is_file()) else module


def is_named_hash(text: Any) -> bool:
    """Return whether something is ``label@hash``, as `truemap.plan.code` writes it."""
    return isinstance(text, str) and re.fullmatch(r".+@[0-9a-f]{10}", text) is not None


def hashed() -> dict[str, tuple[str, list[int] | None]]:
    """Return what was read so far: the file -> the hash of all that runs in it, and its signature then."""
    return {key_of(module.path): (module.digest, before) for module, before in _read.values()}


def code_hash(path: Path) -> str:
    """Return the hash of all that runs in a file, as `hashed` has it."""
    return module_at(path).digest


def key_of(path: Path) -> str:
    """Return what a file is called in `hashed`: by its place in the workflow, a user's by its path."""
    return str(path.relative_to(WORKFLOW)) if path.is_relative_to(WORKFLOW) else str(path.absolute())
