"""Files on the network: http(s) servers and S3 buckets, opened through fsspec.

Lives here: what a server or a bucket says about a file, what of its failures is worth another
try, and the addresses of Hubble's public bucket.  Not here: reading (`source`).
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar

from hapdask.errors import InputError, ParameterError

log = logging.getLogger(__name__)

#: MAST's public bucket of Hubble data; nobody needs an account to read it.
PUBLIC_BUCKET = "stpubdata"
SCHEMES = ("http", "https", "s3")

#: Waits between tries of what failed on the network, seconds.
PAUSES = (0.2, 1.0)
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
_ROOTNAME = re.compile(r"[a-z][a-z0-9]{8}$")
_SUFFIX = re.compile(r"[a-z0-9]+$")

T = TypeVar("T")


def is_remote(url: str) -> bool:
    """Whether a resolved address is read over the network."""
    return url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def public_url(rootname: str, suffix: str = "flc") -> str:
    """Tell where MAST's public bucket keeps a file of an exposure.

    Parameters
    ----------
    rootname : str
        Nine characters, for example ``ib4606c5q``.
    suffix : str
        ``flc``, ``flt``, ``c0m``, ``asn``, ...

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        If these are no such names.

    Examples
    --------
    >>> public_url("ib4606c5q")
    's3://stpubdata/hst/public/ib46/ib4606c5q/ib4606c5q_flc.fits'
    """
    root, kind = rootname.strip().lower(), suffix.strip().lower()
    if not _ROOTNAME.match(root):
        raise ParameterError(f"{rootname!r} is no rootname: nine letters and digits, as ib4606c5q")
    if not _SUFFIX.match(kind):
        raise ParameterError(f"{suffix!r} is no suffix of a file, as flc")
    return f"s3://{PUBLIC_BUCKET}/hst/public/{root[:4]}/{root}/{root}_{kind}.fits"


def open_remote(url: str) -> tuple[Any, int, str]:
    """Open a remote file for reading by range.

    Returns
    -------
    handle : file-like with ``seek`` and ``read``
    size : int, bytes
    stamp : str
        ETag, else the date of the last change.

    Raises
    ------
    InputError
        If it is not there, the network fails, or the server cannot serve ranges.
    """
    files = _bucket(url) if url.startswith("s3://") else _server(url)

    def opened() -> tuple[Any, int, str]:
        info = files.info(url)
        if info.get("type") == "directory":
            raise InputError(url, "is not a regular file", remedy="name a FITS file")
        if info.get("size") is None or not info.get("partial", True):
            refuse_ranges(url, None)
        handle = files.open(url, "rb", size=info["size"], cache_type="none")
        stamp = info.get("ETag") or info.get("Last-Modified") or info.get("LastModified") or ""
        return handle, int(info["size"]), str(stamp)

    return retrying(url, opened, "opened", remedy="check the address and the network")


def retrying(
    url: str, action: Callable[[], T], verb: str, *, remedy: str, ext: str | None = None
) -> T:
    """Do what may fail on the network; try again where that may help.

    Raises
    ------
    InputError
        ``url`` cannot be ``verb`` (opened, read), with the reason.
    """
    errors = network_errors(url)
    for pause in (*PAUSES, None):
        try:
            return action()
        except ValueError as error:  # how fsspec says that a range was not honoured
            refuse_ranges(url, error)
        except errors as error:
            cause = error.__cause__ or error
            if pause is None or _is_lasting(error):
                lost = isinstance(cause, FileNotFoundError)  # of S3, it says the key alone
                told = "no such file" if lost else str(cause) or type(cause).__name__
                raise InputError(
                    url, f"cannot be {verb}: {told}", ext=ext, remedy=remedy
                ) from error
            log.info("%s: %s; trying again", url, cause)
            time.sleep(pause)
    raise AssertionError("unreachable")


def network_errors(url: str) -> tuple[type[Exception], ...]:
    """Exceptions that reading an address may raise."""
    from aiohttp import ClientError

    if not url.startswith("s3://"):
        return (OSError, TimeoutError, ClientError)
    from botocore.exceptions import BotoCoreError
    from botocore.exceptions import ClientError as RefusedError

    return (OSError, TimeoutError, ClientError, BotoCoreError, RefusedError)


def _is_lasting(error: Exception) -> bool:
    """Whether the answer will be the same next time: not there, not allowed."""
    if isinstance(error, PermissionError):
        return True
    if isinstance(error, FileNotFoundError) and error.__cause__ is None:
        return True
    status = getattr(error.__cause__ or error, "status", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)


def refuse_ranges(url: str, error: Exception | None) -> NoReturn:
    """Raise the InputError of a server that sends whole files only."""
    raise InputError(
        url,
        "the server does not serve byte ranges",
        remedy="download the file and open the copy",
    ) from error


def _server(url: str) -> Any:
    import fsspec

    return fsspec.filesystem("https" if url.startswith("https") else "http")


def _bucket(url: str) -> Any:
    """Make the file system of S3, at Amazon's unless the environment names another endpoint."""
    try:
        import s3fs
    except ImportError as error:
        name, _, key = url.removeprefix("s3://").partition("/")
        raise InputError(
            url,
            "reading s3:// addresses needs the package s3fs",
            remedy="pip install 'hapdask[s3]', or give "
            f"https://{name}.s3.amazonaws.com/{key} where the bucket is public",
        ) from error
    bucket = url.removeprefix("s3://").split("/")[0]
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    files = s3fs.S3FileSystem(
        anon=bucket == PUBLIC_BUCKET or not _has_credentials(),
        endpoint_url=endpoint or None,
        use_listings_cache=False,
        config_kwargs={
            "retries": {"max_attempts": 0},  # `retrying` does it
            "connect_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
        },
    )
    files.retries = 1
    return files


@cache
def _has_credentials() -> bool:
    import botocore.session

    return botocore.session.get_session().get_credentials() is not None
