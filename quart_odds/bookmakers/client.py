"""What the three bookmakers' clients share: politeness, retries, errors, and discovery that flows.

A site's own module knows its addresses and JSON (`Site`); a client asks for them and hands on headers and raw bodies.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import orjson
import stamina

from quart_odds.bookmakers.bodies import ACCEPT_ENCODING, RawBody, decompress
from quart_odds.bookmakers.politeness import MAX_RETRY_AFTER_SECONDS, Throttle, retry_after_seconds
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.sites import Listing, Request, Site
from quart_odds.bookmakers.transport import Answer, Transport
from quart_odds.domain.odds import EventHeader, ListedCompetitions
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    EmptyBodyError,
    MalformedBodyError,
    NotFoundError,
    RateLimitedError,
    ServerFaultError,
    UnreachableError,
)
from quart_odds.settings import Settings

_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"


_PEEK_BYTES = 64
"""As much of a body as shows that it is empty, or a page of HTML."""


class BookmakerClient(Protocol):
    """One bookmaker, asked politely. `requests` counts what was sent, each try of it.

    `listed` says, after a discovery that came to its end, what it listed whole; nothing before. Where `turn_by` is a
    time of the loop, no request is begun after it: what waits for its turn then raises TimeoutError.
    """

    platform: Platform
    requests: int
    turn_by: float | None
    discovery_errors: list[BookmakerError]
    listed: ListedCompetitions

    @property
    def refusals_in_a_row(self) -> int:
        """How many requests the bookmaker has refused running, whoever made them."""
        ...

    def count_refusal(self) -> None:
        """One more request was refused, or turned out to be when its body was decoded."""
        ...

    def forget_refusals(self) -> None:
        """A body was decoded well, or somebody wants to try anew."""
        ...

    def discover(self) -> AsyncIterator[EventHeader]:
        """The coming football events, each once, as they are found.

        What goes wrong with one competition or event goes to `discovery_errors`, which each discovery empties first;
        the others go on. Raises BookmakerError where the list of competitions itself cannot be had.
        """
        ...

    async def fetch(self, header: EventHeader) -> RawBody:
        """An event with all its prices, not yet decoded. Raises BookmakerError naming the event."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class SiteClient:
    """A BookmakerClient for any site whose addresses and JSON a `Site` knows."""

    def __init__(
        self,
        site: Site,
        settings: Settings,
        transport: Transport,
        throttle: Throttle,
        recorder: Recorder | None = None,
    ) -> None:
        self.platform = site.platform
        self.requests = 0
        self.turn_by: float | None = None
        self.discovery_errors: list[BookmakerError] = []
        self.listed = ListedCompetitions()
        self._site = site
        self._settings = settings
        self._transport = transport
        self._recorder = recorder
        self._origin = settings.url(site.platform)
        self._throttle = throttle

    @property
    def refusals_in_a_row(self) -> int:
        """See BookmakerClient."""
        return self._throttle.refusals_in_a_row

    def count_refusal(self) -> None:
        """See BookmakerClient."""
        self._throttle.count_refusal()

    def forget_refusals(self) -> None:
        """See BookmakerClient."""
        self._throttle.forget_refusals()

    async def discover(self) -> AsyncIterator[EventHeader]:
        """See BookmakerClient."""
        self.discovery_errors = []
        self.listed = ListedCompetitions()
        plain = await self._ask_plain(self._site.root())
        listings, errors = self._site.listings(plain)
        self.discovery_errors += errors
        is_tree_whole = not errors
        found: asyncio.Queue[Sequence[EventHeader] | None] = asyncio.Queue()
        tasks = [asyncio.create_task(self._list(listing, found)) for listing in listings]
        seen: set[str] = set()
        try:
            left = len(tasks)
            while left:
                headers = await found.get()
                if headers is None:
                    left -= 1
                    continue
                for header in headers:
                    if header.external_id not in seen:
                        seen.add(header.external_id)
                        yield header
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        whole: set[str] = set()
        broken: set[str] = set()
        for listing, result in zip(listings, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            (whole if result else broken).update(listing.competition_ids)
        self.listed = ListedCompetitions(frozenset(whole - broken), frozenset(broken), is_tree_whole)

    async def fetch(self, header: EventHeader) -> RawBody:
        """See BookmakerClient."""
        answer = await self._ask(self._site.event(header))
        encoding = answer.headers.get("content-encoding")
        return RawBody(self.platform, answer.content, encoding, header, self._settings.max_body_bytes)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _list(self, listing: Listing, found: asyncio.Queue[Sequence[EventHeader] | None]) -> bool:
        """Put all pages of one listing into `found`, then None, whatever happens; whether the listing is whole."""
        is_whole = True
        try:
            page: Listing | None = listing
            while page is not None:
                plain = await self._ask_plain(page.request)
                headers, errors, page = self._site.read_listing(plain, page)
                self.discovery_errors += errors
                is_whole = is_whole and not errors
                found.put_nowait(headers)
        except BookmakerError as error:
            self.discovery_errors.append(error)
            if isinstance(error, BlockedError):
                self.count_refusal()
            return False
        finally:
            found.put_nowait(None)
        return is_whole

    async def _ask_plain(self, request: Request) -> bytes:
        answer = await self._ask(request)
        encoding = answer.headers.get("content-encoding")
        return decompress(self.platform, answer.content, encoding, self._settings.max_body_bytes, request.where)

    async def _ask(self, request: Request) -> Answer:
        """A good answer, tried again where that could help."""
        settings = self._settings
        answer: Answer | None = None
        async for attempt in stamina.retry_context(
            on=_backoff,
            attempts=settings.request_tries,
            timeout=None,
            wait_initial=settings.retry_wait_seconds,
            wait_max=settings.retry_wait_max_seconds,
            wait_jitter=min(1.0, settings.retry_wait_seconds),
        ):
            with attempt:
                answer = await self._try(request)
        assert answer is not None
        if self._recorder is not None:
            await self._recorder.record(self.platform, request, answer, settings.max_body_bytes)
        return answer

    async def _try(self, request: Request) -> Answer:
        body = orjson.dumps(request.body) if request.body is not None else None
        headers = self._headers(body is not None)
        try:
            async with self._throttle.slot(self.turn_by):
                if self._throttle.is_resting:
                    count = self._throttle.refusals_in_a_row
                    raise BlockedError(self.platform, f"left alone for a while after {count} refusals in a row")
                self.requests += 1
                answer = await self._transport.request(
                    request.method,
                    self._origin + request.path,
                    headers=headers,
                    params=request.query,
                    body=body,
                    timeout_seconds=self._settings.request_timeout_seconds,
                )
            self._refuse_bad_status(answer)
            self._refuse_bad_start(answer)
        except BookmakerError as error:
            error.where = error.where or request.where
            raise
        return answer

    def _headers(self, has_body: bool) -> Mapping[str, str]:
        headers = {
            "user-agent": _USER_AGENT,
            "accept-encoding": ACCEPT_ENCODING,
            "referer": f"{self._origin}/",
            **self._site.headers,
        }
        if has_body:
            headers["content-type"] = "application/json;charset=UTF-8"
        return headers

    def _refuse_bad_status(self, answer: Answer) -> None:
        status = answer.status
        if status == 200:
            return
        if status == 429:
            seconds = retry_after_seconds(answer.headers.get("retry-after"))
            if seconds is not None and seconds <= MAX_RETRY_AFTER_SECONDS:
                self._throttle.pause(seconds)
            raise RateLimitedError(self.platform, "too many requests (429)", status=status, retry_after_seconds=seconds)
        # A firewall in front of a site challenges with an empty 202, or does not allow the method.
        if status in (202, 401, 403, 405):
            raise BlockedError(self.platform, f"refused ({status})", status=status)
        if status in (404, 410):
            raise NotFoundError(self.platform, f"not there ({status})", status=status)
        if status >= 500:
            raise ServerFaultError(self.platform, f"a fault of the server ({status})", status=status)
        raise MalformedBodyError(self.platform, f"an answer with status {status}", status=status)

    def _refuse_bad_start(self, answer: Answer) -> None:
        """What the first bytes show: nothing at all is asked for again, a page of HTML is a refusal."""
        start = _start(answer)
        if start == b"":
            raise EmptyBodyError(self.platform, "an empty body", status=answer.status)
        if start is not None and start.startswith(b"<"):
            raise BlockedError(self.platform, "an HTML page where JSON was due", status=answer.status)


def _backoff(error: Exception) -> bool | float:
    """Whether to try again: False, True, or after so many seconds."""
    if isinstance(error, RateLimitedError):
        asked = error.retry_after_seconds
        return True if asked is None else asked if asked <= MAX_RETRY_AFTER_SECONDS else False
    return isinstance(error, UnreachableError | ServerFaultError)


def _start(answer: Answer) -> bytes | None:
    """The first bytes of a body that are not blank; None where only decoding all of it can tell."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity") or not answer.content:
        start, is_all = answer.content[:_PEEK_BYTES], len(answer.content) <= _PEEK_BYTES
    elif encoding in ("gzip", "x-gzip"):
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            start, is_all = inflater.decompress(answer.content, _PEEK_BYTES), inflater.eof
        except zlib.error:
            return None
    else:
        return None
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start if start or is_all else None
