"""What a job's code is: one string ``module@hash`` for each project module that the job can reach.

Snakemake compares scripts by time stamp and does not see the modules a script imports. These strings,
given as params, make it re-run a job exactly when code that the job runs has changed: not for a comment,
a docstring, white space, a new time stamp or another folder.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp

PACKAGE = "truemap"
#: Fields of a syntax tree that change nothing that runs: how a literal was written, comments on types.
NO_CODE = ("kind", "type_comment", "type_ignores")


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, cache_dir=None)


@cache
def code_hash(path: Path) -> str:
    """Return ten hex digits of the module's syntax tree without docstrings (comments and white space are not in it)."""
    return text_hash(path.read_text(encoding="utf-8"))


def text_hash(source: str) -> str:
    """Return `code_hash` of a module's text.

    Of the tree itself and not of a text made from it: how Python prints a tree differs between its versions. Fields
    that are empty do not count, since later versions add some.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256("\0".join(_words(tree)).encode()).hexdigest()[:10]


def _words(value: Any) -> Iterator[str]:
    """Yield a syntax tree as words: every node's class, its fields that are not empty, and its end."""
    if isinstance(value, ast.AST):
        yield type(value).__name__
        for name, part in ast.iter_fields(value):
            if name not in NO_CODE and part is not None and part != []:
                yield name
                yield from _words(part)
        yield ")"
    elif isinstance(value, list):
        for part in value:
            yield from _words(part)
        yield "]"
    else:
        yield repr(value)


@cache
def closure(module: str) -> frozenset[str]:
    """Return the project modules that importing `module` loads, itself included."""
    graph = _graph()
    reached, found = set(), {module}
    while found:
        # Importing a.b runs a/__init__.py too. They are empty here; one that someone writes code into counts.
        packages = {name.rpartition(".")[0] for name in found} - {""}
        reached |= found
        found = packages.union(*(graph.find_upstream_modules(name) for name in found)) - reached
    return frozenset(name for name in reached if _file(name).name != "__init__.py" or _runs(_file(name)))


@cache
def _runs(path: Path) -> bool:
    return path.is_file() and code_hash(path) not in (text_hash(""), text_hash("pass"))


def script_modules(script: Path) -> frozenset[str]:
    """Return the project modules that a workflow script can reach through its imports."""
    return _reached(script.read_text(encoding="utf-8"))


@cache
def _reached(text: str) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE}
    known = _graph().modules
    return frozenset().union(*(closure(name) for name in names if name in known))


def code(script: Path) -> dict[str, str]:
    """Return params that stand for a script's code: parameter name -> ``module@hash``."""
    entries = {"code_script": f"{script.name}@{code_hash(script)}"}
    for name in sorted(script_modules(script)):
        entries[name.replace(".", "_")] = f"{name}@{code_hash(_file(name))}"
    return entries


@cache
def method_code(script: Path, *methods: str) -> list[str]:
    """Return ``module@hash`` of method modules and all they import, beyond what `script` imports itself."""
    names = set().union(*(closure(method) for method in methods)) - script_modules(script)
    return [f"{name}@{code_hash(_file(name))}" for name in sorted(names)]


def _file(module: str) -> Path:
    base = Path(__file__).parent.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _docstring(node: ast.AST) -> bool:
    return ast.get_docstring(node, clean=False) is not None
