"""The client of a bookmaker: discovery of events and fetching of their bodies, the same for all sites.

A `Site` knows the requests and the JSON of its bookmaker, a `Requester` sends the requests.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Protocol

from quart_odds.bookmakers.bodies import RawBody
from quart_odds.bookmakers.discovery import Discovery, ListRead
from quart_odds.bookmakers.kept_lists import KeptLists
from quart_odds.bookmakers.lists import RawList
from quart_odds.bookmakers.politeness import Priority, Throttle
from quart_odds.bookmakers.recorder import Recorder
from quart_odds.bookmakers.requester import Requester
from quart_odds.bookmakers.site import Listing, Listings, Page, Request, Site
from quart_odds.bookmakers.sweep import Choose, PageSweep, chosen
from quart_odds.bookmakers.transport import Transport
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedCompetitions, ListedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, IncompleteListError
from quart_odds.settings import Settings


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

    `listed` tells which competitions the last finished discovery or sweep listed completely; it is empty until then.
    `turn_by` is a time of the event loop's clock: requests that have not started by then raise TimeoutError.
    """

    platform: Platform
    turn_by: float | None
    discovery_errors: list[BookmakerError]
    listed: ListedCompetitions

    @property
    def lists_read(self) -> Mapping[str, ListRead]:
        """The lists that the last discovery or sweep has read so far, by name."""
        ...

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

    def discover(self) -> AsyncGenerator[ListedEvent, None]:
        """Yield the upcoming football events as they are found, each once, with the prices that the lists carry.

        Reads the list of competitions and then theirs. Errors of single competitions or events are added to
        `discovery_errors`, which each discovery clears first; the others continue. Lists that exceed the limits are
        read up to the limit: `discovery_errors` then has a ListLimitError and `listed` stays empty. Raises
        BookmakerError if the list of competitions itself is not available.
        """
        ...

    def sweep(self, choose: Choose | None = None) -> AsyncGenerator[ListedEvent, None]:
        """Yield the upcoming football events like `discover`, with as few requests as the site allows.

        A list of competitions is kept for five minutes. `choose` gets the names of all lists, except one that is read
        in any case, and returns those to read, in order; without it all are read. What is not read counts as
        incomplete in `listed`. Raises BookmakerError if the list of competitions, or the first page of a list of all
        events, is not available, and ValueError if `choose` returns another name.
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
        kept: KeptLists | None = None,
        priority: Priority = Priority.FULL,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.platform = site.platform
        self.discovery_errors: list[BookmakerError] = []
        self.listed = ListedCompetitions()
        self.lists_read: Mapping[str, ListRead] = {}
        self._site = site
        self._settings = settings
        self._transport = transport
        self._throttle = throttle
        self._reader = reader
        self._kept = kept or KeptLists()
        self._requester = Requester(site, settings, transport, throttle, recorder, priority, now)

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

    async def discover(self) -> AsyncGenerator[ListedEvent, None]:
        """See BookmakerClient."""
        work = self._begin()
        listings, errors = await self._read_root()
        work.note(errors)
        async with aclosing(work.events([listings])) as found:
            async for listed in found:
                yield listed
        self.listed = work.end(is_tree_whole=not errors)

    async def sweep(self, choose: Choose | None = None) -> AsyncGenerator[ListedEvent, None]:
        """See BookmakerClient."""
        work = self._begin()
        pages: PageSweep | None = None
        rounds: Iterable[Sequence[Listing]]
        is_whole = False
        if self._site.whole_list is not None:
            pages = PageSweep(self.platform, work, self._site.whole_list, self._kept)
            rounds = pages.rounds(choose)
        else:
            kept = self._kept.tree()
            listings, errors = kept or await self._read_root()
            work.note(errors)
            is_whole = kept is None and not errors
            selected = chosen(listings, choose)
            work.leave_out(listings, selected)
            rounds = [selected]
        async with aclosing(work.events(rounds)) as found:
            async for listed in found:
                yield listed
        if any(isinstance(error, IncompleteListError) for error in work.errors):
            self._kept.doubt()
        self.listed = work.end(is_tree_whole=pages.is_whole if pages is not None else is_whole)

    async def fetch(self, header: EventHeader) -> RawBody:
        """See BookmakerClient."""
        answer = await self._requester.ask(self._site.event(header))
        encoding = answer.headers.get("content-encoding")
        return RawBody(
            self.platform, answer.content, encoding, header, self._settings.max_body_bytes, answer.received_at
        )

    def release(self, raw: RawBody) -> None:
        """See BookmakerClient."""
        self._requester.release(raw.content)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _begin(self) -> Discovery:
        """Forget the last discovery or sweep, and begin another one."""
        at_once = self._settings.concurrency(self.platform)
        work = Discovery(self.platform, self._read_page, self.count_refusal, at_once)
        self.discovery_errors = work.errors
        self.lists_read = work.lists_read
        self.listed = ListedCompetitions()
        return work

    async def _read_root(self) -> Listings:
        raw = await self._ask_list(self._site.root(), None)
        try:
            tree = await self._reader.read_root(raw)
        finally:
            self._requester.release(raw.content)
        self._kept.keep(tree)
        return tree

    async def _read_page(self, listing: Listing) -> Page:
        raw = await self._ask_list(listing.request, listing)
        try:
            return await self._reader.read_page(raw)
        finally:
            self._requester.release(raw.content)

    async def _ask_list(self, request: Request, listing: Listing | None) -> RawList:
        answer = await self._requester.ask(request)
        encoding = answer.headers.get("content-encoding")
        most = self._settings.max_body_bytes
        return RawList(self.platform, answer.content, encoding, request.where, listing, most, answer.received_at)
