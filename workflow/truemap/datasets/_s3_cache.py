"""A folder that keeps what was fetched from a bucket, each object with its ETag and MD5 beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from truemap.datasets._s3 import TAG, each, fetch_tagged, head, split
from truemap.datasets._servers import configured_endpoint, other_server
from truemap.runtime.files import whole, write_text
from truemap.runtime.log import NOTICE, log, progress

#: Maps that are fetched at once.
DOWNLOADS = 4


def cached(url: str, cache: str | Path, endpoint_url: str | None = None) -> Path:
    """Return where the cache folder keeps an object: the bucket's tree, which can be a `root` later.

    Two servers may each have a bucket of that name: trees of others than Amazon's lie in a folder of their own.
    """
    return Path(cache, *other_server(endpoint_url or configured_endpoint()), *split(url))


def store_all(urls: Iterable[str], cache: str | Path, endpoint_url: str | None = None) -> None:
    """Bring objects into the cache, a few at a time; those that are there in their size stay."""
    wanted = list(dict.fromkeys(urls))
    fresh = each(lambda url: _bring(url, cache, endpoint_url), wanted, DOWNLOADS)
    count = sum(new for _, new in zip(progress(wanted, "map"), fresh, strict=True))
    log.log(NOTICE, "fetched %d maps into %s, %d were there", count, cache, len(wanted) - count)


def read_tagged(url: str, cache: str | Path | None, endpoint_url: str | None = None) -> tuple[bytes, str]:
    """Return an object's bytes and its identity ``etag:…``, from the cache where there is one."""
    if cache is None:
        content, tag = fetch_tagged(url, endpoint_url)
        return content, TAG + tag
    path = cached(url, cache, endpoint_url)
    content, tag = _kept(path) if path.is_file() else (b"", "")
    if not tag:
        content, tag = _store(url, path, endpoint_url)
    return content, TAG + tag


def _bring(url: str, cache: str | Path, endpoint_url: str | None) -> bool:
    path = cached(url, cache, endpoint_url)
    answer = head(url, endpoint_url)
    if answer and path.is_file() and _kept(path)[1] == answer.get("ETag", "").strip('"'):
        return False
    _store(url, path, endpoint_url)
    return True


def _store(url: str, path: Path, endpoint_url: str | None) -> tuple[bytes, str]:
    content, tag = fetch_tagged(url, endpoint_url)
    _tag_file(path).unlink(missing_ok=True)
    with whole(path) as temporary:
        temporary.write_bytes(content)
    write_text(_tag_file(path), f"{tag} {hashlib.md5(content, usedforsecurity=False).hexdigest()}")
    return content, tag


def _kept(path: Path) -> tuple[bytes, str]:
    """Return an object's bytes in the cache and its ETag; that is empty where they are not what was stored.

    The MD5 is kept beside, since not every ETag is one. A cache that was filled otherwise has neither: ETags of most
    objects are the MD5 of their bytes, and others are fetched once more.
    """
    content, kept = path.read_bytes(), _tag_file(path)
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if not kept.is_file():
        return content, checksum
    tag, _, stored = kept.read_text().partition(" ")
    return content, tag if stored == checksum else ""


def _tag_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.etag")
