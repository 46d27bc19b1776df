"""A trained decoder: network, classes and temperature, as files and in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from truemap.config.registry import method
from truemap.data.formats import foreign
from truemap.data.regions import Regions
from truemap.networks._adapter import Adapter
from truemap.networks._contract import Network
from truemap.runtime.files import DataError, whole

Means = Mapping[str, np.ndarray]


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
    traits : frozenset of str, optional
        What methods may rely on (`truemap.networks._look.Looked`); None where nobody looked.
    others : sequence of str
        Activations beside nn.ReLU, by name.
    """

    network: nn.Module
    temperature: float
    classes: list[str]
    kind: str
    traits: frozenset[str] | None = None
    others: Sequence[str] = ()


def build_network(settings: dict[str, Any], shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return a new network; its weights follow torch's global seed."""
    found = method("networks", settings, Network)
    return found.build(shape, classes, found.options)


def untrained(description: dict[str, Any], seed: int, device: torch.device) -> nn.Module:
    """Return the network that ``model.json`` describes as it is built with a seed, before anything trains it."""
    adapter, shape = _adapted(description)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(description["network"], shape, len(description["classes"]))
    return _behind(adapter, network, device)


def _adapted(description: dict[str, Any]) -> tuple[Adapter | None, tuple[int, ...]]:
    """Return what stands before the network, and the shape that it is built for: a map as it takes it, no channels."""
    adapter = Adapter(**description["adapter"]) if description.get("adapter") else None
    return adapter, tuple(description["shape"] if adapter is None else adapter.turned(description["shape"]))


def _behind(adapter: Adapter | None, network: nn.Module, device: torch.device) -> nn.Module:
    """Return the frozen network on a device, behind its adapter if it has one."""
    network = network if adapter is None else nn.Sequential(adapter, network)
    return network.to(device).eval().requires_grad_(False)


def planted_network(settings: dict[str, Any], shape: tuple[int, ...], regions: Regions, means: Means) -> nn.Module:
    """Return a network whose weights are in closed form (`truemap.networks._contract.Plant`).

    Parameters
    ----------
    means : mapping
        Class, in the order of the logits -> mean of its training maps, shape (voxels,).

    Raises
    ------
    DataError
        If the network has no closed form.
    """
    found = method("networks", settings, Network)
    if found.plant is None:
        raise DataError(f"network {found.name}: it says that its weights are planted, and has no `plant`. Write it.")
    network = found.build(shape, len(means), found.options)
    found.plant(network, regions, means, list(means), found.options)
    return network


def save_weights(path: str | Path, network: nn.Module) -> None:
    """Write the weights as safetensors, whole; those of the network itself, where an adapter stands before it."""
    if isinstance(network, nn.Sequential) and isinstance(network[0], Adapter):
        network = network[1]
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
            # Copies, as what a network has tied together cannot be stored as it is.
            copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
            save_file(copies, temporary, metadata)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from None


def load_decoder(weights: str | Path, description: dict[str, Any], device: torch.device) -> Decoder:
    """Return the decoder that ``model.json`` (`description`) and its weights describe.

    Raises
    ------
    DataError
        If the weights are damaged, not finite, or another network's.
    """
    return read_decoder(weights, description, device, "Delete the file, it is then made again.")


def read_decoder(weights: str | Path, description: dict[str, Any], device: torch.device, remedy: str) -> Decoder:
    """Return what `load_decoder` does; the error of weights that cannot be used ends with a remedy."""
    _, shape = _adapted(description)
    name = description["network"]["name"]
    network = build_network(description["network"], shape, len(description["classes"]))
    try:
        state = load_file(weights)
        network.load_state_dict(state)
        _check_loaded(state, network.state_dict())
    except (SafetensorError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, SafetensorError) and (what := _foreign(weights)):
            raise DataError(f"{weights}: no safetensors file but {what}") from None
        raise DataError(f"{weights}: cannot be used as weights of {name} ({error}). {remedy}") from None
    return decoder_of(network, description, device)


def _check_loaded(state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError where a network, of whose tensors `own` are, has not the numbers that it was to load."""
    if lost := [key for key, values in state.items() if values.is_floating_point() != own[key].is_floating_point()]:
        raise ValueError(f"whole or complex numbers where it has real ones, or the other way round: {', '.join(lost)}")
    if lost := [key for key, values in state.items() if not values.isfinite().all()]:
        raise ValueError(f"NaN or infinite numbers in {', '.join(lost)}")
    if lost := [key for key, values in state.items() if not torch.equal(own[key].cpu(), values.to(own[key].dtype))]:
        raise ValueError(f"other numbers than those of what the network has tied together: {', '.join(lost)}")


def _foreign(weights: str | Path) -> str | None:
    """Return what a file is that is no safetensors file, and what to do, in words; None if it is not known."""
    with Path(weights).open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK\x03\x04"):
        return "one of PyTorch or NumPy by another name. Convert it (python -m truemap.convert)."
    return foreign(start)


def decoder_of(network: nn.Module, description: dict[str, Any], device: torch.device) -> Decoder:
    """Return the decoder that ``model.json`` (`description`) describes, of a network with its weights."""
    network = _behind(_adapted(description)[0], network, device)
    traits = frozenset(description["traits"]) if "traits" in description else None
    others = description.get("activations", ())
    name = description["network"]["name"]
    return Decoder(network, description["temperature"], description["classes"], name, traits, others)
