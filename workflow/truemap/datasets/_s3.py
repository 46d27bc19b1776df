"""Objects of an S3 bucket: listed, fetched whole and checked, with no key in any message or log.

Keys come from where the AWS tools look for them (environment, ~/.aws), never from the config.  s3fs is
imported only when a bucket is used, so that nobody else needs it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from truemap.runtime.files import DataError, SourceError
from truemap.runtime.log import NOTICE, log

T = TypeVar("T")
U = TypeVar("U")
SCHEME = "s3://"
#: How the identity of an object begins, where that of a file is its sha256.
TAG = "etag:"
#: Tries for one request, and seconds before the second; the pause doubles.  botocore's own come on top.
TRIES = 4
PAUSE = 1.0
#: Small requests (listings, text files) under way at once.
WORKERS = 32
#: What logs in detail would put signed headers into the log.
LOGGERS = ("botocore", "aiobotocore", "boto3", "s3fs", "fsspec", "aiohttp", "urllib3")
SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
SIGNED = re.compile(r"(AKIA|ASIA)[A-Z0-9]{8,}|(?<=Credential=)[^,&\s]+|(?<=Signature=)[^,&\s]+|(?<=Token=)[^,&\s]+")
KEYS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or AWS_PROFILE (never in the config); "
    "without keys, fetch the maps otherwise and set `root` to their folder."
)


def is_s3(root: str | Path | None) -> bool:
    """Return whether a root is in a bucket."""
    return str(root or "").startswith(SCHEME)


def split(url: str) -> tuple[str, str]:
    """Return the bucket and the key of ``s3://bucket/key``."""
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    return bucket, key


def scrub(text: object) -> str:
    """Return a text without any key of this user and without anything that looks like one."""
    plain = str(text)
    for secret in sorted(_secrets(), key=len, reverse=True):
        plain = plain.replace(secret, "***")
    return SIGNED.sub("***", plain)


@lru_cache(maxsize=4)
def connect(endpoint_url: str | None) -> Any:
    """Return the s3fs filesystem of an endpoint (None is Amazon's).

    Raises
    ------
    DataError
        If s3fs is not installed.
    """
    try:
        import s3fs
    except ImportError as error:
        raise DataError(
            f"s3fs cannot be imported ({error}), and `root` is in a bucket. Install it: pip install 'truemap[s3]'."
        ) from None
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    files = s3fs.S3FileSystem(
        endpoint_url=endpoint_url,
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={
            "retries": {"mode": "standard", "total_max_attempts": 3},
            "max_pool_connections": WORKERS,
            "connect_timeout": 10,
            "read_timeout": 60,
        },
    )
    files.retries = 1  # a third loop, inside ours and around botocore's
    return files


def fetch(url: str, endpoint_url: str | None = None) -> bytes:
    """Return an object's bytes: see `fetch_tagged`."""
    return fetch_tagged(url, endpoint_url)[0]


def fetch_tagged(url: str, endpoint_url: str | None = None) -> tuple[bytes, str]:
    """Return an object's bytes and ETag: one GET, checked against its length and, where the ETag is an MD5, its ETag.

    Raises
    ------
    DataError
        If it is missing; a `SourceError` if the keys are missing or refused, or no try brought it whole.
    """

    def get(files: Any) -> tuple[bytes, str]:
        from fsspec.asyn import sync

        return sync(files.loop, _get, files, url)

    return _tries(url, endpoint_url, get)


def size(url: str, endpoint_url: str | None = None) -> int | None:
    """Return an object's size in bytes, None where there is no object."""
    answer = head(url, endpoint_url)
    return answer["ContentLength"] if answer else None


def head(url: str, endpoint_url: str | None) -> dict[str, Any] | None:
    """Return what the server says of an object without its bytes, None where there is no object."""
    bucket, key = split(url)
    try:
        return _tries(url, endpoint_url, lambda files: files.call_s3("head_object", Bucket=bucket, Key=key))
    except MissingError:
        return None


def tags_below(url: str, endpoint_url: str | None = None) -> dict[str, str]:
    """Return the identity ``etag:…`` of every object below a folder."""
    start = SCHEME + split(url)[0]
    found = (entry for page in listing(url, endpoint_url, "") for entry in page.get("Contents", []))
    return {f"{start}/{entry['Key']}": TAG + entry.get("ETag", "").strip('"') for entry in found}


def tags(urls: Iterable[str], endpoint_url: str | None = None) -> dict[str, str]:
    """Return the identities of these objects as they are now; "" of one that is not there.

    One request for the objects of a task's folder, three above each.
    """
    urls = list(urls)
    folders = list(dict.fromkeys(url.rsplit("/", 3)[0] for url in urls))
    found: dict[str, str] = {}
    for below in each(lambda folder: tags_below(folder, endpoint_url), folders, WORKERS):
        found |= below
    return {url: found.get(url, "") for url in urls}


def each(function: Callable[[U], T], items: Iterable[U], workers: int) -> Iterator[T]:
    """Yield ``function(item)`` in order, `workers` at a time; a failure drops what has not begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)


class MissingError(DataError):
    """There is no such object."""


class DamagedError(OSError):
    """An object did not arrive as it is stored."""


def listing(url: str, endpoint_url: str | None, delimiter: str) -> list[dict[str, Any]]:
    """Return the pages of what is below a folder: all objects, or with the delimiter "/" what lies in it."""
    bucket, key = split(url)
    request = {"Bucket": bucket, "Prefix": f"{key.strip('/')}/".lstrip("/"), "Delimiter": delimiter}
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1].get("IsTruncated"):
        more = {"ContinuationToken": pages[-1]["NextContinuationToken"]} if pages else {}
        pages.append(_tries(url, endpoint_url, lambda files, kw=request | more: files.call_s3("list_objects_v2", **kw)))
    return pages


async def _get(files: Any, url: str) -> tuple[bytes, str]:
    bucket, key = split(url)
    answer = await files._call_s3("get_object", Bucket=bucket, Key=key)
    async with answer["Body"] as body:
        content = await body.read()
    if len(content) != answer["ContentLength"]:
        raise DamagedError(f"{len(content)} of {answer['ContentLength']} bytes came")
    # An ETag is the MD5 of the bytes only for an upload in one part that no key of the owner's encrypts.
    etag = answer.get("ETag", "").strip('"')
    encrypted = answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer
    if re.fullmatch(r"[0-9a-f]{32}", etag) and not encrypted:
        checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if checksum != etag:
            raise DamagedError(f"{len(content)} bytes came with the MD5 {checksum}, stored is {etag}")
    return content, etag


def _tries(url: str, endpoint_url: str | None, request: Callable[[Any], T]) -> T:
    """Return the answer to a request, tried again after faults that pass."""
    files = connect(endpoint_url)
    from aiohttp import ClientError
    from botocore import exceptions

    # What cannot be imported without s3fs is imported after `connect` has told so.
    lacking = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound)
    passing = (OSError, ClientError, asyncio.TimeoutError, exceptions.BotoCoreError, exceptions.ClientError)
    reason = ""
    for number in range(TRIES):
        if number:
            log.log(NOTICE, "%s: %s; try %d of %d", url, reason, number + 1, TRIES)
            time.sleep(PAUSE * 2 ** (number - 1))
        try:
            return request(files)
        except lacking as error:
            raise SourceError(f"{url}: no AWS keys ({scrub(error)}). {KEYS}") from None
        except FileNotFoundError:
            raise MissingError(
                f"{url}: no such object or bucket. Check `root`, or list the subject under `exclude`."
            ) from None
        except PermissionError as error:
            raise SourceError(f"{url}: the server refused the keys ({scrub(error)}). {KEYS}") from None
        except passing as error:
            reason = scrub(f"{type(error).__name__}: {error}")
    raise SourceError(
        f"{url}: {TRIES} tries failed, the last with {reason}. Check the network"
        f"{' and `endpoint_url`' if endpoint_url else ''}, then run again: what is there is not fetched twice."
    )


def _secrets() -> set[str]:
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        profiles = Session().full_config.get("profiles", {}).values()
    except BotoCoreError:
        profiles = []
    known = [os.environ.get(name.upper(), "") for name in SECRETS]
    known += [str(profile.get(name, "")) for profile in profiles for name in SECRETS]
    return {secret for secret in known if len(secret) >= 4}
