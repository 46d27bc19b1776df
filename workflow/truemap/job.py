"""What every workflow script does around its work: log, and end with a message a user can act on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from truemap.files import DataError

log = logging.getLogger("truemap")


@contextmanager
def job(snakemake: Any) -> Iterator[dict[str, Any]]:
    """Log to the rule's log file and the terminal; give the rule's settings.

    A `DataError` ends the script with its message and exit status 1, without a traceback; any other error
    is a fault of the program and keeps its traceback.
    """
    Path(snakemake.log[0]).parent.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(snakemake.log[0], mode="w", encoding="utf-8"), logging.StreamHandler(sys.stderr)]
    logging.basicConfig(level=logging.INFO, format=f"{snakemake.rule}: %(message)s", handlers=handlers, force=True)
    logging.captureWarnings(True)
    try:
        yield snakemake.params.settings
    except DataError as error:
        log.error("ERROR %s", error)
        sys.exit(1)
    except Exception:
        log.exception("failed")
        raise
