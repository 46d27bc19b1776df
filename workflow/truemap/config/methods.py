"""From a method's settings to its module and options."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from truemap.config.options import MethodOptions


def method(family: str, settings: dict[str, Any]) -> tuple[ModuleType, MethodOptions]:
    """Return the module ``truemap.{family}.{settings["name"]}`` and its options.

    Parameters
    ----------
    family : str
        datasets, networks, training or saliency.
    settings : dict
        ``name`` and every option, as `truemap.config.registry.resolve_method` gives them.
    """
    options = dict(settings)
    module = importlib.import_module(f"truemap.{family}.{options.pop('name')}")
    return module, module.Options(**options)
