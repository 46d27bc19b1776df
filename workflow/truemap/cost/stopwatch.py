"""Seconds that something takes on a device."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import torch

#: Seconds after which what was timed is not timed again.
ENOUGH = 0.5


class Stopwatch:
    """Times work, and remembers what it found.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known: dict[str, Any] = {}

    def each(self, work: Callable[[int], None], count: int, *what: Any) -> float:
        """Return the seconds that work on many maps takes for each of them.

        Parameters
        ----------
        work : callable
            Gets how many maps to work on: `count`, or one where that takes long already.
        count : int
        what
            Says what the work is, see `known`.
        """

        def seconds() -> float:
            alone = self.once(lambda: work(1))
            return alone if alone > ENOUGH else self.least(lambda: work(count)) / count

        return self.known(seconds, count, *what)

    def known(self, work: Callable[[], Any], *what: Any) -> Any:
        """Return what work gives, or gave before where `what` was the same: models may share networks and methods."""
        key = json.dumps(what, sort_keys=True)
        if key not in self._known:
            self._known[key] = work()
        return self._known[key]

    def least(self, work: Callable[[], None]) -> float:
        """Return the seconds that work takes, the least of several where they are short: others may run too."""
        times = [self.once(work)]
        while sum(times) < ENOUGH and len(times) < 5:
            times.append(self.once(work))
        return min(times)

    def once(self, work: Callable[[], object]) -> float:
        """Return the seconds that work takes, done once."""
        began, busy = time.perf_counter(), time.process_time()
        work()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return time.perf_counter() - began
        # With one thread what others take of the processor is not counted.
        return min(time.perf_counter() - began, time.process_time() - busy)
