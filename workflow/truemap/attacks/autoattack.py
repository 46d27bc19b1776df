"""AutoAttack (Croce & Hein 2020), L2, through the package pyautoattack."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import Count, MethodOptions
from truemap.geometry import lengths, within
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError

#: Room on either side of the maps' values, as a share of the bound: FAB searches beyond the bound.
ROOM = 2.0
#: By how much of its bound rounding may lengthen the noise.
ROUNDING = 1e-3


class Options(MethodOptions):
    """The white-box attacks of the standard version: APGD-CE, APGD-T, FAB-T, 100 steps each."""

    restarts: Count = Field(1, description="starts of APGD-CE and APGD-DLR; 1 in the paper's standard version")
    targets: Count = Field(
        9, description="wrong classes that APGD-T and FAB-T aim at, the likeliest first; at most all there are"
    )


class UnitCube(nn.Module):
    """A network on flat maps that are moved and scaled into [0, 1], where the package keeps them.

    net'(z) = net(z (hi - lo) + lo). Without it the package clamps z-scores to [0, 1].

    Parameters
    ----------
    network : nn.Module
    like : Tensor, shape (n, *shape)
        The maps.
    room : float
        Distance of lo and hi from the maps' smallest and largest value.
    """

    def __init__(self, network: nn.Module, like: torch.Tensor, room: float) -> None:
        super().__init__()
        self.network = network
        self.shape, self.dtype = like.shape[1:], like.dtype
        self.low = like.min().item() - room
        self.width = like.max().item() + room - self.low

    def into(self, x: torch.Tensor) -> torch.Tensor:
        """Return z = (x - lo) / (hi - lo), shape (n, voxels), float32 as the package has it."""
        return ((x.flatten(1).double() - self.low) / self.width).float()

    def back(self, z: torch.Tensor) -> torch.Tensor:
        """Return x = z (hi - lo) + lo, shape (n, *shape)."""
        return (z.double() * self.width + self.low).to(self.dtype).unflatten(1, self.shape)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes); of two classes three, the third one below the lower.

        The DLR loss needs three. With the third it is -m / (m + 1), m = z_true - z_other: it falls as m rises
        and keeps its gradient where p rounds to 1, which the cross-entropy does not.
        """
        logits = self.network(self.back(z))
        if logits.shape[1] == 2:
            logits = torch.cat([logits, logits.amin(1, keepdim=True) - 1], dim=1)
        return logits


def perturb(
    decoder: Decoder,
    x: torch.Tensor,
    labels: torch.Tensor,
    samples: Sequence[int],
    bound: float,
    options: Options,
    seed: int,
) -> torch.Tensor:
    """Return noise d that makes each map wrong where AutoAttack finds it, else none.

    Each attack has the maps that those before it left right: APGD on the cross-entropy, APGD on the targeted
    DLR loss (the untargeted one where there are fewer than 4 classes), targeted FAB. Square is left out: it
    changes square patches of images. The package draws for a whole batch at once, so that noise depends on
    the batch a map is in.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    labels : Tensor of int, shape (n,)
        True classes.
    samples : sequence of int
        Sample ids.
    bound : float
        Largest L2 norm of the noise.

    Returns
    -------
    Tensor, shape (n, *shape)

    Raises
    ------
    DataError
        If pyautoattack is not installed.
    RuntimeError
        If the noise that comes back is longer than the bound by more than rounding.
    """
    package = _package()
    classes = len(decoder.classes)
    cube = UnitCube(decoder.network, x, ROOM * bound)
    with _no_traces(x.device):
        attack = package(
            cube,
            attacks=["apgd-ce", "apgd-t" if classes > 3 else "apgd-dlr", "fab-t"],
            device=x.device,
            eps=bound / cube.width,
            norm="L2",
            seed=derive_seed(seed, "autoattack", *samples),
            version="custom",
        )
        attack.apgd.n_restarts = options.restarts
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(options.targets, classes - 1)
        z = cube.into(x)
        found, _ = attack.run_standard_evaluation(z, labels, batch_size=len(x))
    # Maps that stay right come back as they went, and to x itself z is near, not equal.
    moved = (found != z).any(1).view(-1, *[1] * (x.dim() - 1))
    noise = torch.where(moved, cube.back(found) - x, 0.0)
    longest = lengths(noise).max().item()
    if longest > bound * (1 + ROUNDING):
        raise RuntimeError(f"pyautoattack: noise of length {longest:.6g} for a bound of {bound:.6g}")
    return within(noise, bound)


def _package() -> type:
    # Here and not at the top: who does not use this attack need not have it.
    try:
        from pyautoattack import AutoAttack
    except ImportError:
        raise DataError(
            "attack autoattack: the package pyautoattack is not installed. Run pip install pyautoattack==0.2.0, "
            "or take the attack pgd."
        ) from None
    return AutoAttack


@contextmanager
def _no_traces(device: torch.device) -> Iterator[None]:
    """Restore what the package changes for the whole process: random state, trace function; mute its log.

    It warns of things that are so on purpose (three classes), once a batch.
    """
    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        logger.setLevel(level)
        sys.settrace(trace)
