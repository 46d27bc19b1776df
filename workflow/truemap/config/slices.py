"""A name of a module, evaluated without importing the module: only the statements that it needs are run.

That is how a config is checked against methods' options while nothing imports torch.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from truemap.config.options import MethodError
from truemap.runtime.sourcecode import module_at
from truemap.runtime.syntax import Definition, Import, Module, all_mentions

OURS = Path(__file__).parents[1]
#: Packages that may be imported to check a config, beside the standard library and the project's `config`.
LIGHT = ("pydantic", "pydantic_core", "typing_extensions", "annotated_types")
REMEDY = (
    "Options may use the standard library, pydantic, truemap.config, and constants, functions and classes of the "
    "project's and the method's own modules that use no more than these."
)


@cache
def evaluated(folder: Path, place: str, name: str) -> Any:
    """Return what a module binds to a name.

    Parameters
    ----------
    folder : path
        Of the package that the module is in.
    place : str
        The module's name in the package, ``saliency.gradient``.
    name : str

    Raises
    ------
    MethodError
        If that cannot be told without importing more than `LIGHT`; the message names file and reason.
    """
    path = folder.joinpath(*place.split(".")).with_suffix(".py")
    try:
        module = module_at(path, f"{folder.name}.{place}")
    except SyntaxError as error:
        raise MethodError(f"{path}, line {error.lineno}: no Python ({error.msg}). Mend it.") from None
    if name not in module.definitions:
        raise MethodError(f"{path}: defines no '{name}'. Write a class {name}(MethodOptions).")
    # Where pydantic looks for what annotations mention, and what errors call the class.
    space: dict[str, Any] = {"__name__": f"{folder.name}.{place}"}
    try:
        _run(module, name, space, set(), folder)
    except MethodError:
        raise
    except Exception as error:  # of the user's code, whatever it is
        raise MethodError(f"{path}: its {name} cannot be read ({type(error).__name__}: {error}). {REMEDY}") from None
    return space[name]


def _run(module: Module, name: str, space: dict[str, Any], under_way: set[str], folder: Path) -> None:
    """Run the definitions of a name, and before them of all that they mention."""
    if name in space or name in under_way:
        return
    under_way.add(name)
    for node in module.definitions.get(name, []):
        # Annotations of fields are evaluated at once, as there is no module to look them up in later; those of
        # functions go, where the module itself leaves them as they are.
        node = _Bare().visit(deepcopy(node)) if module.lazy else node
        for first, *_ in all_mentions(node):
            _run(module, first, space, under_way, folder)
        exec(compile(ast.Module([node], []), str(module.path), "exec", dont_inherit=True), space)
    if name in module.definitions:
        return
    if name in module.imports:
        space[name] = _imported(module, name, folder)
    elif not hasattr(builtins, name) and not _is_local(module, name):
        raise MethodError(f"{module.path}: '{name}' is not defined where it can be seen. {REMEDY}")


class _Bare(ast.NodeTransformer):
    """Takes annotations off functions."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Return the function without them."""
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Return the argument without its own."""
        node.annotation = None
        return node


def _imported(module: Module, name: str, folder: Path) -> Any:
    (bound, *_) = module.imports[name]
    root = bound.module.partition(".")[0]
    if root in sys.stdlib_module_names or root in LIGHT or _is_config(bound):
        return _really(bound)
    for package in (OURS, folder):
        place = bound.module.removeprefix(f"{package.name}.")
        file = package.joinpath(*place.split(".")).with_suffix(".py")
        if bound.module.startswith(f"{package.name}.") and bound.attribute and file.is_file():
            return evaluated(package, place, bound.attribute)
    raise MethodError(f"{module.path}: its options need '{name}' of {bound.module}. {REMEDY}")


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


def _is_local(module: Module, name: str) -> bool:
    """Return whether a name may be one of a function's own."""

    def bound(part: ast.AST) -> str | None:
        if isinstance(part, ast.arg):
            return part.arg
        if isinstance(part, ast.ExceptHandler | Definition):
            return part.name
        return part.id if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) else None

    return any(bound(part) == name for part in ast.walk(module.tree))
