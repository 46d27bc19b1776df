"""Time stamps that follow from contents, as Snakemake goes by them.

To Snakemake an input that was written again is another one, unless it is small enough for a checksum: what comes after
it is made again for the same bytes. The record knows contents whatever their size, so a start puts time stamps right.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from truemap.runtime.files import signature
from truemap.runtime.made import Record

#: Where Snakemake notes what a run that goes on reads and writes.
LOCKS = Path(".snakemake/locks")


def catch_up(record: Record, benchmark: Callable[[str], str | None]) -> None:
    """Let no output be older than what it was made from, where that is, by content, what is there now.

    Later time stamps for what comes after an unchanged file, and not the former one for the file itself: a file that
    comes out the same of inputs that did change would be older than those, and made again at each call.

    Nothing is done while a run goes on: its jobs take an input whose time stamp changes for one that is being written.

    Parameters
    ----------
    record : Record
        After `Record.replaced` found nothing.
    benchmark : callable
        First output of a job -> its benchmark, whose time stamp counts as the outputs' do; None where it has none.
    """
    if any(LOCKS.glob("*.lock")):
        return
    jobs: dict[str, list[str]] = {}
    for output in filter(record.settled, record.entries):
        jobs.setdefault(record.entries[output]["of"], []).append(output)
    known, now = dict(record.verified), time.time_ns()

    def visit(first: str) -> None:
        if outputs := jobs.pop(first, None):
            inputs = record.entries[first]["inputs"]
            for path in inputs:
                visit(record.entries.get(path, {}).get("of", ""))
            if not record.others(first):
                newest = min(now, max((_time(record, path) for path in inputs), default=0))
                for path in filter(None, (*outputs, benchmark(first))):
                    _delay(record, path, newest)

    for first in list(jobs):
        visit(first)
    if record.verified != known:
        record.keep()


def _time(record: Record, path: str) -> int:
    """Return an input's time stamp, ns; of a link the later one of its own and its target's; 0 where there is none."""
    if path in record.entries:
        return record.verified.get(path, [0, 0])[1]
    try:
        return max(os.stat(path).st_mtime_ns, os.lstat(path).st_mtime_ns)  # noqa: PTH116
    except FileNotFoundError:
        return 0


def _delay(record: Record, path: str, when: int) -> None:
    found = signature(path)
    if found and found[1] < when:
        # Only their owner may set time stamps; somebody else's are left to Snakemake.
        with suppress(PermissionError):
            os.utime(path, ns=(when, when))
            if path in record.verified:
                record.verified[path] = [*(signature(path) or []), record.verified[path][-1]]
