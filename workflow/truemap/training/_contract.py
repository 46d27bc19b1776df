"""What a module of this family must define: ``Options`` and ``update``; it may define ``prepare``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from truemap.config.registry import Method
from truemap.networks._batches import Batches


class Update(Protocol):
    """Trains on one minibatch."""

    def __call__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        x: torch.Tensor,
        y: torch.Tensor,
        options: Any,
        random: torch.Generator,
    ) -> float:
        """Update the weights; return the loss before that (of several updates the mean).

        Parameters
        ----------
        network : nn.Module
            Maps (n, *shape) to logits (n, classes), float32 both; behind `truemap.training._passes.Bf16` and
            `truemap.training._passes.MicroBatches` where the options ask for it: hooks then see parts of a minibatch.
        x : Tensor, shape (n, *shape), float32
        y : Tensor of int, shape (n,)
            True classes.
        options : Options
            Of the module.
        random : torch.Generator
            On the CPU; for methods that draw.
        """
        ...


class Prepare(Protocol):
    """Looks at the training data once, before the first epoch and before a checkpoint is restored."""

    def __call__(self, network: nn.Module, options: Any, training: Batches, seed: int) -> Any:
        """Return the options to train with.

        Parameters
        ----------
        network : nn.Module
            As it is before the training.
        """
        ...


def as_they_are(network: nn.Module, options: Any, training: Batches, seed: int) -> Any:
    """Return the options: `Prepare` of a method that needs none."""
    return options


@dataclass(frozen=True)
class Training(Method):
    """A way to train."""

    update: Update
    prepare: Prepare = as_they_are
