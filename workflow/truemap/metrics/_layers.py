"""Which layers of a network have weights, in the order in which they run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList


def layers(network: nn.Module, x: torch.Tensor) -> dict[str, list[str]]:
    """Return each layer with weights, by its name, in the order in which they first run: names of its tensors.

    A layer whose weight is computed from other tensors (torch's parametrizations) has those too.

    Parameters
    ----------
    x : Tensor, shape (1, *shape)
        A map to run.
    """
    order: dict[nn.Module, None] = {}
    within = {part for lot in network.modules() if isinstance(lot, ParametrizationList) for part in lot.modules()}

    def enter(module: nn.Module, _inputs: Any) -> None:
        order.setdefault(module)

    with ExitStack() as hooks, torch.no_grad():
        for module in set(network.modules()) - within:
            hooks.callback(module.register_forward_pre_hook(enter).remove)
        network(x)
    names, weights = {module: name for name, module in network.named_modules()}, dict(network.named_parameters())
    found = {names[module]: _own(module, names[module]) for module in order}
    return {name: keys for name, keys in found.items() if any(key in weights for key in keys)}


def _own(module: nn.Module, name: str) -> list[str]:
    """Return the names of a module's tensors in the network, those of modules in it left out."""
    keys = [key for key in module.state_dict() if "." not in key or key.startswith("parametrizations.")]
    return [f"{name}.{key}" if name else key for key in keys]
