"""Python modules by their syntax: what they define at their top, and what that mentions. Nothing is imported."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

#: Fields of a syntax tree that change nothing that runs: how a literal was written, comments on types.
NO_CODE = ("kind", "type_comment", "type_ignores")
#: Decorators, and calls in the value of a constant, that do nothing beyond what they return.
HARMLESS = frozenset(
    (
        *("cache", "lru_cache", "cached_property", "property", "staticmethod", "classmethod", "contextmanager"),
        *("dataclass", "field", "field_validator", "model_validator", "AfterValidator", "BeforeValidator", "Field"),
        *("ConfigDict", "TypeVar", "ContextVar", "Path", "frozenset", "tuple", "list", "dict", "set", "range", "len"),
        *("sorted", "sum", "min", "max", "zip", "map", "float", "int", "str", "np.sqrt", "np.log", "math.sqrt"),
        *("re.compile", "logging.getLogger", "inspect.signature", "hashlib.sha256", "torch.no_grad", "functools.wraps"),
    )
)
#: Methods of texts, numbers, paths and hashes, of which the same holds.
HARMLESS_METHODS = frozenset(
    ("split", "splitlines", "items", "keys", "values", "hexdigest", "format", "join", "encode", "absolute", "resolve")
)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
#: A name and the attributes asked of it: ``style.save`` is ("style", "save").
Chain = tuple[str, ...]


class CodeError(ValueError):
    """A source file that cannot be read as Python; the message names file, line, reason and remedy."""


@dataclass(frozen=True)
class Import:
    """What a name is bound to by an import: a module, or what a module has by that name (then `attribute`)."""

    module: str
    attribute: str | None = None


@dataclass
class Module:
    """One source file.

    Attributes
    ----------
    name : str
        By which it is imported; a script has none.
    definitions : dict
        Name -> the statements that define it: functions, classes, constants.
    effects : list
        All other statements at the top: what they do, they do for every importer.
    imports : dict
        Name -> what it may be bound to, wherever in the file the import stands.
    loads : set
        Modules that are imported, and names that may be modules.
    stars : list
        Modules that everything is imported from.
    """

    path: Path
    name: str = ""
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    imports: dict[str, list[Import]] = field(default_factory=dict)
    loads: set[str] = field(default_factory=set)
    stars: list[str] = field(default_factory=list)
    _mentions: dict[ast.stmt, set[Chain]] = field(default_factory=dict, repr=False)
    _digests: dict[ast.stmt, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        body = self.tree.body
        self.lazy = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in body)
        for node in _statements(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._note_import(node)
        for node in self._body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = _defined(node)
            for name in names:
                self.definitions.setdefault(name, []).append(node)
            if not names or _acts(node):
                self.effects.append(node)

    @cached_property
    def tree(self) -> ast.Module:
        """The file's syntax tree.

        Raises
        ------
        CodeError
        """
        try:
            # Of bytes: a file may say its encoding itself.
            return ast.parse(self.path.read_bytes(), str(self.path))
        except OSError as error:
            raise CodeError(f"{self.path}: cannot be read ({error.strerror}). Mend or remove it.") from None
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            reason = error.msg if isinstance(error, SyntaxError) else error
            raise CodeError(f"{self.path}{line}: no Python ({reason}). Mend it.") from None

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits of all that runs in the file."""
        return digest([self.digest_of(node) for node in self._body])[:16]

    @property
    def _body(self) -> list[ast.stmt]:
        return self.tree.body[1:] if _docstring(self.tree) else self.tree.body

    def digest_of(self, node: ast.stmt) -> str:
        """Return the sha256 of one of the file's statements, as the function of this name."""
        if node not in self._digests:
            self._digests[node] = digest_of(node)
        return self._digests[node]

    def mentions(self, node: ast.stmt) -> set[Chain]:
        """Return what a statement mentions: names, and attributes of names as far as they are written out.

        Annotations of functions are left out where they are not evaluated, that is, under ``from __future__ import
        annotations``; those of classes stay, as pydantic and dataclasses read them.
        """
        if node not in self._mentions:
            self._mentions[node] = set()
            _add_chains(node, self._mentions[node], lazy=self.lazy and not _acts(node))
        return self._mentions[node]

    def _note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = Import(alias.name if alias.asname else alias.name.partition(".")[0])
                self.imports.setdefault(alias.asname or bound.module, []).append(bound)
                self.loads.add(alias.name)
            return
        base = self._absolute(node)
        self.loads |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(base)
            else:
                self.imports.setdefault(alias.asname or alias.name, []).append(Import(base, alias.name))

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        drop = node.level - (self.path.name == "__init__.py")
        return ".".join([*package[: len(package) - drop], *([node.module] if node.module else [])])


def all_mentions(node: ast.stmt) -> set[Chain]:
    """Return what a statement mentions, annotations of functions too."""
    found: set[Chain] = set()
    _add_chains(node, found, lazy=False)
    return found


def digest_of(node: ast.AST) -> str:
    """Return the sha256 of a syntax tree without docstrings (comments and white space are not in it).

    Of the tree itself and not of a text made from it: how Python prints a tree differs between its versions. Fields
    that are empty do not count, since later versions add some.
    """
    words: list[str] = []
    _add_words(node, words)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def digest(parts: list[str]) -> str:
    """Return one sha256 for several."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _add_words(value: Any, words: list[str]) -> None:
    """Append a syntax tree as words: every node's class, its fields that are not empty, and its end."""
    if isinstance(value, ast.AST):
        words.append(type(value).__name__)
        documented = isinstance(value, Definition | ast.Module) and _docstring(value)
        for name in value._fields:
            part = getattr(value, name, None)
            if part is None or part == [] or name in NO_CODE:
                continue
            if documented and name == "body":
                part = part[1:] or [ast.Pass()]
            words.append(name)
            _add_words(part, words)
        words.append(")")
    elif isinstance(value, list):
        for part in value:
            _add_words(part, words)
        words.append("]")
    else:
        words.append(repr(value))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements in a tree, those in others too, whatever holds them."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            part = getattr(node, name, None)
            if isinstance(part, list):
                waiting += part


def _docstring(node: Any) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a definition or an assignment to plain names binds."""
    if isinstance(node, Definition):
        return [node.name]
    targets: list[ast.expr]
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    else:
        return []
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    plain = all(isinstance(part, ast.Name) for part in parts)
    return [part.id for part in parts if isinstance(part, ast.Name)] if plain else []


def _acts(node: ast.stmt) -> bool:
    """Return whether running a definition may do more than bind its name."""
    return not all(_harmless(call) for call in _run_at_once(node))


def _run_at_once(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the calls, and statements that are no definitions, that run with a definition: no function's body."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = node.args
        for decorator in node.decorator_list:
            yield decorator
            yield from _calls(decorator)
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            yield from _calls(default)
    elif isinstance(node, ast.ClassDef):
        for decorator in node.decorator_list:
            yield decorator
            yield from _calls(decorator)
        yield from node.keywords
        for base in node.bases:
            yield from _calls(base)
        for number, part in enumerate(node.body):
            if not (number == 0 and _docstring(node)):
                yield from _run_at_once(part)
    elif isinstance(node, ast.Assign | ast.AnnAssign) and _defined(node):
        yield from _calls(node.value)
    elif not isinstance(node, ast.Pass):
        yield node


def _calls(node: ast.AST | None) -> Iterator[ast.AST]:
    """Yield the calls in an expression that run with it: not those in a lambda's body."""
    if node is None or isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Call | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls(child)


def _harmless(node: ast.AST) -> bool:
    function = node.func if isinstance(node, ast.Call) else node
    if isinstance(node, ast.Call) and isinstance(function, ast.Attribute) and function.attr in HARMLESS_METHODS:
        return True
    chain = chain_of(function)
    return chain is not None and ".".join(chain) in HARMLESS


def chain_of(node: ast.AST) -> Chain | None:
    """Return a name and the attributes asked of it, or None where it is no name that they are asked of."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else None


def _add_chains(node: ast.AST, found: set[Chain], lazy: bool, inside: bool = False) -> None:
    """Add what is mentioned; `lazy` leaves out annotations of functions, and in them those of variables (`inside`)."""
    if isinstance(node, ast.Name | ast.Attribute):
        chain = chain_of(node)
        if chain is not None:
            # A name that is bound here is not asked for, unless it is one of the module's (`global`).
            if not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)):
                found.add(chain)
            return
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        found.add((node.target.id,))
    elif isinstance(node, ast.Global):
        found |= {(name,) for name in node.names}
    elif isinstance(node, ast.Constant | ast.Load | ast.Store):
        return
    function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for name in node._fields:
        if lazy and (name == "returns" or (name == "annotation" and (inside or isinstance(node, ast.arg)))):
            continue
        part = getattr(node, name, None)
        for child in part if isinstance(part, list) else (part,):
            if isinstance(child, ast.AST):
                _add_chains(child, found, lazy, inside or function)
