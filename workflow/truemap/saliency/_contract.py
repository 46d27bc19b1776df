"""What a module of this family must define: ``Options`` and ``explain``; it may define ``residual``.

And ``differentiable``, without which its maps are not attacked, with ``curved``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from truemap.config.registry import Method
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._differentiable import MapsOf


class Explain(Protocol):
    """Explains every class's output on some maps."""

    def __call__(
        self, decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Any, context: Context
    ) -> torch.Tensor:
        """Return a saliency map for each map and class; a sample's must not hang on what else is in the batch.

        Parameters
        ----------
        x : Tensor, shape (n, *shape), float32
        samples : sequence of int
            Sample ids, for methods that draw noise.
        options : Options
            Of the module.
        context : Context
            Seed and training data.

        Returns
        -------
        Tensor, shape (n, classes, *shape), float64
        """
        ...


class Residual(Protocol):
    """By how much maps miss the sum that the method promises: completeness, summation to delta, conservation."""

    def __call__(
        self,
        decoder: Decoder,
        x: torch.Tensor,
        samples: Sequence[int],
        maps: torch.Tensor,
        options: Any,
        context: Context,
    ) -> torch.Tensor:
        """Return the sum of each map less what it should be.

        Parameters
        ----------
        maps : Tensor, shape (n, classes, *shape)
            From `Explain` with the same arguments.

        Returns
        -------
        Tensor, shape (n, classes), float64
            NaN where nothing is promised.
        """
        ...


def nothing_promised(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], maps: torch.Tensor, options: Any, context: Context
) -> torch.Tensor:
    """Return NaN for each map: `Residual` of a method that promises no sum."""
    return torch.full(maps.shape[:2], torch.nan, dtype=torch.float64)


class Differentiable(Protocol):
    """Gives maps that can be differentiated by the input."""

    def __call__(
        self,
        decoder: Decoder,
        x: torch.Tensor,
        targets: torch.Tensor,
        samples: Sequence[int],
        options: Any,
        context: Context,
    ) -> MapsOf:
        """Return the maps of one class each, as a function of network and inputs.

        What is drawn or searched for is so here, for the samples as they are, and stays.

        Parameters
        ----------
        x : Tensor, shape (n, *shape)
            The samples as they are.
        targets : Tensor of int, shape (n,)
            Number of the class of each that is explained.
        samples : sequence of int
            Sample ids, for methods that draw noise.

        Returns
        -------
        callable
            The decoder's network, or a smooth one in its place, and inputs of the shape of `x` -> maps, shape
            (n, *shape), float64. Of the decoder's network and `x` they are what `Explain` gives for those classes, up
            to rounding. They have a graph where the inputs require a gradient, and none where they do not.
        """
        ...


@dataclass(frozen=True)
class Saliency(Method):
    """A way to explain.

    Attributes
    ----------
    differentiable : callable, optional
        See `Differentiable`.
    curved : bool
        Whether maps of a network of ReLUs bend with the input themselves, so that no smooth network is needed in its
        place. A gradient is constant between the kinks.
    """

    explain: Explain
    residual: Residual = nothing_promised
    differentiable: Differentiable | None = None
    curved: bool = False
