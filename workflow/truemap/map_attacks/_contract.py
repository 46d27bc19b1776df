"""What a module of this family must define: ``Options`` and ``perturb``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from truemap.config.registry import Method
from truemap.map_attacks._attacked import Attacked, Found


class Perturb(Protocol):
    """Looks for noise that changes a map while the prediction stays."""

    def __call__(self, attacked: Attacked, bound: float, options: Any) -> Found:
        """Return noise for each sample, no longer than `bound` and 0 outside the mask.

        A sample's must not hang on what else is in the batch.

        Parameters
        ----------
        attacked : Attacked
            Samples, decoder, and maps as functions of the input.
        bound : float
            Largest norm of the noise, of the kind that ``attacked.norm`` says.
        options : Options
            Of the module.
        """
        ...


@dataclass(frozen=True)
class MapAttack(Method):
    """An attack on the maps of a way to explain."""

    perturb: Perturb
