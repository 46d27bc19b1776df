"""The last layer of a network, where it is a linear one: what meets it, and its weights."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from truemap.runtime.files import DataError

#: By how much of the largest logit what a layer gives may miss the logits: rounding of float32.
ROUNDING = 1e-4


@dataclass(frozen=True)
class LastLayer:
    """A network as features and one linear layer on them: logits = W f, with a 1 among f for the bias.

    Attributes
    ----------
    network : nn.Module
    layer : nn.Linear
        Of the network; runs once, last.
    """

    network: nn.Module
    layer: nn.Linear

    @property
    def weights(self) -> torch.Tensor:
        """W, shape (classes, features), float64; its last column is the bias, if the layer has one."""
        parts = [self.layer.weight, *([] if self.layer.bias is None else [self.layer.bias[:, None]])]
        return torch.cat([part.detach().double() for part in parts], dim=1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return what meets the layer, a 1 for the bias last, shape (n, features), float64; with its graph.

        Parameters
        ----------
        x : Tensor, shape (n, *shape)
            Maps; taken in the precision that the layer has.
        """
        met: list[torch.Tensor] = []
        hook = self.layer.register_forward_pre_hook(lambda _layer, inputs: met.append(inputs[0]))
        try:
            self.network(x.to(self.layer.weight.dtype))
        finally:
            hook.remove()
        found = met[-1].double()
        return found if self.layer.bias is None else torch.cat([found, found.new_ones(len(found), 1)], dim=1)


def last_layer(network: nn.Module, x: torch.Tensor, what: str) -> LastLayer:
    """Return a network's last layer; it is found by running a map, so that any way to write a network will do.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode; maps (n, *shape) to logits.
    x : Tensor, shape (n, *shape)
        Maps to run; one is enough.
    what : str
        Who asks, for errors.

    Raises
    ------
    DataError
        If the logits are not what one nn.Linear gives, as it gives them, of one vector a map.
    """
    calls: list[tuple[nn.Linear, torch.Tensor, torch.Tensor]] = []

    def note(layer: nn.Linear, inputs: Any, output: torch.Tensor) -> None:
        calls.append((layer, inputs[0], output))

    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    with ExitStack() as hooks, torch.no_grad():
        for layer in layers:
            hooks.callback(layer.register_forward_hook(note).remove)
        logits = network(x)
        last = [call for call in calls if call[2] is logits]
        if not layers:
            reason = "has no nn.Linear"
        elif not last:
            reason = "does something to the logits after its last nn.Linear, or they are of another layer"
        elif sum(call[0] is last[0][0] for call in calls) > 1:
            reason = "runs its last layer more than once"
        elif last[0][1].ndim != 2 or not _is_linear(*last[0]):
            reason = "has a last layer that is not one matrix and a bias on one vector a map"
        else:
            return LastLayer(network, last[0][0])
    raise DataError(
        f"{what}: asks for a network that ends with one nn.Linear, and this one ({type(network).__name__}) {reason}. "
        f"Leave {what} out for this model, or write the network with an nn.Linear at its end."
    )


def _is_linear(layer: nn.Linear, features: torch.Tensor, output: torch.Tensor) -> bool:
    expected = functional.linear(features, layer.weight, layer.bias)
    return bool((expected - output).abs().max() <= ROUNDING * output.abs().max().clamp_min(1e-30))
