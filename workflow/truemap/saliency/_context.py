"""What a method may use beyond the network and the maps it explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from truemap.data.background import Background
from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches


@dataclass(frozen=True)
class Context:
    """Seed and training data.

    Attributes
    ----------
    seed : int
        Of all noise, together with a sample's id: see `truemap.numerics.derive_seed`.
    training : Batches
        The training maps; read only where a method asks for them.
    mean : Tensor, shape ``shape``
        Mean of all training maps.
    low, high : float
        Smallest and largest value of a training map.
    """

    seed: int
    training: Batches
    mean: torch.Tensor
    low: float
    high: float

    @classmethod
    def of(
        cls, seed: int, training: Volumes, classes: Sequence[str], background: Background, device: torch.device
    ) -> Context:
        """Return the context of training maps and of what is known of them."""
        batches = Batches(training, classes, device, resident=False)
        mean = torch.from_numpy(background.mean).float().view(training.shape).to(device)
        return cls(seed, batches, mean, background.low, background.high)
