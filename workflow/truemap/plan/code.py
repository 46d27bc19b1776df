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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from truemap.plan.notes import Notes
from truemap.plan.packages import Packages
from truemap.runtime.sourcecode import SCRIPTS, WORKFLOW, module_at
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
#: Names that lead to code whose own name stands nowhere: all of the packages counts then, or all of the module.
ANYTHING = frozenset(
    {"eval", "exec", "__import__", "importlib", "runpy", "pkgutil", "pickle", "sys.modules", "builtins"}
)
STATIC = ("importlib.metadata", "importlib.resources")
INSIDES = frozenset({"__subclasses__", "__globals__", "__builtins__", "f_globals", "f_builtins"})
#: Attributes of a module that lead to nothing else in it.
INERT = frozenset({"__name__", "__file__", "__doc__"})
OWN = frozenset({"globals", "vars", "locals"})
#: A module and the name of one of its definitions, or `WHOLE`.
Unit = tuple[str, str]


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
    """What of the project's modules, and of users', scripts and methods can reach.

    Parameters
    ----------
    folders : mapping
        Name of a user's package -> its folder.
    place : path, optional
        Where the answers are noted for the next process (`truemap.plan.notes`).
    """

    def __init__(self, folders: Mapping[str, Path] | None = None, place: Path | None = None) -> None:
        self.packages = Packages(folders)
        self.notes = Notes([WORKFLOW / "truemap", SCRIPTS, *(folders or {}).values()], place)
        self._reaches: dict[tuple[str, ...], Reach] = {}
        self._next: dict[ast.stmt, tuple[set[Unit], set[str]]] = {}

    def of_script(self, script: Path) -> dict[str, str]:
        """Return params that stand for a script and all that it reaches: parameter name -> ``module@hash``."""
        return self.notes.get(f"script {script}", lambda: self._of_script(script))

    def _of_script(self, script: Path) -> dict[str, str]:
        reach = self.reach(script)
        parts = {name.replace(".", "_"): self._named_hash(name, reach) for name in sorted(self._counted(reach))}
        return {"code_script": f"{script.name}@{module_at(script).digest[:10]}", **parts}

    def of_methods(self, script: Path, methods: Iterable[str]) -> list[str]:
        """Return ``module@hash`` of method modules, whole, and of what they reach beyond what `script` does."""
        names = sorted(set(methods))
        return self.notes.get(f"script {script} with {' '.join(names)}", lambda: self._of_methods(script, names))

    def _of_methods(self, script: Path, methods: list[str]) -> list[str]:
        own, both = self.reach(script), self.reach(script, *methods)
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
        return tuple(self.notes.get(f"families of {script}", lambda: sorted(self.reach(script).families)))

    def reach(self, script: Path, *methods: str) -> Reach:
        """Return what a script can reach, and method modules with it."""
        key = (str(script), *methods)
        if key not in self._reaches:
            waiting: list[tuple[Module, ast.stmt]] = []
            if methods:
                own = self.reach(script)
                reach = Reach({place: set(names) for place, names in own.found.items()}, {*own.loaded}, {*own.families})
            else:
                reach, start = Reach(), module_at(script)
                waiting += [(start, node) for node in start.tree.body]
                self._load(start.loads, reach, waiting)
                for star in start.stars:
                    self._add(star, WHOLE, reach, waiting)
            for method in methods:
                self._load({method}, reach, waiting)
                self._add(method, WHOLE, reach, waiting)
            while waiting:
                units, families = self._after(*waiting.pop())
                reach.families |= families
                for place, name in units:
                    self._add(place, name, reach, waiting)
            self._reaches[key] = reach
        return self._reaches[key]

    # Following names

    def _after(self, module: Module, node: ast.stmt) -> tuple[set[Unit], set[str]]:
        """Return what a statement mentions, and the families of which it loads methods."""
        if node not in self._next:
            units = {unit for chain in module.mentions(node) for unit in self._resolve(module, chain)}
            self._next[node] = units, self._families(module, node)
        return self._next[node]

    def _resolve(self, module: Module, chain: Chain) -> Iterator[Unit]:
        """Follow a name, with its attributes, that something in a module mentions."""
        name, *rest = chain
        if self._hidden(module, chain):
            yield from ((place, WHOLE) for place in self.packages.all)
        if name in OWN and module.name:
            yield module.name, WHOLE
        if name in module.definitions and module.name:
            yield module.name, name
        for target in module.imports.get(name, []):
            yield from self._follow(target, tuple(rest))

    def _hidden(self, module: Module, chain: Chain) -> bool:
        """Return whether something is mentioned by which any code can be reached; the loader of methods is known."""
        if module.name == LOADER[0]:
            return False
        bound = module.imports.get(chain[0])
        spelled = [each.spelled(chain[1:]) for each in bound or []]
        # Versions and files of packages are not code.
        spelled = [name for name in spelled or [".".join(chain)] if not name.startswith(STATIC)]
        parts = [name.split(".") for name in spelled]
        words = {".".join(each[:end]) for each in parts for end in range(1, len(each) + 1)}
        return bool(words & ANYTHING) or bool(INSIDES & set(chain)) or spelled == ["sys"]

    def _follow(self, target: Import, rest: Chain) -> Iterator[Unit]:
        *packages, (place, names) = self.packages.descend(target, rest)
        for package in packages:
            # Or to what a package itself calls so.
            yield from self._held(*package)
        module = self.packages.module(place)
        if not names:
            # Of a package also what is below: it can be asked for that.
            yield from ((each, WHOLE) for each in self.packages.below(place))
        elif module is None:
            return
        elif names[0] in {*module.definitions, *module.imports}:
            yield from self._held(place, names)
        elif names[0] not in INERT or "__getattr__" in module.definitions:
            yield place, WHOLE

    def _held(self, place: str, names: Chain) -> Iterator[Unit]:
        """Yield what a module defines by the first of these names, or has by an import of its own."""
        module = self.packages.module(place)
        if module and names[0] in {*module.definitions, *module.imports}:
            yield place, names[0]
            for further in module.imports.get(names[0], []):
                yield from self._follow(further, names[1:])

    def _add(self, place: str, name: str, reach: Reach, waiting: list[tuple[Module, ast.stmt]]) -> None:
        """Note a definition, and have what it mentions followed."""
        names = reach.found.setdefault(place, set())
        if name in names or place in NOT_CODE or f"{place}.{name}" in NOT_CODE:
            return
        module = self.packages.module(place)
        if module is None:
            return
        names.add(name)
        if name == WHOLE:
            names |= set(module.definitions)
            waiting += [(module, node) for nodes in module.definitions.values() for node in nodes]
            waiting += [(module, node) for node in module.effects]
            # What it has of others it can be asked for too.
            for target in [target for targets in module.imports.values() for target in targets]:
                for other, each in self._follow(target, ()):
                    self._add(other, each, reach, waiting)
            self._load({place}, reach, waiting)
        waiting += [(module, node) for node in module.definitions.get(name, [])]

    def _load(self, names: Iterable[str], reach: Reach, waiting: list) -> None:
        """Note the modules that are imported when these are, and follow what their statements mention."""
        for name in names:
            parts = name.split(".")
            # Importing a.b runs a/__init__.py too.
            for place in [".".join(parts[: end + 1]) for end in range(len(parts))]:
                module = self.packages.module(place)
                if module is None or place in reach.loaded or place in NOT_CODE:
                    continue
                reach.loaded.add(place)
                waiting += [(module, node) for node in module.effects]
                self._load(module.loads, reach, waiting)
                self._load(module.stars, reach, waiting)
                # Which names a module gives to another so, hangs on all of it.
                for star in module.stars:
                    self._add(star, WHOLE, reach, waiting)

    def _families(self, module: Module, node: ast.stmt) -> set[str]:
        mentioned = {chain for chain in module.mentions(node) if self._is_loader(module, chain)}
        if not mentioned:
            return set()
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and chain_of(call.func) in mentioned]
        words = [call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)]
        parts = (part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute))
        if len(words) < sum(chain_of(part) in mentioned for part in parts):
            raise RuntimeError(f"{module.path}, line {node.lineno}: say by a word of which family `method` loads.")
        return set(map(str, words))

    def _is_loader(self, module: Module, chain: Chain) -> bool:
        if module.name == LOADER[0]:
            return chain == LOADER[1:]
        return ".".join(LOADER) in {target.spelled(chain[1:]) for target in module.imports.get(chain[0], [])}

    # Records

    def _counted(self, reach: Reach) -> set[str]:
        """Return the modules of which something counts."""
        acting = {name for name in reach.loaded if (module := self.packages.module(name)) and module.effects}
        return {name for name in reach.found if name not in NOT_CODE} | acting

    def _named_hash(self, name: str, reach: Reach) -> str:
        module, names = self.packages.module(name), reach.found.get(name, set())
        assert module is not None
        effects = module.effects if name in reach.loaded or names else []
        counted = module.definitions.keys() if WHOLE in names else module.definitions.keys() & names
        nodes = {node for each in counted for node in module.definitions[each]}
        parts = [module.digest_of(node) for node in sorted(nodes.union(effects), key=lambda node: node.lineno)]
        # The order of definitions is of no account, unless one acts, is replaced, or has the name of a builtin.
        fixed = effects or any(len(module.definitions[each]) > 1 or hasattr(builtins, each) for each in counted)
        parts = [f"annotations {module.lazy}", *(parts if fixed else sorted(parts))]
        said = {chain[0] for node in nodes for chain in module.mentions(node)} | names
        said |= {chain[0] for node in module.effects for chain in module.mentions(node)}
        parts += [f"{each} is {bound.module}.{bound.attribute}" for each in sorted(said & set(module.imports))
                  for bound in module.imports[each]]  # fmt: skip
        parts += [f"all of {star}" for star in module.stars]
        return f"{self.packages.label(name)}@{digest(parts)[:10]}"
