"""Layers and initialisation that networks share."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

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


#: Products held at a time (float32: 2 MB).
BLOCK = 1 << 19


class _InputConvolution(torch.autograd.Function):
    """A 3D convolution of one channel, stride 1, whose input gradient is a matrix product and shifted sums."""

    @staticmethod
    def forward(
        context: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, padding: tuple[int, int, int]
    ) -> torch.Tensor:
        """Return the convolution of x, shape (n, 1, *shape)."""
        context.save_for_backward(x, weight)
        context.padding = padding
        return functional.conv3d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of x, weight and bias; made of operations that have gradients themselves.

        The gradient of voxel v is the sum over offsets k of w[k] . g[v - k]: one product with all w[k], then each
        of its rows is added where its offset belongs.
        """
        x, weight = context.saved_tensors
        needs_x, *needs, _ = context.needs_input_grad
        back, back_weight, back_bias = None, None, None
        if any(needs):
            _, back_weight, back_bias = torch.ops.aten.convolution_backward(
                gradient, x, weight, weight.shape[:1], [1] * 3, context.padding, [1] * 3, False, [0] * 3, 1,
                [False, *needs],
            )  # fmt: skip
        if needs_x:
            kernel, size = weight.shape[2:], gradient.shape[2:]
            padded = x.new_zeros(len(x), *(a + b - 1 for a, b in zip(size, kernel, strict=True)))
            # A few maps at a time: their products are the largest array here. bmm, since matmul may copy it.
            few = max(1, BLOCK // (weight[0].numel() * size.numel()))
            every = weight.flatten(1).t().expand(few, -1, -1)
            for rows in torch.arange(len(x)).split(few):
                part = slice(rows[0], rows[-1] + 1)
                products = torch.bmm(every[: len(rows)], gradient[part].flatten(2)).view(len(rows), -1, *size)
                for number, at in enumerate(itertools.product(*map(range, kernel))):
                    place = tuple(slice(a, a + b) for a, b in zip(at, size, strict=True))
                    padded[part, *place] += products[:, number]
            inner = (slice(p, p + n) for p, n in zip(context.padding, x.shape[2:], strict=True))
            back = padded[:, *inner][:, None]
        return back, back_weight, back_bias, None


class InputConv3d(nn.Conv3d):
    """The convolution that meets the map: one channel in, stride 1.

    The same numbers as nn.Conv3d. On a CPU its input gradient takes another way, since PyTorch's takes six times as
    long for one channel (benchmarks/explain.py): every saliency map and every attack needs it.
    """

    def __init__(self, filters: int, kernel: int, padding: int) -> None:
        super().__init__(1, filters, kernel, padding=padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return feature maps ``(n, filters, *shape)`` of maps ``(n, 1, *shape)``."""
        if x.device.type != "cpu":
            return super().forward(x)
        return _InputConvolution.apply(x, self.weight, self.bias, self.padding)


def initialise(network: nn.Module, options: NetworkOptions) -> nn.Module:
    """Set the starting weights that ``options.initialisation`` names; return the network."""
    if options.initialisation == "glorot":
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv3d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
    return network
