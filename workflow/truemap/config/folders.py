"""The folders that methods are in, the project's and users', and what their files must have, told without an import."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from truemap.config.options import MethodError
from truemap.runtime.sourcecode import module_at, source_file
from truemap.runtime.syntax import CodeError, Module, chain_of

FAMILIES = ("datasets", "networks", "training", "saliency", "references", "attacks", "map_attacks", "metrics")
OURS = Path(__file__).parents[1]


def check_folders(folders: Sequence[str]) -> None:
    """Refuse users' folders that hold no methods, or some that are called as others.

    Raises
    ------
    MethodError
    """
    seen: dict[str, str] = {}
    for folder in folders:
        path = Path(folder)
        if not path.is_dir():
            raise MethodError(f"methods: {folder}: no such folder. Paths are relative to {Path.cwd()}.")
        _check_word(path, path.name)
        if path.name in seen:
            raise MethodError(
                f"methods: {seen[path.name]} and {folder} have one name. Rename one, or name it only once."
            )
        if path.name == "truemap" or _is_package(path):
            raise MethodError(
                f"methods: {folder}: a package called '{path.name}' is installed, or lies beside the Snakefile. Rename "
                "the folder."
            )
        if not any((path / family).is_dir() for family in FAMILIES):
            raise MethodError(
                f"methods: {folder}: holds no folder of a family. Put methods into {', '.join(FAMILIES)} there."
            )
        for family in FAMILIES:
            _check_names(path / family, [OURS / family, *(Path(other) / family for other in seen.values())])
        seen[path.name] = folder


def _check_names(folder: Path, others: Iterable[Path]) -> None:
    for name in methods_in(folder.absolute()):
        _check_word(folder / f"{name}.py", name)
        twice = next((other for other in others if name in methods_in(other.absolute())), None)
        if twice:
            raise MethodError(f"methods: {folder}: '{name}' is in {twice} too. Rename it.")


def _check_word(path: Path, word: str) -> None:
    if not word.isidentifier() or keyword.iskeyword(word):
        raise MethodError(f"methods: {path}: is imported by its name, so call it by letters, digits and '_'.")


def _is_package(folder: Path) -> bool:
    """Return whether something else than this folder is what its name would import."""
    if folder.name in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(folder.name)
    except (ImportError, ValueError):
        return False
    places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
    return spec is not None and folder.resolve() not in places


@cache
def methods_in(folder: Path) -> tuple[str, ...]:
    """Return the methods in a family's folder: its modules, but for helpers (``_name.py``)."""
    return tuple(path.stem for path in sorted(folder.glob("[!_]*.py")))


def file_of(folder: Path, place: str) -> Path:
    """Return the file of a module by its name in a folder's package (``saliency.gradient``), or of a package in it."""
    return source_file(folder.joinpath(*place.split(".")) if place else folder)


def source_of(folder: Path, place: str) -> Module:
    """Return the source of a module of a folder.

    Raises
    ------
    MethodError
        If it cannot be read.
    """
    try:
        return module_at(file_of(folder, place), f"{folder.name}.{place}".rstrip("."))
    except CodeError as error:
        raise MethodError(str(error)) from None


# What a method's files must have, and may


def defines(folder: Path, family: str, name: str, what: str) -> bool:
    """Return whether a method has something that its family's contract lets it leave out."""
    return _binds(source_of(folder.absolute(), f"{family}.{name}"), what)


@cache
def check_method(folder: Path, family: str, name: str, others: tuple[str, ...] = ()) -> None:
    """Refuse a method that lacks what its family's contract asks for, or whose imports cannot be followed.

    Told before anything runs: a way to explain is imported hours later, after the training.

    Parameters
    ----------
    folder : path
        Absolute.
    others : tuple of str
        Names of users' other folders.

    Raises
    ------
    MethodError
    """
    module = source_of(folder, f"{family}.{name}")
    for what in ("Options", *required(family)):
        if not _binds(module, what):
            raise MethodError(lacking(module.path, what, f"truemap.{family}._contract"))
    if folder != OURS:
        _check_imports(folder, ("", family, f"{family}.{name}"), {*others} - {folder.name}, set())


def lacking(path: str | Path | None, what: str, contract: str) -> str:
    """Return what to say of a module without something that its family's contract asks for."""
    return f"{path}: has no '{what}'. Write it as {contract} says."


@cache
def required(family: str) -> tuple[str, ...]:
    """Return the functions that every method of a family must have: those without a default in its contract."""
    definitions = source_of(OURS, f"{family}._contract").definitions.values()
    classes = [node for nodes in definitions for node in nodes if isinstance(node, ast.ClassDef)]
    contracts = [node for node in classes if ("Method",) in map(chain_of, node.bases)]
    parts = [part for node in contracts for part in node.body if isinstance(part, ast.AnnAssign) and not part.value]
    return tuple(part.target.id for part in parts if isinstance(part.target, ast.Name))


def _binds(module: Module, name: str) -> bool:
    nested = (part for node in module.effects for part in ast.walk(node))
    return (
        name in module.definitions
        or name in module.imports
        or bool(module.stars)
        or any(name in (getattr(part, "name", None), getattr(part, "id", None)) for part in nested)
    )


@cache
def _uninstalled(name: str) -> str | None:
    """Return where a module lies that Python finds outside what is installed; None for all others."""
    if name in sys.stdlib_module_names or name in ("", "truemap"):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = [spec.origin, *(spec.submodule_search_locations or [])] if spec else []
    found = [place for place in places if place and not {"site-packages", "dist-packages"} & set(Path(place).parts)]
    return found[0] if found else None


def _check_imports(folder: Path, places: Iterable[str], others: set[str], seen: set[str]) -> None:
    for place in places:
        if place in seen or not file_of(folder, place).is_file():
            continue
        seen.add(place)
        module = source_of(folder, place)
        for root in sorted(
            {name.partition(".")[0] for name in (*module.loads, *module.stars)} - {folder.name, *others}
        ):
            if where := _uninstalled(root):
                raise MethodError(
                    f"{module.path}: imports '{root}' ({where}), which is not installed, so that no edit of it would "
                    f"make anything again. Move it into {folder.name} (as _{root}.py), or install it (not editable)."
                )
        for bound in (each for found in module.imports.values() for each in found):
            root, _, inner = bound.module.partition(".")
            if root in others:
                raise MethodError(
                    f"{module.path}: imports from '{root}', another folder of `methods`. Put what is shared into one."
                )
            file = file_of(folder, inner)
            if root == folder.name and not (file.is_file() or (file.parent.is_dir() and file.name == "__init__.py")):
                raise MethodError(f"{module.path}: imports {bound.module}, and there is no {file}. Mend one of them.")
        own = (name.partition(".") for name in module.loads)
        _check_imports(folder, [inner for root, _, inner in own if root == folder.name], others, seen)
