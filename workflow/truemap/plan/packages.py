"""The packages that a job's code can be in, the project's and users', module by module."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from truemap.runtime.sourcecode import WORKFLOW, module_at, source_file
from truemap.runtime.syntax import Chain, CodeError, Import, Module, at_import, chain_of

#: What an import may call, decorate with or derive from without acting on anything but what it defines.
HARMLESS = {
    *(f"builtins.{name}" for name in ("classmethod", "dict", "dict.fromkeys", "float", "frozenset", "int", "list")),
    *(f"builtins.{name}" for name in ("object", "property", "range", "set", "staticmethod", "str", "tuple")),
    *(f"builtins.{name}" for name in vars(builtins) if name.endswith(("Error", "Exception"))),
    *("collections.abc.Mapping", "contextlib.contextmanager", "contextvars.ContextVar"),
    *("dataclasses.dataclass", "dataclasses.field"),
    *("functools.cache", "functools.cached_property", "functools.lru_cache", "hashlib.sha256", "logging.Formatter"),
    *("logging.getLogger", "numpy.log", "numpy.sqrt", "pathlib.Path", "re.compile", "torch.autograd.Function"),
    *("torch.nn.Conv3d", "torch.nn.Module", "torch.no_grad"),
    *("typing.Generic", "typing.NamedTuple", "typing.Protocol", "typing.TypeVar"),
    *(f"pydantic.{name}" for name in ("AfterValidator", "BaseModel", "BeforeValidator", "ConfigDict", "Field")),
    *("pydantic.field_validator", "pydantic.model_validator"),
}


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
        self._acting: dict[ast.stmt, bool] = {}

    def file_of(self, name: str) -> Path | None:
        """Return the file of a module, or of a package its ``__init__.py``; None where it is none of these packages."""
        root, _, rest = name.partition(".")
        if root not in self._roots:
            return None
        return source_file(self._roots[root].joinpath(*rest.split(".")) if rest else self._roots[root])

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
                nodes = {node: None for nodes in module.definitions.values() for node in nodes}
                module.effects += [node for node in nodes if node not in module.effects and self._acts(module, node)]
                module.effects += [node for node in self._unused(module) if node not in module.effects]
                module.effects.sort(key=lambda node: (node.lineno, node.col_offset))
        return self._known[name]

    @cached_property
    def all(self) -> list[str]:
        """The names of all modules, but for those that nothing can import: a user's may be unfinished."""
        found = []
        for package, root in self._roots.items():
            names = [file.relative_to(root).with_suffix("").parts for file in sorted(root.rglob("*.py"))]
            found += [".".join([package, *parts]).removesuffix(".__init__") for parts in names]
        return [name for name in found if self._is_python(name)]

    def _is_python(self, name: str) -> bool:
        try:
            return self.module(name) is not None
        except CodeError:
            return False

    def descend(self, target: Import, rest: Chain) -> list[tuple[str, Chain]]:
        """Return the way to the innermost module that an import, with attributes asked of it, may lead to.

        At each step a module or package, and the names that are asked of it.
        """
        place, names = target.module, rest if target.attribute is None else (target.attribute, *rest)
        way = [(place, names)]
        while names and self.exists(f"{place}.{names[0]}"):
            place, names = f"{place}.{names[0]}", names[1:]
            way.append((place, names))
        return way

    def below(self, name: str) -> list[str]:
        """Return the names of all modules of a package, or of the module alone."""
        file = self.file_of(name)
        if file is None or file.name != "__init__.py":
            return [name] if self.exists(name) else []
        return [each for each in self.all if each == name or each.startswith(f"{name}.")]

    # What a definition does at import

    def _unused(self, module: Module) -> list[ast.stmt]:
        """Return imports of others' modules whose names nobody uses: they are there for what they do."""
        chains = (chain for node in module.tree.body for chain in {*module.said(node).types, *module.mentions(node)})
        said = {chain[0] for chain in chains}
        found: list[ast.stmt] = []
        for node in module.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
                for alias in node.names:
                    origin = alias.name if isinstance(node, ast.Import) else node.module
                    bound = alias.asname or alias.name.partition(".")[0]
                    if origin != "__future__" and not self.exists(origin or "") and bound not in said:
                        found.append(node)
        return found

    def _acts(self, module: Module, node: ast.stmt) -> bool:
        """Return whether a definition does more at import than bind its names."""
        if node not in self._acting:
            # While it is found out: one that hangs on itself does not.
            self._acting[node] = False
            self._acting[node] = any(self._does(module, part, use) for part, use in at_import(node, module.lazy))
        return self._acting[node]

    def _does(self, module: Module, node: ast.AST, use: str) -> bool:
        """Return whether it acts on anything to evaluate an expression and to use it as `at_import` says."""
        if use == "statement" or (use != "value" and not self._harmless(module, node, base=use == "base")):
            return True
        waiting = [node]
        while waiting:
            found = waiting.pop()
            if isinstance(found, ast.Call) and not self._harmless(module, found.func):
                return True
            if (chain := chain_of(found)) is not None:
                targets = self._targets(module, chain)
                if any(self._acts(owner, each) for owner, name in targets for each in owner.definitions.get(name, [])):
                    return True
                # What a statement binds that is no definition.
                if any(name not in owner.definitions and name not in owner.imports for owner, name in targets):
                    return True
                continue
            # What a function does is done when it is called.
            waiting += ast.iter_child_nodes(found.args if isinstance(found, ast.Lambda) else found)
        return False

    def _harmless(self, module: Module, node: ast.AST, base: bool = False) -> bool:
        """Return whether it is known of what is called (or derived from) that it acts on nothing."""
        while isinstance(node, ast.Call | ast.Subscript):
            node = node.func if isinstance(node, ast.Call) else node.value
        chain = chain_of(node)
        if chain is None:
            # A text's own method, or that of what something harmless returns.
            inner = node.value if isinstance(node, ast.Attribute) else node
            return isinstance(inner, ast.Constant) or (isinstance(inner, ast.Call) and self._harmless(module, inner))
        bound = module.imports.get(chain[0], [])
        if chain[0] in module.definitions or len(bound) > 1 or (not bound and module.stars):
            return base
        if not bound:
            return f"builtins.{'.'.join(chain)}" in HARMLESS
        if self.exists(bound[0].module):
            # A base that acts is found by its name.
            return base
        return bound[0].spelled(chain[1:]) in HARMLESS

    def _targets(self, module: Module, chain: Chain, seen: tuple = ()) -> list[tuple[Module, str]]:
        """Return the modules and what of them a name may stand for."""
        if chain[0] in module.definitions:
            return [(module, chain[0])]
        found = []
        for target in module.imports.get(chain[0], []):
            *_, (place, names) = self.descend(target, chain[1:])
            owner = self.module(place)
            if owner and names and (owner, names) not in seen:
                found += self._targets(owner, names, (*seen, (owner, names))) or [(owner, names[0])]
        return found

    def label(self, name: str) -> str:
        """Return what a module is called in the record: the project's by its name, a user's by its file."""
        return name if name.partition(".")[0] == "truemap" else str(self.file_of(name))
