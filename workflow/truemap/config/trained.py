"""What is known of a trained network that a user hands over: the JSON file beside its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from truemap.config.options import Count, Fraction, Name, Number, Positive, Strict, Subject, faults
from truemap.runtime.files import DataError

#: Ends of the three axes, as nibabel has them.
ENDS = ("RL", "AP", "SI")


class Trained(Strict):
    """The JSON file beside `weights`, of the same name: what the network takes, gives, and was trained on."""

    classes: list[Name] = Field(min_length=2, description="in the order of the logits")
    shape: list[Count] = Field(
        min_length=3, max_length=3, description="voxels of a map along each axis, as the network has it"
    )
    affine: list[list[Number]] | None = Field(
        None, description="4 x 4, voxels to mm of those maps; this or `orientation`"
    )
    orientation: str | None = Field(
        None,
        description="where the axes of those maps point, e.g. RAS (right, anterior, superior) or LAS; maps of the "
        "dataset are turned accordingly",
    )
    standardize: Literal["volume", "none"] = Field(
        description="what was done to maps before the network saw them: as `standardize` of a dataset"
    )
    input: list[Count] | None = Field(
        None,
        description="shape of one input as the network's forward takes it, where that is not `shape`: channels first, "
        "axes of one voxel may be left out, as [1, 91, 109, 91] or [3, 8, 8]; each channel gets the map",
    )
    subjects: Annotated[list[Subject], Field(min_length=1)] | Literal["unknown"] = Field(
        "unknown",
        description="whom the network was trained on; unknown is said on every figure. The file is yours: none of it "
        "shows in results",
    )
    accuracy: Fraction | None = Field(
        None, description="on data that it was not trained on; a test accuracy far below stops the run"
    )
    temperature: Positive = Field(1.0, description="used where the model's `calibrate` is false")

    @field_validator("classes")
    @classmethod
    def _differ(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("a class is named twice")
        return value

    @field_validator("affine")
    @classmethod
    def _matrix(cls, value: list[list[float]] | None) -> list[list[float]] | None:
        if value is None:
            return value
        if [len(row) for row in value] != [4] * 4 or value[3] != [0, 0, 0, 1] or not _volume(value):
            raise ValueError("must be four rows of four numbers, the last one 0, 0, 0, 1, that can be inverted")
        return value

    @field_validator("orientation")
    @classmethod
    def _axes(cls, value: str | None) -> str | None:
        letters = value if value is not None and len(value) == 3 else ""
        if value is not None and sorted(e for c in letters for e in range(3) if c in ENDS[e]) != [0, 1, 2]:
            raise ValueError("must be three capital letters, one of R or L, one of A or P and one of S or I, as RAS")
        return value

    @model_validator(mode="after")
    def _placed(self) -> Trained:
        if (self.affine is None) == (self.orientation is None):
            raise ValueError("give `affine` or `orientation`, one of them: without, left may be taken for right")
        thick = [n for n in self.shape if n > 1]
        if self.input is not None and not any(
            self.input in (axes, [channels, *axes]) for axes in (self.shape, thick) for channels in self.input[:1]
        ):
            raise ValueError(
                f"input: {self.input} is not {self.shape} with a number of channels before it (axes of one voxel may "
                "be left out)"
            )
        return self


def beside(weights: str | Path) -> Path:
    """Return the JSON file that belongs to a file of weights."""
    return Path(weights).with_suffix(".json")


def read_trained(path: str | Path) -> Trained:
    """Read what is known of a trained network.

    Raises
    ------
    DataError
        If the file cannot be read or says something that it cannot; no value of it is shown.
    """
    remedy = "It says what the network takes and gives: config/README.md lists the keys."
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. `python -m truemap.convert` makes it beside the weights.") from None
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}{f', line {error.lineno}' if isinstance(error, json.JSONDecodeError) else ''}"
        raise DataError(f"{path}: cannot be read as JSON ({reason}). {remedy}") from None
    if not isinstance(raw, dict):
        raise DataError(f"{path}: is no JSON object. {remedy}")
    try:
        return Trained.model_validate(raw)
    except ValidationError as error:
        lines = "; ".join(f"{place}: {words}" if place else words for place, words in faults(error))
        raise DataError(f"{path}: {lines}. {remedy}") from None


def _volume(affine: list[list[float]]) -> float:
    """Return the volume of a voxel, signed: the determinant."""
    (a, b, c), (d, e, f), (g, h, i) = (row[:3] for row in affine[:3])
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def checked(path: str | Path) -> Trained:
    """Return what `read_trained` gave when the run began: jobs need no words for faults of the file."""
    return Trained.model_validate_json(Path(path).read_text(encoding="utf-8-sig"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)
