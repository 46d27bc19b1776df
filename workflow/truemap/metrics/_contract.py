"""What a module of this family must define: ``Options``, ``measures`` and ``measure``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from truemap.config.registry import Method
from truemap.metrics._explained import Explained


class Senseless(Exception):
    """A measure says nothing of a network or a way to explain; the message is the reason that tables give."""


@dataclass(frozen=True)
class Measure:
    """One number a map, and which is better, said before any is seen.

    Attributes
    ----------
    name : str
    better : {"lower", "higher"}
        Where the literature sees the better map.
    source : str
        Author, year and equation.
    undefined : str
        Why a map has no value where it has none (NaN); empty if every map must have one.
    """

    name: str
    better: Literal["lower", "higher"]
    source: str
    undefined: str = ""


@dataclass(frozen=True)
class Curve:
    """A measure that is the area under a curve (trapezoids); tables keep the curve too.

    Attributes
    ----------
    shares : Tensor, shape (k,), float64
        The abscissa, the same for all maps.
    values : Tensor, shape (n, k), float64
    """

    shares: torch.Tensor
    values: torch.Tensor


def area(found: torch.Tensor | Curve) -> torch.Tensor:
    """Return what a measure found of each map, shape (n,): of a curve the area under it."""
    return torch.trapezoid(found.values, found.shares, dim=1) if isinstance(found, Curve) else found


class MeasureMaps(Protocol):
    """Measures the maps that explain some samples' own classes."""

    def __call__(self, explained: Explained, options: Any) -> Mapping[str, torch.Tensor | Curve]:
        """Return each measure's values by its name; a sample's must not hang on what else is in the batch.

        Parameters
        ----------
        explained : Explained
            Inputs, maps, and all that made the maps.
        options : Options
            Of the module.

        Returns
        -------
        mapping from str to Tensor, shape (n,), float64, or Curve
            NaN where a measure is not defined.

        Raises
        ------
        Senseless
            If nothing here can be measured, whatever the map.
        """
        ...


@dataclass(frozen=True)
class Metric(Method):
    """Measures of maps that share their passes through the network."""

    measures: tuple[Measure, ...]
    measure: MeasureMaps
