"""Asking a web service with bounds on time and size: whatever it does, there is an end to it.

aiohttp (which fsspec[http] brings) bounds the whole exchange, from the name's look-up to the last
byte, so neither a silent server nor one that drips can hold anybody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from hapdask.errors import InputError, ParameterError


@dataclass(frozen=True)
class Limits:
    """Bounds of one exchange with a service.

    Parameters
    ----------
    seconds : float
        For the whole of it.
    silence : float
        For connecting, and between two pieces of the answer.
    megabytes : float
        Of the answer.
    """

    seconds: float = 120.0
    silence: float = 30.0
    megabytes: float = 64.0

    def __post_init__(self) -> None:
        if not min(self.seconds, self.silence, self.megabytes) > 0.0:
            raise ParameterError(f"{self}: every limit of a service is above 0")


def address(root: str, query: Mapping[str, str]) -> str:
    """Address of a query, blanks as %20.

    Raises
    ------
    ParameterError
        The root is not that of a web service.
    """
    if not root.startswith(("http://", "https://")):
        raise ParameterError(f"{root!r} is no address of a web service: http://... or https://...")
    return f"{root}?{urlencode(query, quote_via=quote)}"


def fetch(url: str, limits: Limits, *, kind: str) -> bytes:
    """Get the body of an answer.

    Parameters
    ----------
    url : str
    limits : Limits
    kind : str
        Media type of the answer that is wanted.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        The service is not there, is too slow, breaks off, says no or says too much.
    """
    from aiohttp import ClientError, ClientPayloadError
    from fsspec.asyn import get_loop

    task = asyncio.run_coroutine_threadsafe(_fetched(url, limits, kind), get_loop())
    try:
        return task.result()
    except TimeoutError as error:
        raise InputError(
            url,
            f"no whole answer within {limits.seconds:g} s, or {limits.silence:g} s of silence",
            remedy="try later, or give the service more time",
        ) from error
    except (ClientError, OSError, ValueError) as error:
        told = str(error) or type(error).__name__
        if isinstance(error, ClientPayloadError):  # which tells of status 400 that nobody sent
            told = "the answer breaks off"
        raise InputError(
            url, f"the service cannot be read: {told}", remedy="check the address and the network"
        ) from error
    finally:
        task.cancel()  # where the waiting was interrupted


async def _fetched(url: str, limits: Limits, kind: str) -> bytes:
    from aiohttp import ClientSession, ClientTimeout
    from yarl import URL

    bounds = ClientTimeout(
        total=limits.seconds, sock_connect=limits.silence, sock_read=limits.silence
    )
    most = int(limits.megabytes * 1e6)
    # Upstream asks with this header of the request, and the service is used to it.
    headers = {"Content-Type": kind, "Accept": f"{kind}, */*"}
    async with (
        ClientSession(timeout=bounds, trust_env=True, headers=headers) as session,
        session.get(URL(url, encoded=True)) as response,
    ):
        if response.status != 200:
            raise InputError(url, f"the service answers {response.status} {response.reason}")
        pieces, size = [], 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > most:
                raise InputError(
                    url,
                    f"the answer is longer than {limits.megabytes:g} MB",
                    remedy="ask for a smaller field, or raise the limit",
                )
            pieces.append(piece)
        return b"".join(pieces)
