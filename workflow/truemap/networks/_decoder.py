"""A trained decoder: network, classes and temperature, as files and in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from truemap.config.registry import method
from truemap.networks._contract import Network
from truemap.runtime.files import DataError, whole


@dataclass(frozen=True)
class Decoder:
    """A frozen classifier of maps.

    Attributes
    ----------
    network : nn.Module
        Maps ``(n, *shape)`` to logits ``(n, classes)``; in evaluation mode, parameters frozen.
    temperature : float
        Logits are divided by it before the softmax.
    classes : list of str
    kind : str
        Name of the network's module, e.g. ``linear``.
    """

    network: nn.Module
    temperature: float
    classes: list[str]
    kind: str


def build_network(settings: dict[str, Any], shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return a new network; its weights follow torch's global seed."""
    found = method("networks", settings, Network)
    return found.build(shape, classes, found.options)


def save_weights(path: str | Path, network: nn.Module) -> None:
    """Write the weights as safetensors, whole."""
    save_tensors(path, network.state_dict())


def save_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, whole.

    Raises
    ------
    OSError
        If the system does not let it: safetensors has an error of its own for a full disk.
    """
    with whole(path) as temporary:
        try:
            save_file({name: value.contiguous().cpu() for name, value in tensors.items()}, temporary, metadata)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from None


def load_decoder(weights: str | Path, description: dict[str, Any], device: torch.device) -> Decoder:
    """Return the decoder that ``model.json`` (`description`) and its weights describe.

    Raises
    ------
    DataError
        If the weights are damaged, not finite, or another network's.
    """
    network = build_network(description["network"], tuple(description["shape"]), len(description["classes"]))
    try:
        state = load_file(weights)
        network.load_state_dict(state)
        if lost := [name for name, values in state.items() if not values.isfinite().all()]:
            raise ValueError(f"NaN or infinite numbers in {', '.join(lost)}")
    except (SafetensorError, RuntimeError, ValueError, OSError) as error:
        raise DataError(
            f"{weights}: cannot be used as weights of {description['network']['name']} ({error}). Delete the file, it "
            "is then made again."
        ) from None
    network.to(device).eval().requires_grad_(False)
    return Decoder(network, description["temperature"], description["classes"], description["network"]["name"])
