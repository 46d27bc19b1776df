"""A name of a module, evaluated without importing the module: only the statements that it needs are run.

That is how a config is checked against methods' options while nothing imports torch.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

from truemap.config.options import MethodError
from truemap.runtime.syntax import Definition, Import, Module, all_mentions

#: Packages that may be imported to check a config, beside the standard library and the project's `config`.
LIGHT = ("pydantic", "pydantic_core", "typing_extensions", "annotated_types")
REMEDY = (
    "Options may use the standard library, pydantic, truemap.config, and constants, functions and classes of the "
    "project's and the method's own modules that use no more than these."
)


@cache
def evaluated(path: Path, name: str) -> Any:
    """Return what a module binds to a name.

    Raises
    ------
    MethodError
        If that cannot be told without importing more than `LIGHT`; the message names file and reason.
    """
    try:
        module = Module(path)
    except SyntaxError as error:
        raise MethodError(f"{path}, line {error.lineno}: no Python ({error.msg}). Mend it.") from None
    if name not in module.definitions:
        raise MethodError(f"{path}: defines no '{name}'. Write a class {name}(MethodOptions).")
    # Where pydantic looks for what annotations mention, and what errors call the class.
    space: dict[str, Any] = {"__name__": f"{path.parent.name}.{path.stem}"}
    try:
        _run(module, name, space, set())
    except MethodError:
        raise
    except Exception as error:  # of the user's code, whatever it is
        raise MethodError(f"{path}: its {name} cannot be read ({type(error).__name__}: {error}). {REMEDY}") from None
    return space[name]


def _run(module: Module, name: str, space: dict[str, Any], under_way: set[str]) -> None:
    """Run the definitions of a name, and before them of all that they mention."""
    if name in space or name in under_way:
        return
    under_way.add(name)
    for node in module.definitions.get(name, []):
        for first, *_ in all_mentions(node):
            _run(module, first, space, under_way)
        # Annotations are evaluated at once: there is no module to look them up in later.
        exec(compile(ast.Module([node], []), str(module.path), "exec", dont_inherit=True), space)
    if name in module.definitions:
        return
    if name in module.imports:
        space[name] = _imported(module, name)
    elif not hasattr(builtins, name) and not _is_local(module, name):
        raise MethodError(f"{module.path}: '{name}' is not defined where it can be seen. {REMEDY}")


def _imported(module: Module, name: str) -> Any:
    (bound, *_) = module.imports[name]
    root = bound.module.partition(".")[0]
    if root in sys.stdlib_module_names or root in LIGHT or _is_config(bound):
        return _really(bound)
    place = _file_of(module, bound.module)
    if place is None or bound.attribute is None or not place.is_file():
        raise MethodError(f"{module.path}: its options need '{name}' of {bound.module}. {REMEDY}")
    return evaluated(place, bound.attribute)


def _really(bound: Import) -> Any:
    found = importlib.import_module(bound.module)
    if bound.attribute is None:
        return found
    return (
        getattr(found, bound.attribute)
        if hasattr(found, bound.attribute)
        else importlib.import_module(f"{bound.module}.{bound.attribute}")
    )


def _is_config(bound: Import) -> bool:
    return bound.module.startswith("truemap.config.")


def _file_of(module: Module, name: str) -> Path | None:
    """Return the file of a module of the project, or of the user's folder that the module is in."""
    root, *rest = name.split(".")
    # Of a method: its family's folder, and the folder of that.
    own = module.path.absolute().parents[1]
    base = Path(__file__).parents[1] if root == "truemap" else own if root == own.name else None
    return base.joinpath(*rest).with_suffix(".py") if base and rest else None


def _is_local(module: Module, name: str) -> bool:
    """Return whether a name may be one of a function's own."""

    def bound(part: ast.AST) -> str | None:
        if isinstance(part, ast.arg):
            return part.arg
        if isinstance(part, ast.ExceptHandler | Definition):
            return part.name
        return part.id if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) else None

    return any(bound(part) == name for part in ast.walk(module.tree))
