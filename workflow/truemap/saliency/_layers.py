"""Networks whose every layer is known, for methods with rules of their own for layers."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from truemap.networks._decoder import Decoder
from truemap.networks._layers import SamePool3d

#: Layers that are linear in their input, but for a bias.
LINEAR = (nn.Linear, nn.Conv3d, nn.AvgPool3d, SamePool3d)
#: Layers that give the same numbers another shape.
RESHAPING = (nn.Flatten, nn.Unflatten)


def sequence(network: nn.Module, method: str) -> list[nn.Module]:
    """Return the layers in the order of computation, sequences within sequences unfolded.

    Raises
    ------
    ValueError
        If the network is not a sequence of known layers. A module with a ``forward`` of its own may call
        functions (``F.relu``) that no rule would reach: a method would then give another one's map.
    """
    return list(_unfolded(network, method))


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


def linear_layer(decoder: Decoder, method: str) -> nn.Linear:
    """Return the one layer of a linear network.

    Raises
    ------
    ValueError
        If the network is not linear.
    """
    layers = [layer for layer in decoder.network.modules() if isinstance(layer, nn.Linear)]
    if decoder.kind != "linear" or len(layers) != 1:
        raise ValueError(f"{method}: explains a linear network only, not {decoder.kind}")
    return layers[0]
