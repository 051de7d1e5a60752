"""What the three bookmakers' clients share: politeness, retries, errors, and discovery that flows.

A site's own module knows its addresses and JSON (`Site`); a client asks for them and hands on headers and raw bodies.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Protocol

import orjson
import stamina

from quart_odds.bookmakers.bodies import ACCEPT_ENCODING, RawBody
from quart_odds.bookmakers.lists import MAX_LISTINGS, RawList
from quart_odds.bookmakers.politeness import MAX_RETRY_AFTER_SECONDS, Throttle, retry_after_seconds
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.room import BodyRoom
from quart_odds.bookmakers.sites import Listing, Listings, Page, Request, Site
from quart_odds.bookmakers.transport import Answer, Transport
from quart_odds.domain.odds import EventHeader, ListedCompetitions
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    EmptyBodyError,
    ListLimitError,
    MalformedBodyError,
    NotFoundError,
    RateLimitedError,
    ServerFaultError,
    UnreachableError,
)
from quart_odds.settings import Settings

_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36"


MAX_EVENTS = 20_000
"""Events that one discovery takes in: the largest bookmaker lists some 1,500."""

MAX_PAGES = 100
"""Pages of one list: of ten competitions, with nearly ten thousand events."""

MAX_PAGES_IN_ALL = 5_000
"""Pages of one discovery: a real one has about 400."""

MAX_ERRORS = 1_000
"""Faults of one discovery that are kept one by one; of the others only their number is told."""

_PEEK_BYTES = 64
"""As much of a body as shows that it is empty, or a page of HTML."""


class ListReader(Protocol):
    """Reads bodies of lists: the Decoder."""

    async def read_root(self, raw: RawList) -> Listings:
        """The lists that a root names. Raises BookmakerError where it is no root."""
        ...

    async def read_page(self, raw: RawList) -> Page:
        """A page of a list. Raises BookmakerError where it is none."""
        ...


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
        the others go on. Where lists have more than any bookmaker has, they are read up to a limit and a ListLimitError
        is among the errors; `listed` then covers nothing. Raises BookmakerError where the list of competitions itself
        cannot be had.
        """
        ...

    async def fetch(self, header: EventHeader) -> RawBody:
        """An event with all its prices, not yet decoded; `release` it. Raises BookmakerError naming the event."""
        ...

    def release(self, raw: RawBody) -> None:
        """This body is decoded, or given up: large bodies are held one at a time."""
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
        reader: ListReader,
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
        self._reader = reader
        self._room = BodyRoom()
        self._pages = 0
        self._listed_events = 0
        self._more_errors = 0
        self._is_limited = self._is_full = False

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
        self._pages = self._listed_events = self._more_errors = 0
        self._is_limited = self._is_full = False
        listings, errors = await self._read_root()
        self._note(errors)
        is_tree_whole = not errors
        # Each page is put once, and each task puts its end: it is never full.
        found: asyncio.Queue[Sequence[EventHeader] | None] = asyncio.Queue(MAX_PAGES_IN_ALL + MAX_LISTINGS)
        whole: set[str] = set()
        broken: set[str] = set()
        left = iter(listings)
        at_once = min(len(listings), self._settings.concurrency(self.platform))
        tasks = [asyncio.create_task(self._list_each(left, found, whole, broken)) for _ in range(at_once)]
        seen: set[str] = set()
        try:
            going = len(tasks)
            while going:
                headers = await found.get()
                if headers is None:
                    going -= 1
                    continue
                for header in headers:
                    if header.external_id not in seen:
                        seen.add(header.external_id)
                        yield header
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if self._more_errors:
            reason = f"{self._more_errors} more faults in lists"
            self.discovery_errors.append(MalformedBodyError(self.platform, reason))
        if not self._is_limited:
            self.listed = ListedCompetitions(frozenset(whole - broken), frozenset(broken), is_tree_whole)

    async def fetch(self, header: EventHeader) -> RawBody:
        """See BookmakerClient."""
        answer = await self._ask(self._site.event(header))
        encoding = answer.headers.get("content-encoding")
        return RawBody(self.platform, answer.content, encoding, header, self._settings.max_body_bytes)

    def release(self, raw: RawBody) -> None:
        """See BookmakerClient."""
        self._room.release(raw.content)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _list_each(
        self,
        left: Iterator[Listing],
        found: asyncio.Queue[Sequence[EventHeader] | None],
        whole: set[str],
        broken: set[str],
    ) -> None:
        """Read the lists that are left, then put None into `found`, whatever happens."""
        try:
            for listing in left:
                if self._is_full:
                    return
                (whole if await self._list(listing, found) else broken).update(listing.competition_ids)
        finally:
            found.put_nowait(None)

    async def _list(self, listing: Listing, found: asyncio.Queue[Sequence[EventHeader] | None]) -> bool:
        """Put all pages of one listing into `found`; whether the listing is whole."""
        is_whole = True
        page: Listing | None = listing
        pages = 0
        try:
            while page is not None:
                self._refuse_more(listing, pages)
                pages += 1
                self._pages += 1
                headers, errors, page = await self._read_page(page)
                self._note(errors)
                is_whole = is_whole and not errors
                room = max(0, MAX_EVENTS - self._listed_events)
                found.put_nowait(headers[:room])
                self._listed_events += len(headers)
                if len(headers) > room:
                    self._is_full = True
                    raise ListLimitError(self.platform, f"lists of more than {MAX_EVENTS} events in all")
        except BookmakerError as error:
            self._note([error])
            if isinstance(error, BlockedError):
                self.count_refusal()
            return False
        return is_whole

    def _refuse_more(self, listing: Listing, pages: int) -> None:
        """Raises ListLimitError where another page would be one too many."""
        if pages >= MAX_PAGES:
            raise ListLimitError(self.platform, f"a list of more than {MAX_PAGES} pages", where=listing.name)
        if self._pages >= MAX_PAGES_IN_ALL:
            self._is_full = True
            raise ListLimitError(self.platform, f"lists of more than {MAX_PAGES_IN_ALL} pages in all")

    def _note(self, errors: Sequence[BookmakerError]) -> None:
        """Keep what was wrong with lists, and nothing of their bodies."""
        for error in errors:
            self._is_limited = self._is_limited or isinstance(error, ListLimitError)
            if len(self.discovery_errors) < MAX_ERRORS:
                self.discovery_errors.append(error.bare())
            else:
                self._more_errors += 1

    async def _read_root(self) -> Listings:
        raw = await self._ask_list(self._site.root(), None)
        try:
            return await self._reader.read_root(raw)
        finally:
            self._room.release(raw.content)

    async def _read_page(self, listing: Listing) -> Page:
        raw = await self._ask_list(listing.request, listing)
        try:
            return await self._reader.read_page(raw)
        finally:
            self._room.release(raw.content)

    async def _ask_list(self, request: Request, listing: Listing | None) -> RawList:
        answer = await self._ask(request)
        encoding = answer.headers.get("content-encoding")
        return RawList(self.platform, answer.content, encoding, request.where, listing, self._settings.max_body_bytes)

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
        """One try. An error keeps nothing of the answer: it may be held for as long as the next try waits."""
        try:
            return await self._send(request)
        except BookmakerError as exc:
            fault = exc.bare()
        fault.where = fault.where or request.where
        raise fault

    async def _send(self, request: Request) -> Answer:
        body = orjson.dumps(request.body) if request.body is not None else None
        headers = self._headers(body is not None)
        place = self._room.place()
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
                    grow=place.grow,
                )
            self._refuse_bad_status(answer)
            self._refuse_bad_start(answer)
        except BaseException:
            place.leave()
            raise
        self._room.hold(place, answer.content)
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
