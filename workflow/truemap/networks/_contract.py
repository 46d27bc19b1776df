"""What a module of this family must define: ``Options`` and ``build``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from truemap.config.registry import Method


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


@dataclass(frozen=True)
class Network(Method):
    """A kind of network."""

    build: Build
