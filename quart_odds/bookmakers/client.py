"""What the three bookmakers' clients share: politeness, retries, errors, and discovery that flows.

A site's own module knows its addresses and JSON (`Site`); a client asks for them and hands on headers and raw bodies.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

from quart_odds.bookmakers.bodies import RawBody
from quart_odds.bookmakers.lists import MAX_LISTINGS, RawList
from quart_odds.bookmakers.politeness import Throttle
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.requester import Requester
from quart_odds.bookmakers.sites import Listing, Listings, Page, Request, Site
from quart_odds.bookmakers.transport import Transport
from quart_odds.domain.odds import EventHeader, ListedCompetitions
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, BookmakerError, ListLimitError, MalformedBodyError
from quart_odds.settings import Settings

MAX_EVENTS = 20_000
"""Events that one discovery takes in: the largest bookmaker lists some 1,500."""

MAX_PAGES = 100
"""Pages of one list: of ten competitions, with nearly ten thousand events."""

MAX_PAGES_IN_ALL = 5_000
"""Pages of one discovery: a real one has about 400."""

MAX_ERRORS = 1_000
"""Faults of one discovery that are kept one by one; of the others only their number is told."""


class ListReader(Protocol):
    """Reads bodies of lists: the Decoder."""

    async def read_root(self, raw: RawList) -> Listings:
        """The lists that a root names. Raises BookmakerError where it is no root."""
        ...

    async def read_page(self, raw: RawList) -> Page:
        """A page of a list. Raises BookmakerError where it is none."""
        ...


class BookmakerClient(Protocol):
    """One bookmaker, asked politely.

    `listed` says, after a discovery that came to its end, what it listed whole; nothing before. Where `turn_by` is a
    time of the loop, no request is begun after it: what waits for its turn then raises TimeoutError.
    """

    platform: Platform
    turn_by: float | None
    discovery_errors: list[BookmakerError]
    listed: ListedCompetitions

    @property
    def requests(self) -> int:
        """How many requests were sent, each try of them."""
        ...

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
        self.discovery_errors: list[BookmakerError] = []
        self.listed = ListedCompetitions()
        self._site = site
        self._settings = settings
        self._transport = transport
        self._throttle = throttle
        self._reader = reader
        self._requester = Requester(site, settings, transport, throttle, recorder)
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
