"""Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import interpolate

from truemap.config.options import Count
from truemap.networks._adapter import Adapter
from truemap.networks._decoder import Decoder
from truemap.networks._structure import adapter_of, relus
from truemap.runtime.files import DataError
from truemap.saliency._context import Context
from truemap.saliency._jacobian import coefficients
from truemap.saliency._outputs import Output, OutputOptions
from truemap.saliency._scaled import Scaled

#: Linear interpolation by the number of axes.
MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Options(OutputOptions):
    """Output (the paper takes the logit), layer and sign; networks with convolutions only."""

    layer: Count | None = Field(
        None,
        description="which ReLU's feature maps, counted from 1 at the input; null is the last one with more than "
        "one voxel on every axis on which the input has more than one",
    )
    relu: bool = Field(True, description="true: negative voxels are set to 0, as in the paper; false: signed maps")

    def needs(self) -> set[str]:
        """Feature maps in space, and that the last activation is a ReLU where no layer is named."""
        return {"convolution", "relu", f"relu {self.layer}" if self.layer else "relu only"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return each class's weighted sum of feature maps, enlarged to the map's shape.

    .. math:: M_c = \\mathrm{ReLU}\\Big(\\sum_k \\alpha^c_k A^k\\Big), \\quad
              \\alpha^c_k = \\frac{1}{Z} \\sum_v \\frac{\\partial f_c}{\\partial A^k_v}

    where A are the Z voxels of the feature maps after a ReLU. Linear interpolation along each axis, corners not
    aligned. Backward passes end at the feature maps.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples, context
        Not used: nothing is drawn.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64

    Raises
    ------
    DataError
        If the network has no convolution, or no such layer.
    """
    logits, features = _forward(decoder.network, x, options.layer)
    weights, log = _weights(logits, features, options.output, decoder.temperature)
    maps = torch.einsum("nck,nk...->nc...", weights, features.detach().double())
    if options.relu:
        maps = maps.clamp(min=0)
    return Scaled(_enlarged(maps, x.shape[1:], adapter_of(decoder.network)), log).numbers()


def _enlarged(maps: torch.Tensor, shape: Sequence[int], adapter: Adapter | None) -> torch.Tensor:
    """Return maps over the network's axes, (n, classes, *size), as large as the dataset's, (n, classes, *shape)."""
    turned = shape if adapter is None else adapter.turned(shape)
    # A network of two dimensions has no thin axis.
    size = turned if len(turned) == maps.ndim - 2 else [voxels for voxels in turned if voxels > 1]
    large = interpolate(maps, tuple(size), mode=MODES[len(size)]).reshape(*maps.shape[:2], *turned)
    return large if adapter is None else adapter.back(large.flatten(0, 1), shape).reshape(*maps.shape[:2], *shape)


def _forward(network: nn.Module, x: torch.Tensor, layer: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits, and the feature maps with which their graph starts, shape (n, features, *size)."""
    layers = _candidates(network, layer)
    adapter = adapter_of(network)
    thick = [size > 1 for size in (x.shape[1:] if adapter is None else adapter.turned(x.shape[1:]))]
    last: list[torch.Tensor] = []

    def keep(_layer: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        if output.ndim < 3 or (layer is None and not _wider_than_one(output, thick)):
            return None
        last[:] = [output.detach().requires_grad_(True)]
        return last[0].clone()  # a layer after it may work in place

    with ExitStack() as hooks, torch.enable_grad():
        for one in layers:
            hooks.callback(one.register_forward_hook(keep).remove)
        logits = network(x.detach())
    if not last:
        if layer is None:
            raise DataError("grad_cam: no ReLU of this network gives feature maps of more than one voxel an axis")
        raise DataError(f"grad_cam: ReLU {layer} of this network gives no feature maps; it follows a linear layer")
    return logits, last[0]


def _wider_than_one(features: torch.Tensor, thick: list[bool]) -> bool:
    counted = thick if len(thick) == features.ndim - 2 else [True] * (features.ndim - 2)
    return all(size > 1 for size, counts in zip(features.shape[2:], counted, strict=True) if counts)


def _candidates(network: nn.Module, layer: int | None) -> list[nn.ReLU]:
    if not any(isinstance(one, nn.Conv1d | nn.Conv2d | nn.Conv3d) for one in network.modules()):
        raise DataError("grad_cam needs a network with convolutions (nn.Conv3d, nn.Conv2d); this one has none")
    layers = relus(network, "grad_cam")
    if layer is None:
        return layers
    if layer > len(layers):
        raise DataError(f"grad_cam: layer is {layer}, but this network has {len(layers)} ReLU layers")
    return [layers[layer - 1]]


def _weights(
    logits: torch.Tensor, features: torch.Tensor, output: Output, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each class's gradient averaged over each feature map, (n, classes, features), and the log of its scale."""
    terms = logits if output == "logit" else (logits - logits[:, -1:])[:, :-1]
    weights = features.new_zeros(*logits.shape, features.shape[1], dtype=torch.float64)
    for c in range(terms.shape[1]):
        (gradient,) = torch.autograd.grad(terms[:, c].sum(), features, retain_graph=c < terms.shape[1] - 1)
        weights[:, c] = gradient.flatten(2).double().mean(dim=2)
    if output == "logit":
        return weights, torch.zeros_like(weights[:, :, 0])
    mix, log = coefficients(logits.detach().double(), temperature)
    return mix @ weights, log
