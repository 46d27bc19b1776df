"""How much NumPy and Python hold at a time."""

import tracemalloc


def most_held(work):
    """Return the bytes that a call holds at most beyond what there was before, its result among them."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
