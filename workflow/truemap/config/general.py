"""What can be set for all datasets: which maps stay on disk, how figures look, what counts as code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from truemap.config.options import Count, Positive, Strict
from truemap.runtime.versions import installed


class Maps(Strict):
    """What stays of the saliency maps on disk; their means by class stay in any case."""

    voxels: Literal["all", "brain"] = Field(
        "all",
        description="voxels of each map that are stored; brain: those of the mask only, a quarter at 2 mm. All "
        "datasets that run must then have `voxels: brain`",
    )
    keep: bool = Field(
        True,
        description="false: a method's maps go once they are scored; whatever asks for single maps later makes them "
        "again",
    )


class Card(Strict):
    """The GPU that jobs will run on, where it is not this machine's."""

    memory_gb: Positive = Field(description="its memory in GB (10^9 bytes)")
    teraflops: Positive = Field(
        20.0, description="10^12 operations that it does a second in float32, for a floor of the hours"
    )


class Style(Strict):
    """How figures look."""

    colormap: str = Field("RdBu_r", description="matplotlib colour map of signed maps")
    sequential: str = Field("viridis", description="matplotlib colour map of agreement in the grid")
    bars: str | None = Field(
        None,
        description="colour of all bars in Figure 2; default: each way to explain has its own",
    )
    dpi: Count = Field(300, description="of the PNG files, which are 89 or 183 mm wide")


class Provenance(Strict):
    """What counts as code, beyond the project's own modules."""

    packages: list[str] = Field(
        [],
        description="installed packages (e.g. torch) whose version counts as code of every rule: an upgrade then re-"
        "runs everything; all versions are written beside models and scores in any case",
    )

    @field_validator("packages")
    @classmethod
    def _installed(cls, value: list[str]) -> list[str]:
        for package in value:
            if not installed(package):
                raise ValueError(f"package '{package}' is not installed here; take it out, or install it")
        return value
