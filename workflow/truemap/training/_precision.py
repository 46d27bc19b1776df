"""In which precision a network's passes are computed while it is trained."""

from __future__ import annotations

import torch
from torch import nn


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


def computed_in(precision: str, network: nn.Module) -> nn.Module:
    """Return the network as a training has it: itself for ``float32``, behind `Bf16` for ``bf16``."""
    return Bf16(network) if precision == "bf16" else network
