"""Layers and initialisation that networks share."""

from __future__ import annotations

import torch
from torch import nn

from truemap.options import NetworkOptions


class SamePool3d(nn.Module):
    """Average over windows of 2 at stride 1 that keeps the size (TensorFlow's padding "same").

    Output i is the mean of inputs i and i + 1; the last one, which has no neighbour, is itself.
    Table 2 of McClure et al. 2020 has 7 x 57,768,256 weights in the last layer, and
    57,768,256 = 64 * 91 * 109 * 91: the pools do not shrink.
    """

    def __init__(self, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel = kernel
        padding = tuple(size - 1 for size in kernel)
        self.pool = nn.AvgPool3d(kernel, stride=1, padding=padding, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return pooled maps of the same shape ``(n, channels, *shape)``."""
        a, b, c = (size - 1 for size in self.kernel)
        return self.pool(x)[:, :, a:, b:, c:]


def initialise(network: nn.Module, options: NetworkOptions) -> nn.Module:
    """Set the starting weights that ``options.initialisation`` names; return the network."""
    if options.initialisation == "glorot":
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv3d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
    return network
