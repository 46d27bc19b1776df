"""The project's source files: by what names they are recorded, and hashes of what they do."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from truemap.runtime.files import signature

WORKFLOW = Path(__file__).parents[2]
#: Fields of a syntax tree that change nothing that runs: how a literal was written, comments on types.
NO_CODE = ("kind", "type_comment", "type_ignores")
#: File -> its hash, and the signature that it had before it was read.
_hashed: dict[Path, tuple[str, list[int] | None]] = {}


def file_of(name: str) -> Path:
    """Return the file of a module (``truemap.x.y``), of a package (its ``__init__.py``) or a script (``x.py``)."""
    if name.endswith(".py"):
        return WORKFLOW / "scripts" / name
    base = WORKFLOW.joinpath(*name.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def named_hash(name: str) -> str:
    """Return ``name@hash``."""
    return f"{name}@{code_hash(file_of(name))}"


def is_named_hash(text: Any) -> bool:
    """Return whether something is what `named_hash` returns."""
    return isinstance(text, str) and re.fullmatch(r"[\w.]+@[0-9a-f]{10}", text) is not None


def hashed() -> dict[str, tuple[str, list[int] | None]]:
    """Return what was hashed so far: name of the file below workflow/ -> its hash, and its signature then."""
    return {str(path.relative_to(WORKFLOW)): found for path, found in _hashed.items() if path.is_relative_to(WORKFLOW)}


def code_hash(path: Path) -> str:
    """Return ten hex digits of a file's syntax tree without docstrings (comments and white space are not in it)."""
    if path not in _hashed:
        before = signature(path)
        _hashed[path] = text_hash(path.read_text(encoding="utf-8")), before
    return _hashed[path][0]


def text_hash(source: str) -> str:
    """Return `code_hash` of a file's text.

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


def _docstring(node: ast.AST) -> bool:
    return ast.get_docstring(node, clean=False) is not None
