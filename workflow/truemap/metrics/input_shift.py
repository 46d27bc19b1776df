"""Whether maps move with a constant that is added to all inputs and taken off again (Kindermans et al. 2019)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from truemap.config.options import MethodOptions, Positive
from truemap.metrics._contract import Measure, Senseless
from truemap.metrics._explained import Explained
from truemap.metrics._layers import layers
from truemap.metrics._maps import change
from truemap.networks._batches import Batches

#: By how much logits may differ, as a share of their size: rounding of float32.
ROUNDING = 1e-3
#: Layers whose bias can take the shift off.
CONVOLUTIONS = nn.Conv1d | nn.Conv2d | nn.Conv3d
measures = (
    Measure("input_shift", "lower", "Kindermans et al. 2019; Nielsen et al. 2022, section 4.2", "the map is zero"),
)


class Options(MethodOptions):
    """The shift; `input_shift` is the relative change of the map (lower is better)."""

    shift: Positive = Field(1.0, description="what is added to every voxel, in units of the maps (z-scores)")


@dataclass(frozen=True)
class Shifted:
    """Training maps with a constant added."""

    maps: Batches
    shift: float

    def __len__(self) -> int:
        return len(self.maps)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.maps, name)

    def get(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps and class numbers, as `Batches.get`."""
        x, labels = self.maps.get(rows)
        return x + self.shift, labels


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return the relative change of a map where input, training maps and the first layer's bias are shifted.

    .. math:: \\frac{\\lVert m'(x + s) - m(x) \\rVert}{\\lVert m(x) \\rVert}, \\quad f'(x + s) = f(x)

    f' has the bias :math:`b - s \\sum_v w_v` in its first layer, which for a convolution also takes the voxels beyond
    the edge for s where it took them for 0. Logits and gradients are then equal, and so is all that the network does
    for any input. A baseline of 0 is not shifted, as nothing tells the way to explain; that of training maps is.

    Raises
    ------
    Senseless
        If the first layer is neither linear nor a convolution that the map itself meets.
    """
    network = compensated(explained.decoder.network, explained.x[:1], options.shift)
    with torch.no_grad():
        before, after = explained.decoder.network(explained.x), network(explained.x + options.shift)
    if (after - before).abs().max() > ROUNDING * before.abs().max():
        raise Senseless("no bias of the network's first layer takes a constant off the input")
    known = explained.context
    shifted = {"mean": known.mean + options.shift, "low": known.low + options.shift, "high": known.high + options.shift}
    context = replace(known, training=Shifted(known.training, options.shift), **shifted)
    decoder = replace(explained.decoder, network=network)
    moved = explained.explain(explained.x + options.shift, decoder=decoder, context=context)
    return {"input_shift": change(moved, explained.own)}


class PaddedWith(nn.Module):
    """A convolution that takes the voxels beyond the edge for `padding_value`; a mixin before its class."""

    padding_value: float

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return feature maps of ``x``."""
        x = functional.pad(x, self._reversed_padding_repeated_twice, value=self.padding_value)
        convolve = getattr(functional, f"conv{x.ndim - 2}d")
        return convolve(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def compensated(network: nn.Module, x: torch.Tensor, shift: float) -> nn.Module:
    """Return a copy of the network whose first layer takes `shift` off every voxel.

    Raises
    ------
    Senseless
        If it is no linear layer or convolution.
    """
    network = copy.deepcopy(network)
    layer = network.get_submodule(next(iter(layers(network, x)), ""))
    if not isinstance(layer, nn.Linear | CONVOLUTIONS):
        raise Senseless("the network's first layer is no linear layer or convolution")
    sums = layer.weight.detach().double().flatten(1).sum(dim=1)
    bias = sums.new_zeros(len(sums)) if layer.bias is None else layer.bias.detach().double()
    layer.bias = nn.Parameter((bias - shift * sums).to(layer.weight), requires_grad=False)
    if isinstance(layer, CONVOLUTIONS) and layer.padding_mode == "zeros":
        layer.__class__ = type(type(layer).__name__, (PaddedWith, type(layer)), {"padding_value": shift})
    return network
