"""The state of a training after an epoch, so that a killed one ends with the bits of an unbroken one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from truemap.networks._decoder import save_tensors
from truemap.runtime.made import contents


def checkpoint_key(params: Iterable[Any], files: Iterable[str | Path]) -> str:
    """Return a key of all that a training depends on: its params (settings and code) and its input files.

    Params count where they are text: lines of settings and ``module@hash`` (see `truemap.plan.plan.Plan`). Files
    count by name and content.
    """
    texts = [param for param in params if isinstance(param, str)]
    return hashlib.sha256(json.dumps([texts, list(contents(files).items())]).encode()).hexdigest()


class Checkpoint:
    """One file that holds the state of one training; never read under another key.

    Parameters
    ----------
    path : path
        Not a declared output of the rule: Snakemake deletes those of a job that fails.
    key : str
        Of `checkpoint_key`.
    """

    def __init__(self, path: str | Path, key: str) -> None:
        self.path, self.key = Path(path), key

    def save(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, random: torch.Generator, history: list[dict]
    ) -> None:
        """Write weights, optimiser, the states of all random generators, and the history, whole."""
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        tensors |= {"random": random.get_state(), "torch": torch.get_rng_state()}
        if torch.cuda.is_available():
            tensors["cuda"] = torch.cuda.get_rng_state()
        save_tensors(self.path, tensors, {"key": self.key, "history": json.dumps(history)})

    def restore(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, random: torch.Generator
    ) -> list[dict[str, float]]:
        """Put the saved state in place and return the history; do nothing and return [] where there is none."""
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("key") != self.key:
                    return []
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (FileNotFoundError, SafetensorError):
            return []
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, part = name.split(".")
                state.setdefault(int(number), {})[part] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        random.set_state(tensors["random"])
        torch.set_rng_state(tensors["torch"])
        if "cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["cuda"])
        return json.loads(metadata["history"])

    def remove(self) -> None:
        """Delete the file; a finished training needs it no more."""
        self.path.unlink(missing_ok=True)
