"""What a module of this family must define: ``Options`` and ``build``; it may define ``plant``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import nn

from truemap.config.registry import Method
from truemap.data.regions import Regions


class Build(Protocol):
    """Makes a new network."""

    def __call__(self, shape: tuple[int, ...], classes: int, options: Any) -> nn.Module:
        """Return a network of maps ``(n, *shape)`` to logits ``(n, classes)``; its weights follow torch's global seed.

        Parameters
        ----------
        shape : tuple of int
            Of one map; an axis may be one voxel thick.
        options : Options
            Of the module. Its ``traits`` say what other methods may need of the network.

        Raises
        ------
        ValueError
            If it cannot have maps of this shape.
        """
        ...


class Plant(Protocol):
    """Sets weights in closed form; a network that has this is not trained, and its traits say ``planted``."""

    def __call__(
        self,
        network: nn.Module,
        regions: Regions,
        means: Mapping[str, np.ndarray],
        classes: Sequence[str],
        options: Any,
    ) -> None:
        """Set the weights of what `Build` gave.

        Parameters
        ----------
        regions : Regions
            Of the dataset.
        means : mapping
            Class -> mean of its training maps, shape (voxels,).
        classes : sequence of str
            In the order of the logits.
        """
        ...


@dataclass(frozen=True)
class Network(Method):
    """A kind of network.

    Attributes
    ----------
    plant : callable or None
        None where it is trained.
    """

    build: Build
    plant: Plant | None = None
