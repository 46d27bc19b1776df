"""Memory and operations of something that is not done: code runs on tensors without numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import flop_registry

from truemap.networks._counting import Live

aten = torch.ops.aten
#: Operations whose result is a number of Python's, those of them that are conditions, and those that take masks.
COMPARED = (aten.equal.default, aten.is_nonzero.default)
NUMBERS = (aten._local_scalar_dense.default, *COMPARED)
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)


class Uncounted(Exception):
    """Something asks for numbers where there are none, or takes too long to be counted."""


class Shapes(Live):
    """Runs code on tensors without numbers (`pretended`), and counts operations too.

    What hangs on numbers goes the longest way: a condition is false, so that no search ends early; a mask has all.

    Parameters
    ----------
    seconds : float
        Within which it must be done.

    Attributes
    ----------
    operations : int
        Multiplications and additions of convolutions and products of matrices; others take no time beside them.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        super().__init__()
        self.operations, self._end = 0, time.monotonic() + seconds

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation on shapes alone."""
        if time.monotonic() > self._end:
            raise Uncounted("it takes too long to count")
        if func in NUMBERS:
            kind = args[0].dtype
            # A whole number may say which row is next: there is a first one.
            return False if func in COMPARED or kind == torch.bool else 1.0 if kind.is_floating_point else 0
        if func is aten.nonzero.default:
            return args[0].new_zeros((args[0].numel(), args[0].ndim), dtype=torch.long)
        if func in INDEXED:
            args = (args[0], [_places(index) for index in args[1]], *args[2:])
        found = super().__torch_dispatch__(func, types, args, kwargs)
        if func.overloadpacket in flop_registry:
            self.operations += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=found)
        return found


def _places(index: torch.Tensor | None) -> torch.Tensor | None:
    """Return as many places as a mask has, of one axis; others as they are."""
    if index is None or index.dtype != torch.bool:
        return index
    return index.new_zeros(index.numel(), dtype=torch.long)


@contextmanager
def pretended(device: str, seconds: float = 60.0) -> Iterator[Shapes]:
    """Give what counts of all that is made within it, tensors that have no numbers (PyTorch's meta tensors).

    Parameters
    ----------
    device : {"cpu", "cuda"}
        Where they pretend to be, as layers may work otherwise there; for a GPU none is needed.
    """
    place = torch.device("cpu" if device == "cpu" else "meta")
    with FakeTensorMode(allow_non_fake_inputs=True), place, Shapes(seconds) as shapes:
        yield shapes
