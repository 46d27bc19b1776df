"""Params as Snakemake can record them: as simple values, one line each, so that a dry run names what changed.

Snakemake compares a rule's params as a set of values, without their names, and records simple types only.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

Settings = dict[str, Any]
Params = dict[str, Any]
#: How data are fetched, which changes no result; and who is left out, which is recorded under other names.
UNRECORDED = ("source.fetch", "source.exclude")
SIGNATURE = inspect.signature(lambda wildcards: None)


def settings_params(compute: Callable[[Any], Settings], jobs: Sequence[Any]) -> Params:
    """Return params that hold a rule's settings: whole for the script, and one line a value for the record.

    The script gets a namespace, which is not recorded. The record gets lines like ``training.epsilon = 0.1``:
    no two settings can be mistaken for each other, and the dry run shows just the value that changed.

    Parameters
    ----------
    compute : callable
        Wildcards -> settings.
    jobs : sequence
        Wildcards of at least one job of each kind that the rule has: they say how many lines there can be.
    """

    def whole(wildcards: Any) -> SimpleNamespace:
        return SimpleNamespace(**compute(wildcards))

    return {"settings": whole, **line_params("setting", lambda wildcards: _lines(compute(wildcards)), jobs)}


def line_params(prefix: str, lines: Callable[[Any], list[str]], jobs: Sequence[Any]) -> Params:
    """Return params that hold lines of which a job has as many as its wildcards give: the n-th, or None.

    Parameters
    ----------
    prefix : str
        Of the params' names.
    lines : callable
        Wildcards -> lines.
    jobs : sequence
        Wildcards of at least one job of each kind that the rule has: they say how many lines there can be.
    """
    known: dict[tuple[tuple[str, str], ...], dict[int, str]] = {}

    def line(number: int) -> Callable[[Any], str | None]:
        def entry(wildcards: Any) -> str | None:
            key = tuple(sorted(named(wildcards).items()))
            if key not in known:
                known[key] = dict(enumerate(lines(wildcards)))
                if len(known[key]) >= count:
                    raise RuntimeError(f"a rule has more lines ({prefix}) than params for them")
            return known[key].get(number)

        return signed(entry)

    # One more than any job can fill: None is then among every job's params, and their number changes nothing.
    count = 1 + max((len(lines(job)) for job in jobs), default=0)
    return {f"{prefix}_{number}": line(number) for number in range(count)}


def named(wildcards: Any) -> dict[str, str]:
    """Return a job's wildcards by name, whichever there are."""
    return dict(wildcards.items() if hasattr(wildcards, "items") else vars(wildcards))


def scaled(amount: int) -> Callable[[Any, int], int]:
    """Return a resource function: `amount` (MB or minutes) times the attempt, so that a retry gets more."""

    def resource(wildcards: Any, attempt: int) -> int:
        return amount * attempt

    resource.__signature__ = inspect.signature(resource)  # type: ignore[attr-defined]
    return resource


def signed(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the function of wildcards with its signature at hand: Snakemake asks for it at every call."""
    function.__signature__ = SIGNATURE  # type: ignore[attr-defined]
    return function


def _lines(settings: Settings, prefix: str = "") -> list[str]:
    lines = []
    for key, value in settings.items():
        if f"{prefix}{key}" in UNRECORDED:
            continue
        if isinstance(value, dict) and value:
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {json.dumps(value)}")
    return lines
