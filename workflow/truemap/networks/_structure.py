"""Layers of a network: sequences of known ones, ReLUs, and ReLUs that are replaced for a while."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from truemap.networks._adapter import Adapter
from truemap.networks._decoder import Decoder
from truemap.networks._layers import SamePool3d
from truemap.runtime.files import DataError

#: Layers that are linear in their input, but for a bias.
LINEAR = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, SamePool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
#: Layers that give the same numbers another shape or place, or more than once.
RESHAPING = (nn.Flatten, nn.Unflatten, nn.Identity, Adapter)


def sequence(network: nn.Module, method: str) -> list[nn.Module]:
    """Return the layers in the order of computation, sequences within sequences unfolded.

    Raises
    ------
    ValueError
        If the network is not a sequence of known layers. A module with a ``forward`` of its own may call
        functions (``F.relu``) that no rule would reach: a method would then give another one's map.
    """
    return list(_unfolded(network, method))


#: What a network has or has not, by the names of traits, in words.
WORDS = {
    "relu": "nn.ReLU layers",
    "relu only": "no activation but nn.ReLU layers",
    "affine but for relu": "nothing that bends but nn.ReLU layers (no pools of largest values, no norm of a map)",
    "sequence": "an nn.Sequential of known layers and nothing else",
    "linear": "one linear layer and nothing else",
    "convolution": "convolutions",
}


def require(decoder: Decoder, needs: Collection[str], method: str) -> None:
    """Refuse a method that would silently be wrong, or cannot work, for this network.

    Parameters
    ----------
    needs : collection of str
        Of the method's options.
    method : str
        What the config calls it.

    Raises
    ------
    DataError
        In words, with the activations that were found.
    """
    lacking = [] if decoder.traits is None else sorted(set(needs) - decoder.traits)
    if lacking:
        layer = "{}, counted from the input, that runs once and in that place"
        words = "; ".join(WORDS.get(trait, layer.format(trait)) for trait in lacking)
        others = f" It calls: {', '.join(decoder.others)}." if decoder.others else ""
        raise DataError(
            f"{method}: cannot explain network '{decoder.kind}' rightly. It needs {words}.{others} Leave the method "
            "out, or write the network with one nn.ReLU layer for each activation."
        )


def known(decoder: Decoder, method: str) -> None:
    """Refuse a decoder whose network nobody looked at (`truemap.networks._look`), unless its every layer is known.

    Raises
    ------
    ValueError
        If it is not a sequence of known layers.
    """
    if decoder.traits is None:
        sequence(decoder.network, method)


def _unfolded(network: nn.Module, method: str) -> Iterator[nn.Module]:
    if type(network) is nn.Sequential:
        for layer in network:
            yield from _unfolded(layer, method)
    elif isinstance(network, (*LINEAR, *RESHAPING, nn.ReLU)):
        yield network
    else:
        known = ", ".join(layer.__name__ for layer in (*LINEAR, nn.ReLU, *RESHAPING))
        raise ValueError(
            f"{method} has no rule for {type(network).__name__}; it needs an nn.Sequential of these: {known}"
        )


def only_linear(network: nn.Module) -> nn.Linear | None:
    """Return the one layer of a linear network; None for another network."""
    try:
        layers = [layer for layer in sequence(network, "") if not isinstance(layer, RESHAPING)]
    except ValueError:
        return None
    return layers[0] if len(layers) == 1 and isinstance(layers[0], nn.Linear) else None


def linear_layer(decoder: Decoder, method: str) -> nn.Linear:
    """Return the one layer of a linear network.

    Raises
    ------
    ValueError
        If the network is not linear.
    """
    layer = only_linear(decoder.network)
    if layer is None or decoder.kind == "correlation":
        raise ValueError(f"{method}: explains a linear network only, not {decoder.kind}")
    return layer


def adapter_of(network: nn.Module) -> Adapter | None:
    """Return what stands between maps and the network, if anything does."""
    return next((layer for layer in network.modules() if isinstance(layer, Adapter)), None)


def voxel_weights(layer: nn.Linear, adapter: Adapter | None, shape: Sequence[int]) -> torch.Tensor:
    """Return the weights of a linear network for each voxel of a map, shape (classes, *shape), float64."""
    weight = layer.weight.detach().double()
    if adapter is None:
        return weight.view(-1, *shape)
    # What a network takes in several channels is one map: its weights add up.
    return adapter.back(weight.view(len(weight), -1, math.prod(shape)).sum(dim=1), shape)


def relu_layers(network: nn.Module) -> list[nn.ReLU]:
    """Return the network's ReLU layers in the order in which they were registered; there may be none."""
    return [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]


def relus(network: nn.Module, method: str) -> list[nn.ReLU]:
    """Return the network's ReLU layers, as `relu_layers`.

    Raises
    ------
    ValueError
        If there is none; the message names the method that needs them.
    """
    layers = relu_layers(network)
    if not layers:
        raise ValueError(f"{method} needs a network with nn.ReLU layers; this one has none")
    return layers


@contextmanager
def replaced(layers: list[nn.ReLU], function: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Let `function` of its input be the output of each of the layers, until the context ends.

    The layers themselves do not run: in place, one would overwrite the input before `function` sees it.
    """
    for layer in layers:
        layer.forward = function
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
