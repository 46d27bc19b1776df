"""Layers and initialisation that networks share."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from truemap.config.options import NetworkOptions


class SamePool3d(nn.Module):
    """Average over windows of 2 at stride 1 that keeps the size (TensorFlow's padding "same").

    Output i is the mean of inputs i and i + 1; the last one, which has no neighbour, is itself.
    Table 2 of McClure et al. 2020 has 7 x 57,768,256 weights in the last layer, and
    57,768,256 = 64 * 91 * 109 * 91: the pools do not shrink.
    """

    def __init__(self, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return pooled maps of the same shape ``(n, channels, *shape)``.

        Axis by axis, of operations whose gradients a GPU adds up in the same order every time; those of windows that
        overlap (nn.AvgPool3d) it does not.
        """
        for axis, size in enumerate(self.kernel, 2):
            if size == 2:
                here, last = x.narrow(axis, 0, x.shape[axis] - 1), x.narrow(axis, x.shape[axis] - 1, 1)
                x = torch.cat([(here + x.narrow(axis, 1, x.shape[axis] - 1)) / 2, last], axis)
        return x


class _InputConvolution(torch.autograd.Function):
    """A 3D convolution of one channel that keeps the size; its input gradient is matrix products and shifted sums."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Return the convolution of x, shape (n, 1, *shape)."""
        context.save_for_backward(x, weight)
        return functional.conv3d(x, weight, bias, padding="same")

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of x, weight and bias; made of operations that have gradients themselves.

        The gradient of voxel v is the sum over offsets k of w[k] . g[v - k]: one product with all w[k], whose rows
        are then added where their offsets belong.
        """
        x, weight = context.saved_tensors
        needs_x, *needs = context.needs_input_grad
        back, back_weight, back_bias = None, None, None
        if any(needs):
            padding = [size // 2 for size in weight.shape[2:]]
            _, back_weight, back_bias = torch.ops.aten.convolution_backward(
                gradient, x, weight, weight.shape[:1], [1] * 3, padding, [1] * 3, False, [0] * 3, 1, [False, *needs]
            )
        if needs_x:
            every = weight.flatten(1).t()
            back = torch.empty_like(x)
            # One map at a time: the products are the largest array here.
            for row, g in enumerate(gradient):
                back[row, 0] = _sum_shifted((every @ g.flatten(1)).view(*weight.shape[2:], *g.shape[1:]))
        return back, back_weight, back_bias


def _sum_shifted(products: torch.Tensor) -> torch.Tensor:
    """Return sum_k products[k][v - k], shape ``size``, of products of shape (*kernel, *size); they are overwritten.

    Offsets k are counted from the kernel's middle. Axis by axis: for a kernel of 27 offsets that makes 6 additions, of
    ever smaller arrays.
    """
    for axis in (2, 1, 0):
        count, along = products.shape[axis], 2 * axis  # axes of the kernel that are left come first
        total = products.select(axis, count // 2)
        size = total.shape[along]
        for offset in range(-(count // 2), count // 2 + 1):
            rest = size - abs(offset)
            if offset and rest > 0:
                part = products.select(axis, count // 2 + offset).narrow(along, max(-offset, 0), rest)
                total.narrow(along, max(offset, 0), rest).add_(part)
        products = total
    return products


class InputConv3d(nn.Conv3d):
    """The convolution that meets the map: one channel in, an odd kernel, output of the input's size.

    The same numbers as nn.Conv3d. On a CPU its input gradient takes another way, since PyTorch's takes many times as
    long for one channel (benchmarks/explain.py): every saliency map and every attack needs it. Autocast knows
    PyTorch's alone.
    """

    def __init__(self, filters: int, kernel: int) -> None:
        super().__init__(1, filters, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return feature maps ``(n, filters, *shape)`` of maps ``(n, 1, *shape)``."""
        if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        return _InputConvolution.apply(x, self.weight, self.bias)


def initialise(network: nn.Module, options: NetworkOptions) -> nn.Module:
    """Set the starting weights that ``options.initialisation`` names; return the network."""
    if options.initialisation == "glorot":
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv3d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
    return network
