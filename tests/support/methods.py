"""Modules of methods as the config's names give them, for tests."""

import importlib
from dataclasses import MISSING, fields
from types import ModuleType
from typing import Any

from truemap.config.registry import Method

CONTRACTS = {
    "datasets": "Source",
    "networks": "Network",
    "training": "Training",
    "saliency": "Saliency",
    "references": "Reference",
    "attacks": "Attack",
    "map_attacks": "MapAttack",
    "metrics": "Metric",
}


def contract(family: str) -> type[Method]:
    """Return the contract of a family."""
    return getattr(importlib.import_module(f"truemap.{family}._contract"), CONTRACTS[family])


def as_method(module: ModuleType, options: Any = None, **values: Any) -> Method:
    """Return a module's functions, with options or their values."""
    return contract(module.__name__.split(".")[1]).of(module, module.Options(**values) if options is None else options)


def made_up(family: str, options: Any = None, **functions: Any) -> Method:
    """Return a method of functions that a test makes up; those that it leaves out are not to be called."""
    kind = contract(family)
    own = {part.name: None if part.default is MISSING else part.default for part in fields(kind)}
    return kind(**{**own, "name": "made_up", "options": options, **functions})
