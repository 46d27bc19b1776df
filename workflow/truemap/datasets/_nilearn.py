"""Data sets that nilearn's fetchers download, as they were not asked: quietly, again after a fault, one at a time."""

from __future__ import annotations

import fcntl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from truemap.datasets._fetch import PassingError, insist, may_pass
from truemap.runtime.files import SourceError

#: Times to ask for what a fetcher fetches; nilearn waits a minute for an answer and asks once.
ATTEMPTS = 4
CACHE = "folder that keeps what nilearn downloads, as nilearn does; one that it has filled already may be given"


def fetched(fetcher: Callable[..., Any], what: str, cache: str, **arguments: Any) -> Any:
    """Return what one of nilearn's fetchers returns, with its files in `cache`.

    What a fetcher has downloaded whole stays, and what was broken off is gone on with, at the next attempt or the next
    run: nilearn keeps both in a folder that it names by the list of files asked for, so ask for the same list again.
    Fetchers of two jobs would take that folder from each other, so each waits for its turn.

    Parameters
    ----------
    fetcher : callable
        Of ``nilearn.datasets``, with arguments `data_dir` and `verbose`.
    what : str
        For messages.
    cache : str
    **arguments
        Of the fetcher.

    Raises
    ------
    SourceError
        If it fails: the server refuses or does not answer, or what it gave is not what nilearn expects.
    """
    from requests import RequestException

    def ask() -> Any:
        try:
            # A warning or a line of nilearn's may have a subject's name in it.
            with warnings.catch_warnings(action="ignore"):
                return fetcher(data_dir=cache, verbose=0, **arguments)
        except RequestException as error:
            if error.response is None or may_pass(error.response.status_code):
                raise PassingError(_words(error)) from None
            raise SourceError(
                f"{what}: {_words(error)}. Its address is nilearn's: look for a newer nilearn, or fetch the files by "
                "hand and set `cache` to their folder."
            ) from None
        except Exception as error:
            raise SourceError(
                f"{what}: nilearn cannot store or use what it fetched ({type(error).__name__}: {error}). If disk and "
                f"permissions are in order, delete what is broken in {cache} (the list of files is called `download` "
                "or `MD5SUMS`) and run again, or look for a newer nilearn."
            ) from None

    with _turn(Path(cache)):
        return insist(ask, what, ATTEMPTS)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other job fetches into this folder; not where it cannot be written, and so nothing is fetched."""
    with ExitStack() as stack:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context((folder / ".lock").open("w")), fcntl.LOCK_EX)
        yield


def _words(error: Any) -> str:
    """Return a network's fault in words."""
    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    # The innermost: those around it say where in urllib3 it was.
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
