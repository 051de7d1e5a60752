"""One discovery or sweep: reads lists side by side, within limits, and collects what they had."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from quart_odds.bookmakers.lists import MAX_LISTINGS
from quart_odds.bookmakers.site import Listing, Page
from quart_odds.domain.odds import ListedCompetitions, ListedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, BookmakerError, ListLimitError, MalformedBodyError

MAX_EVENTS = 20_000
"""Events in one discovery. The largest bookmaker lists about 1,500."""

MAX_PAGES = 100
"""Pages of one list. A list of ten competitions of this length has almost ten thousand events."""

MAX_PAGES_IN_ALL = 5_000
"""Pages in one discovery. A real one has about 400."""

MAX_ERRORS = 1_000
"""Errors kept individually in one discovery. Further errors are only counted."""

_Found = asyncio.Queue[Sequence[ListedEvent] | None]


@dataclass(frozen=True, slots=True)
class ListRead:
    """What a list took and had: requests, retries not included, and events. `is_complete` if it had no errors."""

    requests: int = 0
    events: int = 0
    is_complete: bool = False


@dataclass(slots=True)
class Tally:
    """What the pages of a `WholeList` add up to.

    `ids` are those of all entries, `totals` the numbers of events that the pages announce, and `new_entries` the
    numbers of entries that no page before had, by the name of the page. `has_moved` means that an entry came on two
    pages, so that another one may have slipped through.
    """

    ids: set[str] = field(default_factory=set)
    new_entries: dict[str, int] = field(default_factory=dict)
    totals: set[int | None] = field(default_factory=set)
    has_moved: bool = False

    def add(self, name: str, page: Page) -> None:
        """Add a page."""
        new = page.ids - self.ids
        self.new_entries[name] = len(new)
        self.has_moved = self.has_moved or len(new) < len(page.ids)
        self.ids |= new
        self.totals.add(page.total)


class Discovery:
    """Reads lists with `read_page`, `at_once` at a time, and yields their events, each once.

    Errors of single lists or events are added to `errors`; the others continue. `lists_read` has the lists by name,
    `whole` and `broken` are the competitions whose lists had no errors or some. `count_refusal` is called for each
    request that was refused.
    """

    def __init__(
        self,
        platform: Platform,
        read_page: Callable[[Listing], Awaitable[Page]],
        count_refusal: Callable[[], None],
        at_once: int,
    ) -> None:
        self.errors: list[BookmakerError] = []
        self.lists_read: dict[str, ListRead] = {}
        self.whole: set[str] = set()
        self.broken: set[str] = set()
        self.tally = Tally()
        self.is_limited = False
        self._platform = platform
        self._read_page = read_page
        self._count_refusal = count_refusal
        self._at_once = at_once
        self._seen: set[str] = set()
        self._pages = 0
        self._listed_events = 0
        self._more_errors = 0
        self._is_full = False
        self._may_lack_any = False

    async def events(self, rounds: Iterable[Sequence[Listing]]) -> AsyncGenerator[ListedEvent, None]:
        """Read lists and yield their events as they are found, each once.

        The lists of a round are read side by side. The next round begins once they have been read, so `rounds` may
        depend on what they had. Raises the BookmakerError of a required list.
        """
        for listings in rounds:
            async with aclosing(self._round(listings)) as found:
                async for listed in found:
                    if listed.header.external_id not in self._seen:
                        self._seen.add(listed.header.external_id)
                        yield listed
                        # Whoever reads them records odds meanwhile: a page in one turn would hold up everyone else.
                        await asyncio.sleep(0)

    async def _round(self, listings: Sequence[Listing]) -> AsyncGenerator[ListedEvent, None]:
        # Large enough for every page plus the final None of every task, so put_nowait() never fails.
        found: _Found = asyncio.Queue(MAX_PAGES_IN_ALL + MAX_LISTINGS)
        left = iter(listings)
        at_once = min(len(listings), self._at_once)
        tasks = [asyncio.create_task(self._list_each(left, found)) for _ in range(at_once)]
        try:
            going = len(tasks)
            while going:
                page = await found.get()
                if page is None:
                    going -= 1
                    continue
                for listed in page:
                    yield listed
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def leave_out(self, listings: Sequence[Listing], selected: Sequence[Listing]) -> None:
        """Count the competitions of lists that are not selected as broken."""
        names = {listing.list_name for listing in selected}
        for listing in listings:
            if listing.list_name not in names:
                self._break(listing)

    def note(self, errors: Sequence[BookmakerError]) -> None:
        """Keep errors of lists, without any part of the bodies."""
        for error in errors:
            self.is_limited = self.is_limited or isinstance(error, ListLimitError)
            if len(self.errors) < MAX_ERRORS:
                self.errors.append(error.bare())
            else:
                self._more_errors += 1

    def end(self, *, is_tree_whole: bool) -> ListedCompetitions:
        """Return which competitions were listed completely: none if a limit was exceeded.

        A list that names no competitions may have any. Without it, a competition that was not seen may have events.
        """
        if self._more_errors:
            self.errors.append(MalformedBodyError(self._platform, f"{self._more_errors} more faults in lists"))
        if self.is_limited:
            return ListedCompetitions()
        return ListedCompetitions(
            frozenset(self.whole - self.broken), frozenset(self.broken), is_tree_whole and not self._may_lack_any
        )

    async def _list_each(self, left: Iterator[Listing], found: _Found) -> None:
        """Read listings from `left` until none remain, then put None into `found` in any case."""
        try:
            for listing in left:
                if self._is_full:
                    return
                if await self._list(listing, found):
                    self.whole.update(listing.competition_ids)
                else:
                    self._break(listing)
        finally:
            found.put_nowait(None)

    def _break(self, listing: Listing) -> None:
        self.broken.update(listing.competition_ids)
        self._may_lack_any = self._may_lack_any or not listing.competition_ids

    async def _list(self, listing: Listing, found: _Found) -> bool:
        """Put all pages of a listing into `found`. Returns whether the listing is complete."""
        is_whole = True
        following: Listing | None = listing
        pages = events = 0
        try:
            while following is not None:
                self._refuse_more(listing, pages)
                pages += 1
                self._pages += 1
                page = await self._read_page(following)
                following = page.following
                self.note(page.errors)
                self.tally.add(listing.list_name, page)
                is_whole = is_whole and not page.errors
                events += len(page.events)
                self._put(page.events, found)
        except BookmakerError as error:
            if listing.is_required:
                raise
            self.note([error])
            if isinstance(error, BlockedError):
                self._count_refusal()
            is_whole = False
        self.lists_read[listing.list_name] = ListRead(pages, events, is_whole)
        return is_whole

    def _put(self, events: Sequence[ListedEvent], found: _Found) -> None:
        """Put the events of a page into `found`. Raises ListLimitError if they are too many in all."""
        room = max(0, MAX_EVENTS - self._listed_events)
        found.put_nowait(events[:room])
        self._listed_events += len(events)
        if len(events) > room:
            self._is_full = True
            raise ListLimitError(self._platform, f"lists of more than {MAX_EVENTS} events in all")

    def _refuse_more(self, listing: Listing, pages: int) -> None:
        """Raise ListLimitError if another page would exceed a limit."""
        if pages >= MAX_PAGES:
            raise ListLimitError(self._platform, f"a list of more than {MAX_PAGES} pages", where=listing.name)
        if self._pages >= MAX_PAGES_IN_ALL:
            self._is_full = True
            raise ListLimitError(self._platform, f"lists of more than {MAX_PAGES_IN_ALL} pages in all")
