"""What benchmarks measure: processor time and a process' own peak memory."""

import time
from collections.abc import Callable
from pathlib import Path


def processor_time(run: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peak() -> float:
    """Return this process' peak memory so far, MB (`getrusage` would count what its parent had)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
