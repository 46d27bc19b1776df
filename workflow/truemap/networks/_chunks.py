"""How many maps meet a network at a time, and what becomes of a part for which a GPU's memory is too small."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import nn

from truemap.networks._counting import peak_of
from truemap.runtime.log import log, progress

MEGABYTE = 1 << 20
#: Copies of a map that an attack on predictions holds beside the network's own: noise, gradient, step, the best so far.
COPIES = 12
T = TypeVar("T")


class Chunks:
    """Parts of rows that are worked on one after the other, smaller ones once memory has run out.

    Attributes
    ----------
    size : int
        Rows of a part.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, size)

    def each(self, rows: torch.Tensor, work: Callable[[torch.Tensor], T], unit: str = "") -> Iterator[T]:
        """Yield what `work` returns for each part of the rows, in their order.

        Where a `unit` is named, rows are counted in the log (`truemap.runtime.log.progress`).

        A part for which a GPU's memory is too small is halved, and so are those after it; the log says so. `work` is
        then called again: it must draw nothing but from its rows, and keep nothing. Sums of other parts may round
        otherwise.

        Raises
        ------
        torch.cuda.OutOfMemoryError
            If one row alone is too much.
        """
        counted = progress(range(len(rows)), unit) if unit else iter(range(len(rows)))
        while len(rows):
            part = rows[: self.size]
            if (found := self._tried(part, work)) is not None:
                for _ in part:
                    next(counted)
                yield found[0]
                rows = rows[len(part) :]

    def _tried(self, part: torch.Tensor, work: Callable[[torch.Tensor], T]) -> tuple[T] | None:
        """Return what came of a part, None where memory was too small for it."""
        try:
            return (work(part),)
        except torch.cuda.OutOfMemoryError:
            if len(part) == 1:
                raise
        # Out of the handler: what the error holds of the broken call is free now.
        self.size = (len(part) + 1) // 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.warning(
            "the GPU's memory is too small for %d maps at a time: on with %d. Lower `memory` to ask for less",
            len(part), self.size,
        )  # fmt: skip
        return None


def passing(network: nn.Module, x: torch.Tensor, megabytes: float) -> int:
    """Return how many maps may meet a network at a time, without a gradient.

    Parameters
    ----------
    x : Tensor, shape (1, *shape)
    megabytes : float
        What a part may take: the maps, and the outputs of layers that are alive at a time (counted, see
        `truemap.networks._counting`). A map that alone is larger goes alone.
    """
    with torch.no_grad():
        counted = peak_of(lambda: network(x))
    return max(1, int(megabytes * MEGABYTE / (counted + 2 * x.numel() * x.element_size())))


def climbing(network: nn.Module, x: torch.Tensor, megabytes: float) -> int:
    """Return how many maps may be attacked at a time: as `passing`, with the graph of a gradient by the maps."""

    def gradient() -> None:
        inputs = x.detach().requires_grad_(True)
        torch.autograd.grad(network(inputs).sum(), inputs)

    counted = peak_of(gradient) + COPIES * x.numel() * x.element_size()
    return max(1, int(megabytes * MEGABYTE / counted))
