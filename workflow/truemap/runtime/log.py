"""What jobs say while they work: the project's logger, and progress."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("truemap")
#: Seconds between two lines of progress in a log.
INTERVAL = 30.0
#: Between a job's messages, which its log has, and its warnings: what the terminal shows too (progress, cost, choices).
NOTICE = logging.INFO + 5


def progress(items: Sequence[T], unit: str, done: int = 0) -> Iterator[T]:
    """Yield `items` from number `done` on; show a bar on a terminal, and a line now and then in the log."""
    start = last = time.monotonic()
    total, disable = len(items), None if sys.stderr else True
    for number, item in enumerate(tqdm(items[done:], unit=unit, initial=done, total=total, disable=disable), done + 1):
        yield item
        now = time.monotonic()
        if now - last >= INTERVAL and number < total:
            rate = (number - done) / (now - start)
            log.log(
                NOTICE, "%s %d of %d, %.3g a second, %.0f s left", unit, number, total, rate, (total - number) / rate
            )
            last = now
