"""What Snakemake gives a script, for tests that call one's parts."""

from pathlib import Path
from types import SimpleNamespace

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


class Params(list):
    """Values by position, and some by name."""


def rule(output: list[str], *, log: str, settings: dict | None = None, inputs=(), code=(), name: str = "rule"):
    """Return the object ``snakemake`` of a job with these files."""
    params = Params(code)
    params.settings = settings or {}
    return SimpleNamespace(
        rule=name, log=[log], input=list(inputs), output=output, params=params, scriptdir=str(SCRIPTS)
    )
