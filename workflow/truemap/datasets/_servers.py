"""Which server data come from, and its folder in a cache: no two servers share files."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote


def other_server(url: str | None, known: str = "") -> tuple[str, ...]:
    """Return the folder, in a cache, of what comes from a server: none for the one that a cache is for by default.

    Percent-encoded, no two addresses have the same folder, and no bucket or collection has its name.
    """
    address = (url or known).rstrip("/")
    return () if address == known.rstrip("/") else (quote(address, safe=""),)


@cache
def configured_endpoint() -> str | None:
    """Return the server that the AWS tools' environment or files name, if any: it is asked where the config names none.

    Without botocore, which nobody needs for what is in the cache already, no server was asked.
    """
    try:
        from botocore.configprovider import ConfiguredEndpointProvider
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        return None
    try:
        session = Session()
        return ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), "s3").provide()
    except BotoCoreError:
        return None
