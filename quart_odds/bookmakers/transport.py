"""Sending of HTTP requests: the `Transport` interface, and its implementation with aiohttp.

Some sites reportedly block clients by TLS fingerprint at times. A client that imitates a browser would only have to
implement `Transport`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from quart_odds.domain.platforms import Platform
from quart_odds.domain.secrets import masked
from quart_odds.errors import BookmakerError, MalformedBodyError, UnreachableError

MAX_REDIRECTS = 3

_REDIRECTS = {301, 302, 303, 307, 308}
_REDIRECTS_TO_GET = {301, 302, 303}

_CHUNK_BYTES = 65_536

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
"""aiohttp's own timeouts would only repeat ours, which covers everything."""

Grow = Callable[[int], Awaitable[None]]
"""Called with the size that a body is about to reach; returns when there is room for it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. Header names are in lower case; `content` is as received, compressed or not.

    `redirects` is how many more requests it took. `received_at` is when it had arrived; the Requester sets it.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    redirects: int = 0
    received_at: datetime | None = None


class Transport(Protocol):
    """Sends one request and reads the whole answer."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
        grow: Grow,
    ) -> Answer:
        """Return the answer, whatever its status.

        Raises UnreachableError if there is none in time, MalformedBodyError for a body that is too large or a redirect
        loop.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class AiohttpTransport:
    """One aiohttp keep-alive session for one bookmaker. Bodies are not decompressed here.

    Redirects are followed if they stay on the requested host or lead from one of the bookmaker's own `hosts` to
    another, never to another scheme or port. Otherwise a malicious site could make us request addresses that only this
    machine can reach. At most `most_redirects` in a row are followed. `traces` are told what happens to each request.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        proxy: str | None,
        max_body_bytes: int,
        hosts: Collection[str] = (),
        resolver: AbstractResolver | None = None,
        most_redirects: int = MAX_REDIRECTS,
        traces: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        self._platform = platform
        self._proxy = proxy
        self._max_body_bytes = max_body_bytes
        self._hosts = frozenset(hosts)
        self._resolver = resolver
        self._most_redirects = most_redirects
        self._traces = traces
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
        grow: Grow,
    ) -> Answer:
        """See Transport. The timeout covers the whole answer, so it also ends an answer that arrives very slowly."""
        address = URL(url).with_query(params) if params else URL(url)
        try:
            async with asyncio.timeout(timeout_seconds):
                for redirects in range(1 + self._most_redirects):
                    async with self._open().request(
                        method,
                        address,
                        headers=headers,
                        data=body,
                        proxy=self._proxy,
                        timeout=_NO_TIMEOUT,
                        allow_redirects=False,
                    ) as response:
                        if response.status not in _REDIRECTS:
                            content = await self._read(response, grow)
                            headers = {k.lower(): v for k, v in response.headers.items()}
                            return Answer(response.status, headers, content, redirects)
                        address = self._target(address, response.headers.get("Location"))
                        if response.status in _REDIRECTS_TO_GET and method != "GET":
                            method, body = "GET", None
            most = self._most_redirects
            fault: BookmakerError = MalformedBodyError(self._platform, f"redirects, more than {most} in a row")
        except TimeoutError:
            fault = UnreachableError(self._platform, f"no answer within {timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            fault = UnreachableError(self._platform, _reason(exc))
        except BookmakerError as exc:
            fault = exc.bare()
        # Raised outside the except clauses: the frames in the error's context would hold what was read of the body.
        raise fault

    async def aclose(self) -> None:
        """Close all connections. Requests raise UnreachableError from then on."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()
            # aiohttp closes TLS connections in later iterations of the loop.
            await asyncio.sleep(0)

    def _target(self, address: URL, location: str | None) -> URL:
        """Return the target of a redirect.

        Raises MalformedBodyError, which does not reveal the target, if it is not allowed.
        """
        try:
            target = address.join(URL(location or ""))
            is_own = (target.scheme, target.port) == (address.scheme, address.port) and (
                target.host == address.host or (address.host in self._hosts and target.host in self._hosts)
            )
        except ValueError:
            is_own = False
        if not location or not is_own or target.user is not None:
            raise MalformedBodyError(self._platform, "a redirect to another site")
        return target

    def _open(self) -> aiohttp.ClientSession:
        if self._is_closed:
            # A request that is still tried again would open a session that nobody closes.
            raise UnreachableError(self._platform, "its connections are closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit here, because the throttle already limits the requests.
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, resolver=self._resolver),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=list(self._traces),
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse, grow: Grow) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            if size > self._max_body_bytes:
                raise MalformedBodyError(self._platform, f"a body of more than {self._max_body_bytes} bytes")
            await grow(size)
            chunks.append(chunk)
        return b"".join(chunks)


def _reason(exc: Exception) -> str:
    """Describe an aiohttp error for people: its kind, and the system's message if there is one."""
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return f"no address for {exc.host}"
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {exc.status}"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"no connection to {exc.host}:{exc.port}, {exc.strerror or exc.os_error}"
    if isinstance(exc, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError | ConnectionError):
        return "the connection was cut"
    return masked(f"{type(exc).__name__}: {exc}")
