"""What every workflow script does around its work: log, and end with a message a user can act on."""

from __future__ import annotations

import errno
import gc
import logging
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from truemap.runtime.files import DataError, guards
from truemap.runtime.log import NOTICE, log
from truemap.runtime.privacy import Scrubber, ScrubbingFormatter
from truemap.runtime.work import Work, end_with_scheduler

#: What PyTorch says where memory runs out: on a CPU, and in CUDA's libraries, it has no error of its own for that.
NO_MEMORY = re.compile("out of memory|allocate memory|alloc_failed|bad_alloc", re.IGNORECASE)


@contextmanager
def job(snakemake: Any, scrub: Scrubber | None = None) -> Iterator[dict[str, Any]]:
    """Log to the rule's log file, progress and warnings to the terminal; give its settings; record what outputs are of.

    A `DataError` ends the script with its message and exit status 1, without a traceback; any other error
    is a fault of the program and keeps its traceback.

    Parameters
    ----------
    snakemake : object
        What Snakemake gives a script.
    scrub : Scrubber, optional
        Replaces people's names in all that is logged, tracebacks too.
    """
    # What imports made lives as long as the job: looked through no more, neither at work nor when Python ends.
    gc.freeze()
    Path(snakemake.log[0]).parent.mkdir(parents=True, exist_ok=True)
    form = f"{snakemake.rule}: %(message)s"
    handlers: list[logging.Handler] = [logging.FileHandler(snakemake.log[0], mode="w", encoding="utf-8")]
    handlers.append(logging.StreamHandler(sys.stderr))
    handlers[-1].setLevel(NOTICE)
    logging.basicConfig(level=logging.INFO, format=form, handlers=handlers, force=True)
    if scrub:
        for handler in handlers:
            handler.setFormatter(ScrubbingFormatter(form, scrub))
    logging.captureWarnings(True)
    # Ended by a scheduler, or Ctrl-C, a job removes its unfinished files as it does at an error, without a traceback.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _frame: sys.exit(128 + caught))
    end_with_scheduler()
    try:
        work = Work(snakemake)
        settings = snakemake.params.settings
        yield settings if isinstance(settings, dict) else vars(settings)
        work.finish()
    except DataError as error:
        log.error("ERROR %s", error)
        sys.exit(1)
    except Exception as error:
        if remedy := _remedy(error):
            # The system's words are the reason.
            reason = str(error) or type(error).__name__
            log.error("ERROR %s. %s, then run again; nothing half-written was kept.", reason.rstrip("."), remedy)
            sys.exit(1)
        log.exception("failed")
        if scrub is None:
            raise
        # Raised, Python would print it to the terminal as it is.
        sys.exit(1)
    finally:
        guards.clear()
        if scrub and (note := scrub.note()):
            log.log(NOTICE, note)


def _remedy(error: Exception) -> str:
    """Return what to do about an error that is the machine's; empty for another one."""
    words = isinstance(error, RuntimeError) and NO_MEMORY.search(str(error))
    if words or isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return (
            "Memory ran out: run fewer jobs at a time (`--cores`), lower `memory` (for saliency) or `micro_batch` "
            "(for training), or take a machine or GPU with more"
        )
    # A full disk, a folder that may not be written.
    return "Free space or mend permissions" if isinstance(error, OSError) else ""
