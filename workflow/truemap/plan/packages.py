"""The packages that a job's code can be in, the project's and users', module by module."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from truemap.runtime.sourcecode import WORKFLOW, module_at
from truemap.runtime.syntax import Chain, Module, chain_of


class Packages:
    """Modules by their names.

    Parameters
    ----------
    folders : mapping
        Name of a user's package -> its folder; the project's own is known.
    """

    def __init__(self, folders: Mapping[str, Path] | None = None) -> None:
        self._roots = {"truemap": WORKFLOW / "truemap", **(folders or {})}
        self._known: dict[str, Module | None] = {}

    def file_of(self, name: str) -> Path | None:
        """Return the file of a module, or of a package its ``__init__.py``; None where it is none of these packages."""
        root, _, rest = name.partition(".")
        if root not in self._roots:
            return None
        base = self._roots[root].joinpath(*rest.split(".")) if rest else self._roots[root]
        return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")

    def exists(self, name: str) -> bool:
        """Return whether there is such a module or package."""
        file = self.file_of(name)
        return file is not None and (file.is_file() or (file.parent.is_dir() and file.name == "__init__.py"))

    def module(self, name: str) -> Module | None:
        """Return a module, None where it is in none of the packages."""
        if name not in self._known:
            file = self.file_of(name)
            module = self._known[name] = module_at(file, name) if file and file.is_file() else None
            if module:
                nodes = [node for nodes in module.definitions.values() for node in nodes]
                module.effects += [node for node in nodes if node not in module.effects and self._lists(module, node)]
        return self._known[name]

    def all(self) -> list[str]:
        """Return the names of all modules."""
        found = []
        for package, root in self._roots.items():
            names = [file.relative_to(root).with_suffix("").parts for file in sorted(root.rglob("*.py"))]
            found += [".".join([package, *parts]).removesuffix(".__init__") for parts in names]
        return found

    def _lists(self, module: Module, node: ast.stmt, seen: tuple[ast.stmt, ...] = ()) -> bool:
        """Return whether a class derives from one that does something about what derives from it."""
        if not isinstance(node, ast.ClassDef) or node in seen:
            return False
        for base in filter(None, map(chain_of, node.bases)):
            for owner, name in self._targets(module, base):
                for found in owner.definitions[name]:
                    body = found.body if isinstance(found, ast.ClassDef) else []
                    if any(isinstance(part, ast.FunctionDef) and part.name == "__init_subclass__" for part in body):
                        return True
                    if self._lists(owner, found, (*seen, node)):
                        return True
        return False

    def _targets(self, module: Module, chain: Chain) -> list[tuple[Module, str]]:
        """Return the modules and definitions that a name may stand for."""
        if chain[0] in module.definitions:
            return [(module, chain[0])]
        found = []
        for target in module.imports.get(chain[0], []):
            names = tuple(filter(None, [target.attribute, *chain[1:]]))
            place = target.module
            while names and self.exists(f"{place}.{names[0]}"):
                place, names = f"{place}.{names[0]}", names[1:]
            owner = self.module(place)
            if owner and names:
                found += self._targets(owner, names)
        return found

    def label(self, name: str) -> str:
        """Return what a module is called in the record: the project's by its name, a user's by its file."""
        return name if name.partition(".")[0] == "truemap" else str(self.file_of(name))
