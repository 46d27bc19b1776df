"""How a minibatch passes a network that is trained: in which precision, and how many maps at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from truemap.runtime.files import DataError


class Bf16(nn.Module):
    """A network whose passes, forward and backward, are computed in bfloat16: by PyTorch's autocast.

    Weights are the network's own and stay float32, and so do maps, logits and the gradients of all three, whatever
    their order: the gradient of an operation is taken in the precision of the operation. Losses, noise and penalties
    outside the network are float32 with every training.

    Parameters
    ----------
    network : nn.Module
        Float32.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``(n, classes)`` float32 of maps ``(n, *shape)`` float32."""
        # Tensors without numbers (PyTorch's meta) have no autocast: counted is what float32 takes, which is more.
        if not torch.amp.is_autocast_available(x.device.type):
            return self.network(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.network(x).float()


class MicroBatches(nn.Module):
    """A network that maps of a minibatch pass a few at a time; the same logits and gradients but for rounding.

    No activation is kept for the gradient: each part passes forward once more for it (gradient checkpointing, Chen et
    al. 2016, arXiv:1604.06174), so that memory is that of one part. Kept between the layers of Table 2's network
    instead, activations would still be those of the whole minibatch at the first of them, by far the largest.
    Gradients of any order. What hooks see are parts.

    Parameters
    ----------
    network : nn.Module
        No map's logits depend on another map.
    size : int
        Maps of a part.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits ``(n, classes)`` of maps ``(n, *shape)``."""
        if len(x) <= self.size:
            return self.network(x)
        return torch.cat([checkpoint(self.network, part, use_reentrant=False) for part in x.split(self.size)])


def at_once(training: Mapping[str, Any]) -> int | None:
    """Return how many maps meet the network at a time in a training with these options; None is all of them."""
    return training["micro_batch"] or training["batch_size"]


def computed_in(precision: str, network: nn.Module, micro_batch: int | None = None) -> nn.Module:
    """Return the network as a training has it: behind `Bf16` for ``bf16``, in `MicroBatches` if there is their size.

    Raises
    ------
    DataError
        If maps of a minibatch are to pass in parts, and the network normalises over all of them.
    """
    network = Bf16(network) if precision == "bf16" else network
    if not micro_batch:
        return network
    if found := [type(layer).__name__ for layer in network.modules() if isinstance(layer, _BatchNorm)]:
        raise DataError(
            f"micro_batch: the network normalises over a minibatch ({found[0]}), which in parts is another training. "
            "Leave it out, or lower `batch_size`."
        )
    return MicroBatches(network, micro_batch)
