"""Versions of the packages that numbers depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

#: Of this project, as in pyproject.toml.
VERSION = "0.2.0"
#: Written beside every model and score.
RECORDED = ("torch", "numpy", "scipy", "pandas", "pyarrow", "nibabel", "captum")


def installed(package: str) -> str:
    """Return a package's version, or an empty text where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def versions() -> dict[str, str]:
    """Return Python's version and those of the recorded packages that are installed."""
    found = {package: installed(package) for package in RECORDED}
    return {"python": platform.python_version(), **{name: text for name, text in found.items() if text}}
