"""What a job's code is: one string ``module@hash`` for each project module that the job can reach.

Snakemake compares scripts by time stamp and does not see the modules a script imports. These strings,
given as params, make it re-run a job exactly when code that the job runs has changed: not for a comment,
a docstring, white space, a new time stamp or another folder.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import grimp

from truemap.runtime.sourcecode import code_hash, file_of, named_hash, text_hash

PACKAGE = "truemap"


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, cache_dir=None)


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
    return frozenset(name for name in reached if file_of(name).name != "__init__.py" or _runs(file_of(name)))


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
    modules = {name.replace(".", "_"): named_hash(name) for name in sorted(script_modules(script))}
    return {"code_script": f"{script.name}@{code_hash(script)}", **modules}


@cache
def method_code(script: Path, *methods: str) -> list[str]:
    """Return ``module@hash`` of method modules and all they import, beyond what `script` imports itself."""
    names = set().union(*(closure(method) for method in methods)) - script_modules(script)
    return [named_hash(name) for name in sorted(names)]
