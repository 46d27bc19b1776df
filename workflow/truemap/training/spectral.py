"""A penalty on the operator norms of the layers (Ghorbani et al. 2019, appendix H; Yoshida and Miyato 2017)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional
from torch.nn.grad import conv3d_input

from truemap.config.options import Count, Grid, Positive, TrainingOptions
from truemap.geometry import direction, unit_vectors
from truemap.runtime.files import DataError
from truemap.training._objective import loss

#: A layer and the shape of one of its inputs, without the axis of maps.
Applied = tuple[nn.Linear | nn.Conv3d, tuple[int, ...]]


class Options(TrainingOptions):
    """Cross-entropy plus a bound on how fast the network's gradient, its saliency map, may change with the map."""

    strength: Grid[Positive] = Field(
        0.001,
        description="weight of the penalty; Ghorbani et al. train no such network. The product is 7 for a new mlp "
        "and about 200 for a new cnn3d, and grows by orders of magnitude where nothing holds it",
    )
    penalty: Literal["product", "sum"] = Field(
        "product",
        description="product: the product over layers of the squared operator norms (eq. 9 of Ghorbani et al.); "
        "sum: half of their sum (Yoshida and Miyato 2017)",
    )
    iterations: Count = Field(
        10,
        description="power iterations a layer and minibatch, from a random vector each time; what they find is never "
        "more than the norm, and 10 find 95 to 99 % of it in new networks",
    )

    def needs(self) -> set[str]:
        """Layers whose norms multiply."""
        return {"sequence"}


def applied(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, list[Applied]]:
    """Return the logits, and each layer with weights as it was applied, first to last; once, if part by part.

    Raises
    ------
    DataError
        If the network has no linear layer and no convolution.
    """
    found: dict[nn.Linear | nn.Conv3d, tuple[int, ...]] = {}

    def note(layer: nn.Linear | nn.Conv3d, inputs: tuple[torch.Tensor, ...]) -> None:
        found[layer] = tuple(inputs[0].shape[1:])

    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv3d)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        logits = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise DataError(
            "spectral: the network has no linear layer and no convolution whose norm could be penalised. Choose "
            "another network or another training."
        )
    return logits, list(found.items())


def squared_norm(
    layer: nn.Linear | nn.Conv3d, shape: tuple[int, ...], iterations: int, random: torch.Generator
) -> torch.Tensor:
    """Return the squared operator norm of a layer's linear map (its bias left out), with its graph.

    v <- W'W v / ||W'W v||, and then ||W v||^2 with v held fixed, whose gradient 2 (W v) v' is that of the squared
    norm once v has converged. W of a convolution is the map from all of its input, padded with zeros, to all
    of its output; the norm of the kernel reshaped to a matrix is another number, as a rule a smaller one.

    Parameters
    ----------
    shape : tuple of int
        Of one input of the layer.
    random : torch.Generator
        For the first v. None is kept from one minibatch to the next, so that a resumed training needs none.
    """
    v = unit_vectors(layer.weight.new_empty((1, *shape)), random)
    with torch.no_grad():
        for _ in range(iterations):
            v = direction(_transposed(layer, _linear(layer, v), v.shape))
    return _linear(layer, v).square().sum()


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Update the weights for one minibatch; return the loss, penalty included.

    L = CE + strength * prod_i ||W_i||^2, ||W|| the largest singular value (eq. 9 of Ghorbani et al. 2019,
    where the product, times a constant, bounds the Lipschitz constant of the gradient of a network of smooth
    activations), or L = CE + strength/2 * sum_i ||W_i||^2 (Yoshida and Miyato 2017).

    Left out are the factors that no weight changes: the Lipschitz constants of the activations' derivatives
    (there is none for ReLU, whose derivative jumps) and the norms of the average pools, at most 1 for those
    that shrink the map and 2/sqrt(3) an axis for those at stride 1, whose last voxel counts one and a half times.
    """
    optimizer.zero_grad()
    logits, layers = applied(network, x)
    squares = [squared_norm(layer, shape, options.iterations, random) for layer, shape in layers]
    penalty = math.prod(squares) if options.penalty == "product" else 0.5 * sum(squares)
    value = loss(network, logits, y, options.l2) + options.strength * penalty
    value.backward()
    optimizer.step()
    return value.item()


def _linear(layer: nn.Linear | nn.Conv3d, v: torch.Tensor) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return functional.linear(v, layer.weight)
    return functional.conv3d(v, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)


def _transposed(layer: nn.Linear | nn.Conv3d, u: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return u @ layer.weight
    return conv3d_input(shape, layer.weight, u, layer.stride, layer.padding, layer.dilation, layer.groups)
