"""A name of a module, evaluated without importing the module: only the statements that it needs are run.

That is how a config is checked against methods' options while nothing imports torch.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from truemap.config.folders import OURS, file_of, source_of
from truemap.config.options import MethodError
from truemap.runtime.syntax import Definition, Import, Module, all_mentions

#: Packages that may be imported to check a config, beside the standard library and the project's `config`.
LIGHT = ("pydantic", "pydantic_core", "typing_extensions", "annotated_types")
REMEDY = (
    "Options may use the standard library, pydantic, truemap.config, and constants, functions and classes of the "
    "project's and the method's own modules that use no more than these."
)


@cache
def evaluated(folder: Path, place: str, name: str) -> Any:
    """Return what a module binds to a name, be it by an import.

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
    module = source_of(folder, place)
    # Where pydantic looks for what annotations mention, and what errors call the class.
    space: dict[str, Any] = {"__name__": f"{folder.name}.{place}"}
    try:
        _run(module, name, space, set(), folder)
    except MethodError:
        raise
    except (Exception, SystemExit) as error:  # of the user's code, whatever it is
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise MethodError(f"{module.path}: its {name} cannot be read ({reason}). {REMEDY}") from None
    if name not in space:
        raise _unknown(module, name)
    return space[name]


def _unknown(module: Module, name: str) -> MethodError:
    return MethodError(f"{module.path}: '{name}' is not defined where it can be seen. {REMEDY}")


def _run(module: Module, name: str, space: dict[str, Any], under_way: set[str], folder: Path) -> None:
    """Run the definitions of a name, and before them of all that they mention."""
    if name in space or name in under_way:
        return
    under_way.add(name)
    own = module.definitions.get(name, [])
    for node in module.effects:
        if node not in own and name in _changed(node):
            where = f"{module.path}, line {node.lineno}"
            raise MethodError(f"{where}: '{name}' is made or changed there. Write it as one statement at the top.")
    for node in own:
        # Annotations of fields are evaluated at once, as there is no module to look them up in later; those of
        # functions go, where the module itself leaves them as they are.
        node = _Bare().visit(deepcopy(node)) if module.lazy else node
        for first, *_ in all_mentions(node):
            _run(module, first, space, under_way, folder)
        exec(compile(ast.Module([node], []), str(module.path), "exec", dont_inherit=True), space)
    if own:
        return
    if name in module.imports:
        space[name] = _imported(module, name, folder)
    elif not hasattr(builtins, name) and not _is_local(module, name):
        raise _unknown(module, name)


class _Bare(ast.NodeTransformer):
    """Takes annotations off functions."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Return the function without them."""
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Return the argument without its own."""
        node.annotation = None
        return node


@dataclass(frozen=True)
class _Names:
    """A module, of which names are evaluated when they are asked for."""

    folder: Path
    place: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        inner = f"{self.place}.{name}".lstrip(".")
        file, nested = file_of(self.folder, self.place), file_of(self.folder, inner)
        if file.is_file():
            module = source_of(self.folder, self.place)
            if name in module.definitions or name in module.imports or not nested.is_file():
                return evaluated(self.folder, self.place, name)
        if nested.is_file() or nested.parent.is_dir():
            return _Names(self.folder, inner)
        raise MethodError(f"{file}: is not there, and '{name}' is asked of it. Mend one of them.")


def _imported(module: Module, name: str, folder: Path) -> Any:
    (bound, *_) = module.imports[name]
    root, _, place = bound.module.partition(".")
    if root in sys.stdlib_module_names or root in LIGHT or f"{bound.module}.".startswith("truemap.config."):
        return _really(bound)
    for package in (OURS, folder):
        if root == package.name:
            names = _Names(package, place)
            return getattr(names, bound.attribute) if bound.attribute else names
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


def _changed(node: ast.stmt) -> set[str]:
    """Return the names that a statement binds, or whose objects it changes: ``x += 1``, ``x[0] = 1``, ``x.sort()``."""
    found: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        part: Any = waiting.pop()
        if isinstance(part, Definition):
            found.add(part.name)
            continue
        waiting += ast.iter_child_nodes(part)
        called = isinstance(part, ast.Expr) and isinstance(part.value, ast.Call)
        root = part.value.func.value if called and isinstance(part.value.func, ast.Attribute) else part
        if root is part and not isinstance(getattr(part, "ctx", None), ast.Store | ast.Del):
            continue
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if isinstance(root, ast.Name):
            found.add(root.id)
    return found


def _is_local(module: Module, name: str) -> bool:
    """Return whether a name may be one of a function's own."""

    def bound(part: ast.AST) -> str | None:
        if isinstance(part, ast.arg):
            return part.arg
        if isinstance(part, ast.ExceptHandler | Definition):
            return part.name
        return part.id if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) else None

    return any(bound(part) == name for part in ast.walk(module.tree))
