"""What a job's code is: the definitions that its script can reach, one string ``module@hash`` for each module.

Snakemake compares scripts by time stamp and does not see the modules a script imports. These strings, given as params,
make it re-run a job exactly when code that the job runs has changed: not for a comment, a docstring, white space, a new
time stamp or another folder, and not for a function beside the one that it calls.

A script reaches what it mentions, and what that mentions, by name. A module counts whole where that cannot be told:
where it is handed on as an object, or asked for a name that nobody sees it define. Statements that run when a module is
imported count for all who import it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from truemap.runtime.sourcecode import WORKFLOW, module_at
from truemap.runtime.syntax import Chain, Import, Module, chain_of, digest

#: What runs around a job's work and cannot change the bytes of its outputs: logs, progress, the record of what was
#: made from what, and how files come to be whole (a test replaces all of it, and compares). Names, or whole modules.
NOT_CODE = frozenset(
    {
        "truemap.runtime.job",
        "truemap.runtime.log",
        "truemap.runtime.made",
        "truemap.runtime.sourcecode",
        "truemap.runtime.syntax",
        "truemap.runtime.work",
        "truemap.runtime.files.guards",
        "truemap.runtime.files.whole",
        "truemap.runtime.privacy.ScrubbingFormatter",
    }
)
#: The function that loads a method; the first argument of each call says of which family.
LOADER = ("truemap.config.registry", "method")
WHOLE = "*"


@dataclass
class Reach:
    """What can be reached from somewhere.

    Attributes
    ----------
    found : dict
        Module -> names of its definitions; `WHOLE` stands for all.
    loaded : set
        Modules that are imported on the way: what they do then counts.
    families : set
        Families of which methods are loaded.
    """

    found: dict[str, set[str]] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    families: set[str] = field(default_factory=set)


class Code:
    """The project's modules and users', and what of them can be reached.

    Parameters
    ----------
    packages : mapping
        Name of a package -> its folder; the project's own is known.
    """

    def __init__(self, packages: Mapping[str, Path] | None = None) -> None:
        self._roots = {"truemap": WORKFLOW / "truemap", **(packages or {})}
        self._known: dict[str, Module | None] = {}
        self._reaches: dict[tuple[str, ...], Reach] = {}

    def of_script(self, script: Path) -> dict[str, str]:
        """Return params that stand for a script and all that it reaches: parameter name -> ``module@hash``."""
        reach = self.reach(script)
        parts = {name.replace(".", "_"): self._named_hash(name, reach) for name in sorted(self._counted(reach))}
        return {"code_script": f"{script.name}@{module_at(script).digest[:10]}", **parts}

    def of_methods(self, script: Path, methods: Iterable[str]) -> list[str]:
        """Return ``module@hash`` of method modules, whole, and of what they reach beyond what `script` does."""
        own, both = self.reach(script), self.reach(script, *sorted(set(methods)))
        return [
            self._named_hash(name, both)
            for name in sorted(self._counted(both))
            if both.found.get(name) != own.found.get(name) or (name in both.loaded) != (name in own.loaded)
        ]

    def families(self, script: Path) -> tuple[str, ...]:
        """Return the families of which a script loads methods.

        Raises
        ------
        RuntimeError
            If a call does not say it by a word.
        """
        return tuple(sorted(self.reach(script).families))

    def reach(self, script: Path, *methods: str) -> Reach:
        """Return what a script can reach, and method modules with it."""
        key = (str(script), *methods)
        if key not in self._reaches:
            reach = Reach()
            start = module_at(script)
            waiting = [(start, node) for node in start.tree.body]
            self._load(start.loads, reach, waiting)
            for method in methods:
                self._load({method}, reach, waiting)
                self._add(method, WHOLE, reach, waiting)
            while waiting:
                module, node = waiting.pop()
                self._note_family(module, node, reach)
                for chain in module.mentions(node):
                    self._resolve(module, chain, reach, waiting)
            self._reaches[key] = reach
        return self._reaches[key]

    # Following names

    def _resolve(self, module: Module, chain: Chain, reach: Reach, waiting: list) -> None:
        """Follow a name, with its attributes, that something in a module mentions."""
        name, *rest = chain
        if name in module.definitions and module.name:
            self._add(module.name, name, reach, waiting)
        for target in module.imports.get(name, []):
            self._follow(target, tuple(rest), reach, waiting)
        if name not in module.definitions and name not in module.imports and not hasattr(builtins, name):
            for star in module.stars:
                if self._module(star):
                    self._add(star, WHOLE, reach, waiting)

    def _follow(self, target: Import, rest: Chain, reach: Reach, waiting: list) -> None:
        place, names = target.module, rest if target.attribute is None else (target.attribute, *rest)
        # A package's name may lead to one of its modules.
        while names and self._exists(f"{place}.{names[0]}"):
            place, names = f"{place}.{names[0]}", names[1:]
        module = self._module(place)
        if module is None:
            return
        if not names:
            self._add(place, WHOLE, reach, waiting)
        elif names[0] in module.definitions:
            self._add(place, names[0], reach, waiting)
        elif names[0] in module.imports:
            # What a module has by an import of its own.
            self._note(place, names[0], reach)
            for further in module.imports[names[0]]:
                self._follow(further, names[1:], reach, waiting)
        elif not names[0].startswith("__") or "__getattr__" in module.definitions:
            self._add(place, WHOLE, reach, waiting)

    def _add(self, place: str, name: str, reach: Reach, waiting: list) -> None:
        module = self._module(place)
        if module is None or place in NOT_CODE or f"{place}.{name}" in NOT_CODE or not self._note(place, name, reach):
            return
        if name == WHOLE:
            for other in module.definitions:
                self._add(place, other, reach, waiting)
            waiting += [(module, node) for node in module.effects]
            return
        waiting += [(module, node) for node in module.definitions[name]]

    def _load(self, names: Iterable[str], reach: Reach, waiting: list) -> None:
        """Note the modules that are imported when these are, and follow what their statements mention."""
        for name in names:
            parts = name.split(".")
            # Importing a.b runs a/__init__.py too.
            for place in [".".join(parts[: end + 1]) for end in range(len(parts))]:
                module = self._module(place)
                if module is None or place in reach.loaded or place in NOT_CODE:
                    continue
                reach.loaded.add(place)
                waiting += [(module, node) for node in module.effects]
                self._load(module.loads, reach, waiting)
                if module.stars:
                    self._load(module.stars, reach, waiting)

    def _note_family(self, module: Module, node: ast.AST, reach: Reach) -> None:
        mentioned = [chain for chain in module.mentions(node) if self._is_loader(module, chain)]
        if not mentioned:
            return
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and chain_of(call.func) in mentioned]
        words = [call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)]
        uses = [
            part
            for part in ast.walk(node)
            if isinstance(part, ast.Name | ast.Attribute) and chain_of(part) in mentioned
        ]
        if len(words) < len(uses):
            raise RuntimeError(f"{module.path}, line {node.lineno}: say by a word of which family `method` loads.")
        reach.families.update(words)

    def _is_loader(self, module: Module, chain: Chain) -> bool:
        if chain[-1] != LOADER[1]:
            return False
        if module.name == LOADER[0]:
            return chain == LOADER[1:]
        targets = [
            target.module + f".{target.attribute}" * bool(target.attribute)
            for target in module.imports.get(chain[0], [])
        ]
        return ".".join(LOADER) in {".".join([target, *chain[1:]]) for target in targets}

    @staticmethod
    def _note(place: str, name: str, reach: Reach) -> bool:
        names = reach.found.setdefault(place, set())
        known = name in names
        names.add(name)
        return not known

    # Modules

    def file_of(self, name: str) -> Path | None:
        """Return the file of a module, or of a package its ``__init__.py``; None where it is none of these packages."""
        root, _, rest = name.partition(".")
        if root not in self._roots:
            return None
        base = self._roots[root].joinpath(*rest.split(".")) if rest else self._roots[root]
        return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")

    def _exists(self, name: str) -> bool:
        file = self.file_of(name)
        return file is not None and (file.is_file() or (file.parent.is_dir() and file.name == "__init__.py"))

    def _module(self, name: str) -> Module | None:
        if name not in self._known:
            file = self.file_of(name)
            self._known[name] = module_at(file, name) if file and file.is_file() else None
        return self._known[name]

    def _counted(self, reach: Reach) -> set[str]:
        """Return the modules of which something counts."""
        acting = {name for name in reach.loaded if (module := self._module(name)) and module.effects}
        return {name for name in reach.found if name not in NOT_CODE} | acting

    def _named_hash(self, name: str, reach: Reach) -> str:
        module, names = self._module(name), reach.found.get(name, set())
        assert module is not None
        parts = [
            f"effect {module.digest_of(node)}" for node in (module.effects if name in reach.loaded or names else [])
        ]
        counted = set(module.definitions) if WHOLE in names else names & set(module.definitions)
        nodes = [(each, node) for each in sorted(counted) for node in module.definitions[each]]
        parts += [f"{each} {module.digest_of(node)}" for each, node in nodes]
        said = {chain[0] for _, node in nodes for chain in module.mentions(node)} | names
        said |= {chain[0] for node in module.effects for chain in module.mentions(node)}
        parts += [f"{each} is {bound.module}.{bound.attribute}" for each in sorted(said & set(module.imports))
                  for bound in module.imports[each]]  # fmt: skip
        parts += [f"all of {star}" for star in module.stars]
        return f"{self.label(name)}@{digest(parts)[:10]}"

    def label(self, name: str) -> str:
        """Return what a module is called in the record: the project's by its name, a user's by its file."""
        return name if name.partition(".")[0] == "truemap" else str(self.file_of(name))
