"""How much memory something takes, counted from the tensors that are alive at a time: nothing is measured."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within it and are alive, and the most of these at any time.

    What was there before (weights, inputs) is not counted, nor what a kernel takes for itself while it runs, nor what
    malloc keeps of freed blocks below 32 MB (benchmarks/memory.py: a fifth at 4 mm, for double
    gradients as much again).

    Attributes
    ----------
    now, peak : int
        Bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation; what it makes is counted, what meets it for the first time is from before."""
        kwargs = kwargs or {}
        for value in tree_leaves((args, kwargs)):
            self._note(value, 0)
        found = func(*args, **kwargs)
        for value in tree_leaves(found):
            self._note(value, None)
        self.peak = max(self.peak, self.now)
        return found

    def _note(self, value: Any, size: int | None) -> None:
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            return
        storage = value.untyped_storage()
        if (key := storage._cdata) in self._known:
            return
        self._known.add(key)
        size = storage.nbytes() if size is None else size
        self.now += size
        weakref.finalize(storage, self._gone, key, size).atexit = False

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak_of(work: Callable[[], object]) -> int:
    """Return the bytes that something takes at most, beside what was there before."""
    with Live() as live:
        work()
    return live.peak
