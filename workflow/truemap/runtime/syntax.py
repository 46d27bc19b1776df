"""Python modules by their syntax: what they define at their top, and what that mentions. Nothing is imported."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

#: Fields of a syntax tree that change nothing that runs: how a literal was written, comments on types.
NO_CODE = ("kind", "type_comment", "type_ignores")
#: Decorators that read no annotation of what they decorate.
TYPELESS = frozenset(
    (
        *("cache", "lru_cache", "cached_property", "property", "staticmethod", "classmethod", "contextmanager"),
        *("dataclass", "field_validator", "model_validator", "no_grad", "once_differentiable", "wraps"),
    )
)
#: Methods with which a class acts on those who derive from it or take an item of it.
HOOKS = frozenset({"__init_subclass__", "__class_getitem__", "__set_name__"})
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
#: A name and the attributes asked of it: ``style.save`` is ("style", "save").
Chain = tuple[str, ...]


class CodeError(ValueError):
    """A source file that cannot be read as Python; the message names file, line, reason and remedy."""


class Said(NamedTuple):
    """Names that stand in a piece of code, with attributes of theirs; ``("", attribute)`` is one of another value."""

    names: set[Chain]
    #: Those in annotations of functions, and of variables in these.
    types: set[Chain]
    texts: set[str]
    #: The last part of what decorates something in it.
    decorators: set[str]


@dataclass(frozen=True)
class Import:
    """What a name is bound to by an import: a module, or what a module has by that name (then `attribute`)."""

    module: str
    attribute: str | None = None

    def spelled(self, rest: Iterable[str] = ()) -> str:
        """Return what it is by its whole name, with attributes asked of it."""
        return ".".join(filter(None, (self.module, self.attribute, *rest)))


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
        All other statements at the top, and definitions that act (`truemap.plan.packages`): what they do, they do for
        every importer.
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
    _said: dict[ast.stmt, Said] = field(default_factory=dict, repr=False)
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
            if not names:
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

        Names of the module in texts that are expressions are mentioned too, as in ``"list[Grid]"``. Annotations of
        functions are left out where nothing evaluates them, under ``from __future__ import annotations``; those of
        classes stay, as pydantic and dataclasses read them.
        """
        if node not in self._mentions:
            said = self.said(node)
            found = self._mentions[node] = {*said.names}
            if not self.lazy or not said.decorators <= TYPELESS:
                found |= said.types
            known = self.definitions.keys() | self.imports.keys()
            for text in said.texts:
                words = not re.search(r"\w\s+\w", text) and re.findall(r"\w+", text)
                if words and not known.isdisjoint(words):
                    with suppress(SyntaxError, ValueError):
                        quoted = said_in(ast.parse(text.strip(), mode="eval").body)
                        found |= {chain for chain in quoted.names if chain[0] in known}
        return self._mentions[node]

    def said(self, node: ast.stmt) -> Said:
        """Return what `said_in` does of one of the file's statements."""
        if node not in self._said:
            self._said[node] = said_in(node)
        return self._said[node]

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
    said = said_in(node)
    return {chain for chain in said.names | said.types if chain[0]}


def said_in(node: ast.AST) -> Said:
    """Return what stands in a syntax tree."""
    said = Said(set(), set(), set(), set())
    waiting: list[tuple[ast.AST, bool, bool]] = [(node, False, False)]
    while waiting:
        found, typed, inside = waiting.pop()
        kind = type(found)
        if kind is ast.Constant:
            if isinstance(found.value, str):
                said.texts.add(found.value)
            continue
        if kind is ast.Name or kind is ast.Attribute:
            chain = chain_of(found)
            # A name that is bound here is not asked for, unless it is one of the module's (`global`).
            if kind is ast.Attribute or not isinstance(found.ctx, ast.Store):
                (said.types if typed else said.names).add(chain or ("", found.attr))
            waiting += [] if chain else [(found.value, typed, inside)]
            continue
        if kind is ast.AugAssign and isinstance(found.target, ast.Name):
            said.names.add((found.target.id,))
        elif kind is ast.Global:
            said.names.update((name,) for name in found.names)
        function = kind is ast.FunctionDef or kind is ast.AsyncFunctionDef
        if function or kind is ast.ClassDef:
            inside = function
            chains = (chain_of(each.func if isinstance(each, ast.Call) else each) for each in found.decorator_list)
            said.decorators.update(chain[-1] if chain else "" for chain in chains)
        for name in found._fields:
            part = getattr(found, name, None)
            of_types = typed or name == "returns" or (name == "annotation" and (inside or kind is ast.arg))
            if part.__class__ is list:
                waiting += [(child, of_types, inside) for child in part if isinstance(child, ast.AST)]
            elif isinstance(part, ast.AST):
                waiting.append((part, of_types, inside))
    return said


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
    if not all(isinstance(part, ast.Name) for part in parts):
        return []
    inner = [part.target for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
    return [part.id for part in [*parts, *inner] if isinstance(part, ast.Name)]


def at_import(node: ast.stmt, lazy: bool) -> Iterator[tuple[ast.AST, str]]:
    """Yield what a definition evaluates at import, and what for; `lazy`: not the annotations of functions.

    A ``value``; a ``decorator``, which is called; a ``base``, which is derived from; or a ``statement`` that does more
    than define.
    """
    if isinstance(node, Definition):
        yield from ((each, "decorator") for each in node.decorator_list)
    if isinstance(node, ast.ClassDef):
        yield from ((each, "base") for each in node.bases)
        for keyword in node.keywords:
            yield keyword.value, "statement" if keyword.arg in (None, "metaclass") else "value"
        for each in node.body:
            hook = isinstance(each, Definition) and each.name in HOOKS
            yield from [(each, "statement")] if hook else at_import(each, lazy)
    elif isinstance(node, Definition):
        arguments = node.args
        yield from ((each, "value") for each in (*arguments.defaults, *arguments.kw_defaults) if each)
        named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        types = [] if lazy else [node.returns, *(each.annotation for each in named if each)]
        yield from ((each, "value") for each in types if each)
    elif isinstance(node, ast.Assign) and all(map(_plain, node.targets)):
        yield node.value, "value"
    elif isinstance(node, ast.AnnAssign) and _plain(node.target):
        yield from ((each, "value") for each in (node.annotation, node.value) if each)
    elif not isinstance(node, ast.Pass) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield node, "statement"


def _plain(target: ast.expr) -> bool:
    """Return whether an assignment gives nothing but names."""
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_plain, target.elts))
    return isinstance(target, ast.Name) or (isinstance(target, ast.Starred) and _plain(target.value))


def chain_of(node: ast.AST) -> Chain | None:
    """Return a name and the attributes asked of it, or None where it is no name that they are asked of."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else None
