"""Fetching files over HTTP: whole or not at all, a few at a time, and only those that are not there yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from truemap.runtime.files import DataError, SourceError, whole
from truemap.runtime.log import NOTICE, log, progress

T = TypeVar("T")
#: Seconds before the second attempt; doubled before each later one.
PAUSE = 1.0
#: Answers after which it is worth to ask again: too slow, too many requests; and all of the server's own faults.
TRANSIENT = (408, 429)


@dataclass(frozen=True)
class Patience:
    """How long to wait for an answer (seconds) and how often to ask."""

    timeout: float
    attempts: int


@dataclass(frozen=True)
class Remote:
    """A file on a server and its place here; `size` in bytes where it is known beforehand."""

    url: str
    path: Path
    size: int | None = None

    def is_here(self) -> bool:
        """Return whether the file is here, in its known size."""
        return self.path.is_file() and self.size in (None, self.path.stat().st_size)


class PassingError(Exception):
    """A fault that may pass; its words are the reason to ask again."""


def insist(ask: Callable[[], T], what: str, attempts: int) -> T:
    """Return what `ask` returns; ask again, ever later, after a `PassingError`.

    Parameters
    ----------
    ask : callable
    what : str
        For messages.
    attempts : int

    Raises
    ------
    SourceError
        If it has not passed in all attempts.
    """
    reason = ""
    for attempt in range(attempts):
        if attempt:
            pause = PAUSE * 2 ** (attempt - 1)
            log.log(NOTICE, "%s: %s, again in %g s", what, reason, pause)
            time.sleep(pause)
        try:
            return ask()
        except PassingError as fault:
            reason = str(fault)
    raise SourceError(
        f"{what}: {reason} (asked {attempts} times). Check the network and run again, it goes on where it "
        "stopped; without a network set `cache` to a folder that holds the files."
    )


def may_pass(status: int) -> bool:
    """Return whether it is worth to ask again after an HTTP status that is an error."""
    return status >= 500 or status in TRANSIENT


def fetch(url: str, patience: Patience, size: int | None = None) -> bytes:
    """Return the bytes at `url`; ask again, ever later, after a fault that may pass.

    Raises
    ------
    DataError
        If the server refuses; a `SourceError` if there was no whole answer of `size` bytes (where it is given) in all
        attempts.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url}: not an http(s) address. Check `url`.")

    def ask() -> bytes:
        try:
            with urlopen(Request(url, headers={"User-Agent": "truemap"}), timeout=patience.timeout) as answer:
                # Raises IncompleteRead where less than Content-Length comes.
                content = answer.read()
        except HTTPError as error:
            reason = f"the server answered {error.code} {error.reason}"
            if may_pass(error.code):
                raise PassingError(reason) from None
            raise DataError(
                f"{url}: {reason}. Check `url` and `collection` in a browser; if only this file is gone, list its "
                "subject under `exclude`."
            ) from None
        except (OSError, HTTPException) as error:
            # A timeout, no network, no such host, a connection cut in the middle.
            raise PassingError(str(getattr(error, "reason", "") or error or type(error).__name__)) from None
        if size not in (None, len(content)):
            raise PassingError(f"{len(content)} bytes came, {size} were announced")
        return content

    return insist(ask, url, patience.attempts)


def store(file: Remote, patience: Patience) -> None:
    """Make a file present; nothing is asked for where it is.

    Raises
    ------
    DataError
        See `fetch`.
    """
    if not file.is_here():
        content = fetch(file.url, patience, file.size)
        with whole(file.path) as temporary:
            temporary.write_bytes(content)


def store_all(files: Sequence[Remote], patience: Patience, parallel: int) -> None:
    """Make files present, `parallel` at a time, with progress; the first that cannot be fetched ends it.

    Raises
    ------
    DataError
        See `fetch`; what was fetched before is kept.
    """
    missing = [file for file in dict.fromkeys(files) if not file.is_here()]
    if not missing:
        return
    known = sum(file.size or 0 for file in missing) / 1e6
    log.log(NOTICE, "fetching %d of %d files (%.0f MB), %d at a time", len(missing), len(set(files)), known, parallel)
    pool = ThreadPoolExecutor(parallel)
    try:
        for future in progress([pool.submit(store, file, patience) for file in missing], "file"):
            future.result()
    finally:
        # Files on their way are finished, those that wait are not begun: an interrupt ends soon and loses nothing.
        pool.shutdown(cancel_futures=True)
