"""The client of a bookmaker: discovery of events and fetching of their bodies, the same for all three sites.

A `Site` knows the requests and the JSON of its bookmaker, a `Requester` sends the requests.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

from quart_odds.bookmakers.bodies import RawBody
from quart_odds.bookmakers.lists import MAX_LISTINGS, RawList
from quart_odds.bookmakers.politeness import Priority, Throttle
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.requester import Requester
from quart_odds.bookmakers.sites import Listing, Listings, Page, Request, Site
from quart_odds.bookmakers.transport import Transport
from quart_odds.domain.odds import EventHeader, ListedCompetitions
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, BookmakerError, ListLimitError, MalformedBodyError
from quart_odds.settings import Settings

MAX_EVENTS = 20_000
"""Events in one discovery. The largest bookmaker lists about 1,500."""

MAX_PAGES = 100
"""Pages of one list. A list of ten competitions of this length has almost ten thousand events."""

MAX_PAGES_IN_ALL = 5_000
"""Pages in one discovery. A real one has about 400."""

MAX_ERRORS = 1_000
"""Errors kept individually in one discovery. Further errors are only counted."""


class ListReader(Protocol):
    """Parses the bodies of lists. Implemented by Decoder."""

    async def read_root(self, raw: RawList) -> Listings:
        """Parse the list of competitions. Raises BookmakerError if the body is not such a list."""
        ...

    async def read_page(self, raw: RawList) -> Page:
        """Parse a page of events. Raises BookmakerError if the body is not such a page."""
        ...


class BookmakerClient(Protocol):
    """A rate-limited client for one bookmaker.

    `listed` tells which competitions the last finished discovery listed completely; it is empty until then. `turn_by`
    is a time of the event loop's clock: requests that have not started by then raise TimeoutError.
    """

    platform: Platform
    turn_by: float | None
    discovery_errors: list[BookmakerError]
    listed: ListedCompetitions

    @property
    def requests(self) -> int:
        """How many requests were sent, retries included."""
        ...

    @property
    def refusals_in_a_row(self) -> int:
        """How many requests in a row the bookmaker has refused, counted over all its clients."""
        ...

    def count_refusal(self) -> None:
        """Count a refused request. Also called when decoding reveals that a body is a refusal."""
        ...

    def forget_refusals(self) -> None:
        """Reset the count of refusals, because a body was decoded successfully or a new attempt was requested."""
        ...

    def discover(self) -> AsyncIterator[EventHeader]:
        """Yield the upcoming football events as they are found, each once.

        Errors of single competitions or events are added to `discovery_errors`, which each discovery clears first; the
        others continue. Lists that exceed the limits are read up to the limit: `discovery_errors` then has a
        ListLimitError and `listed` stays empty. Raises BookmakerError if the list of competitions itself is not
        available.
        """
        ...

    async def fetch(self, header: EventHeader) -> RawBody:
        """Fetch an event with all its prices, not decoded yet.

        Call `release` when the body has been decoded. Raises BookmakerError naming the event.
        """
        ...

    def release(self, raw: RawBody) -> None:
        """Free the memory reserved for a body that was decoded or given up. Only one large body is held at a time."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class SiteClient:
    """A BookmakerClient for the site that a `Site` describes."""

    def __init__(
        self,
        site: Site,
        settings: Settings,
        transport: Transport,
        throttle: Throttle,
        reader: ListReader,
        recorder: Recorder | None = None,
        priority: Priority = Priority.FULL,
    ) -> None:
        self.platform = site.platform
        self.discovery_errors: list[BookmakerError] = []
        self.listed = ListedCompetitions()
        self._site = site
        self._settings = settings
        self._transport = transport
        self._throttle = throttle
        self._reader = reader
        self._requester = Requester(site, settings, transport, throttle, recorder, priority)
        self._pages = 0
        self._listed_events = 0
        self._more_errors = 0
        self._is_limited = self._is_full = False

    @property
    def requests(self) -> int:
        """See BookmakerClient."""
        return self._requester.requests

    @property
    def turn_by(self) -> float | None:
        """See BookmakerClient."""
        return self._requester.turn_by

    @turn_by.setter
    def turn_by(self, at: float | None) -> None:
        self._requester.turn_by = at

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
        # Large enough for every page plus the final None of every task, so put_nowait() never fails.
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
        answer = await self._requester.ask(self._site.event(header))
        encoding = answer.headers.get("content-encoding")
        return RawBody(self.platform, answer.content, encoding, header, self._settings.max_body_bytes)

    def release(self, raw: RawBody) -> None:
        """See BookmakerClient."""
        self._requester.release(raw.content)

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
        """Read listings from `left` until none remain, then put None into `found` in any case."""
        try:
            for listing in left:
                if self._is_full:
                    return
                (whole if await self._list(listing, found) else broken).update(listing.competition_ids)
        finally:
            found.put_nowait(None)

    async def _list(self, listing: Listing, found: asyncio.Queue[Sequence[EventHeader] | None]) -> bool:
        """Put all pages of a listing into `found`. Returns whether the listing is complete."""
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
        """Raise ListLimitError if another page would exceed a limit."""
        if pages >= MAX_PAGES:
            raise ListLimitError(self.platform, f"a list of more than {MAX_PAGES} pages", where=listing.name)
        if self._pages >= MAX_PAGES_IN_ALL:
            self._is_full = True
            raise ListLimitError(self.platform, f"lists of more than {MAX_PAGES_IN_ALL} pages in all")

    def _note(self, errors: Sequence[BookmakerError]) -> None:
        """Keep errors of lists, without any part of the bodies."""
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
            self._requester.release(raw.content)

    async def _read_page(self, listing: Listing) -> Page:
        raw = await self._ask_list(listing.request, listing)
        try:
            return await self._reader.read_page(raw)
        finally:
            self._requester.release(raw.content)

    async def _ask_list(self, request: Request, listing: Listing | None) -> RawList:
        answer = await self._requester.ask(request)
        encoding = answer.headers.get("content-encoding")
        return RawList(self.platform, answer.content, encoding, request.where, listing, self._settings.max_body_bytes)
