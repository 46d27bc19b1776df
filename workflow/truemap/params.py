"""Params as Snakemake can record them: as simple values, one line each, so that a dry run names what changed.

Snakemake compares a rule's params as a set of values, without their names, and records simple types only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from truemap.provenance import method_code

Settings = dict[str, Any]
Params = dict[str, Callable[[Any], Any]]
WILDCARDS = ("dataset", "model", "seed", "candidate", "method", "split", "shard", "panel")
#: Params for the lines of a rule's settings; at least one stays None, so that None is among every job's params.
LINES = 48


def settings_params(compute: Callable[[Any], Settings]) -> Params:
    """Return params that hold a rule's settings: whole for the script, and one line a value for the record.

    The script gets a namespace, which is not recorded. The record gets lines like ``training.epsilon = 0.1``:
    no two settings can be mistaken for each other, and the dry run shows just the value that changed.

    Parameters
    ----------
    compute : callable
        Wildcards -> settings.
    """
    known: dict[tuple, dict[int, str]] = {}

    def whole(wildcards: Any) -> SimpleNamespace:
        return SimpleNamespace(**compute(wildcards))

    def line(number: int) -> Callable[[Any], str | None]:
        def entry(wildcards: Any) -> str | None:
            key = tuple(getattr(wildcards, name, None) for name in WILDCARDS)
            if key not in known:
                known[key] = dict(enumerate(_lines(compute(wildcards))))
                assert len(known[key]) < LINES, "a rule has more settings than params for them"
            return known[key].get(number)

        return entry

    return {"settings": whole, **{f"setting_{number}": line(number) for number in range(LINES)}}


def method_params(script: Path, every: Sequence[str], names: Callable[[Any], list[str]]) -> Params:
    """Return params that stand for the method modules a job uses, beyond its script's own imports.

    Which they are hangs on the wildcards, so each param is a function: the n-th module's ``module@hash``, or
    None.

    Parameters
    ----------
    script : path
    every : sequence of str
        All method modules that a job of this rule can use.
    names : callable
        Wildcards -> the method modules that this job uses.
    """

    def entry(number: int) -> Callable[[Any], str | None]:
        return lambda wildcards: dict(enumerate(method_code(script, *names(wildcards)))).get(number)

    # One more than any job can fill: None is then among every job's params, and a new method changes none.
    return {f"method_{number}": entry(number) for number in range(len(method_code(script, *every)) + 1)}


def scaled(amount: int) -> Callable[[Any, int], int]:
    """Return a resource function: `amount` (MB or minutes) times the attempt, so that a retry gets more."""

    def resource(wildcards: Any, attempt: int) -> int:
        return amount * attempt

    return resource


def _lines(settings: Settings, prefix: str = "") -> list[str]:
    lines = []
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {json.dumps(value)}")
    return lines
