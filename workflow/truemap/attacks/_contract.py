"""What a module of this family must define: ``Options`` and ``perturb``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from truemap.config.registry import Method
from truemap.networks._decoder import Decoder


class Perturb(Protocol):
    """Looks for noise that makes a decoder wrong."""

    def __call__(
        self,
        decoder: Decoder,
        x: torch.Tensor,
        labels: torch.Tensor,
        samples: Sequence[int],
        bound: float,
        options: Any,
        seed: int,
    ) -> torch.Tensor:
        """Return noise for each map, no longer than `bound`; a sample's must not hang on what else is in the batch.

        Parameters
        ----------
        x : Tensor, shape (n, *shape), float32
        labels : Tensor of int, shape (n,)
            True classes.
        samples : sequence of int
            Sample ids, for attacks that draw.
        bound : float
            Largest L2 norm of the noise.
        options : Options
            Of the module.

        Returns
        -------
        Tensor, shape (n, *shape)
        """
        ...


@dataclass(frozen=True)
class Attack(Method):
    """An attack on a decoder's predictions."""

    perturb: Perturb
