"""What one bookmaker's part of a round asks for and concludes, with a fake bookmaker and a simulated clock."""

from collections.abc import AsyncGenerator, Collection, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from quart_odds.bookmakers import ListRead, RawBody
from quart_odds.bookmakers.sweep import Choose
from quart_odds.domain.odds import EventHeader, ListedCompetitions, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, NotFoundError, ServerFaultError
from quart_odds.odds import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.event_odds import EventOdds
from quart_odds.scraping.progress_tracker import PlatformTracker
from quart_odds.scraping.rounds import LIST_SHARE, MOST_KEPT_REQUESTS, Rounds
from quart_odds.scraping.sweep import sweep_platform
from tests.odds.making import odds_at
from tests.scraping.fakes import KICKOFF, FakeBookmaker, FakeDecoder

BETPAWA = Platform.BETPAWA
INTERVAL = 5.0


class CacheSink:
    """Records into a cache, as the odds service does, without a database."""

    def __init__(self) -> None:
        self.cache = OddsCache()

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> EventChange:
        """Record one event."""
        return self.cache.apply(mapped, seen_at)

    def knows(self, platform: Platform, external_id: str) -> bool:
        """Whether the cache has it."""
        return self.cache.knows(platform, external_id)

    async def mark_missing(
        self, platform: Platform, seen: Mapping[str, datetime], at: datetime, listed: ListedCompetitions
    ) -> list[EventChange]:
        """Record which events were listed."""
        return self.cache.mark_missing(platform, seen, at, listed=listed, believe_after=timedelta(minutes=5))

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> EventChange | None:
        """Mark an event as gone."""
        return self.cache.withdraw(platform, external_id, at)

    async def confirm(self) -> None:
        """Do nothing: the cache has it at once."""


class DatedBookmaker(FakeBookmaker):
    """Dates its answers by the table's clock, and notes which events it is asked for.

    Its lists have names, and all events are in the first one. A sweep always reads `first_pages` pages as well.
    """

    def __init__(self, table: "Table", events: int) -> None:
        super().__init__(BETPAWA, events)
        self.asked: list[int] = []
        self.names = ["list"]
        self.first_pages = 0
        self.list_requests = 0
        self._table = table

    async def sweep(self, choose: Choose | None = None) -> AsyncGenerator[ListedEvent, None]:
        """See FakeBookmaker. Each list takes a request, and so does each page that is always read."""
        self._ask_list(self.first_pages)
        chosen = choose(self.names) if choose is not None else self.names
        self._ask_list(len(chosen))
        self.lists_read = {name: ListRead(1, self.events, is_complete=True) for name in chosen}
        is_whole = bool(self.first_pages) or "list" in chosen
        self.listed = ListedCompetitions(is_tree_whole=is_whole)
        if is_whole:
            async for listed in super().sweep():
                yield listed

    def _ask_list(self, count: int) -> None:
        self.requests += count
        self.list_requests += count
        self._table.take_time(count)

    async def fetch(self, header: EventHeader) -> RawBody:
        """See FakeBookmaker."""
        self.asked.append(int(header.external_id))
        self._table.take_time(1)
        self.fetched_at = self._table.now
        return await super().fetch(header)


class Table:
    """Rounds at one bookmaker.

    If requests take time, each takes what the budget lets it wait. Otherwise the clock stands still in a round.
    """

    def __init__(self, events: int = 20, *, rate: float = 5.0, interval: float = INTERVAL) -> None:
        self.now = datetime(2026, 11, 30, 12, tzinfo=UTC)
        self.rate = rate
        self.interval = interval
        self.requests_take_time = False
        self.busy: Collection[Platform] = ()
        self.sink = CacheSink()
        self.decoder = FakeDecoder()
        self.bookmaker = DatedBookmaker(self, events)
        self.rounds = Rounds(
            self.sink.cache,
            rate=lambda _: self.rate,
            interval_seconds=lambda: self.interval,
            max_detail_age_seconds=1800,
            is_busy=lambda platform: platform in self.busy,
            watched=(),
            now=lambda: self.now,
            clock=lambda: self.now.timestamp(),
        )

    async def round(self) -> list[int]:
        """Make a round, and let its interval pass. Returns the events whose details were asked for."""
        began = self.now
        self.bookmaker.asked = []
        self.bookmaker.fetched_at = self.now
        tracker = PlatformTracker(BETPAWA)
        part = self.rounds.begin(BETPAWA)
        await sweep_platform(self.bookmaker, tracker, self.sink, lambda: self.now, self.decoder, part)
        # A round that takes longer than its interval makes the next ones be skipped.
        while began <= self.now:
            began += timedelta(seconds=self.interval)
        self.now = began
        return self.bookmaker.asked

    def take_time(self, requests: int) -> None:
        """Let the time pass that the budget has for requests."""
        if self.requests_take_time:
            self.now += timedelta(seconds=requests / self.rate)

    def odds(self, number: int) -> EventOdds:
        """Return what the cache has of an event."""
        found = odds_at(self.sink.cache, BETPAWA, str(number))
        assert found is not None
        return found

    def gone(self) -> set[int]:
        """Return the events that are gone."""
        return {number for number in range(self.bookmaker.events) if self.odds(number).gone_at is not None}

    def missed(self) -> set[int]:
        """Return the events that a complete list lacked."""
        return {number for number in range(self.bookmaker.events) if self.odds(number).missed_at is not None}


async def test_events_whose_details_fail_are_not_asked_for_in_every_round() -> None:
    """Whatever fails: the request, the body, or the event is not found. All others get their details."""
    table = Table(100)
    errors = {0: ServerFaultError(BETPAWA, "broken"), 1: NotFoundError(BETPAWA, "not found")}
    table.bookmaker.fetch_error = lambda number: errors.get(number)
    table.decoder.error = lambda raw: MalformedBodyError(BETPAWA, "x") if raw.header.external_id == "2" else None
    asked = [number for _ in range(10) for number in await table.round()]
    assert {number: asked.count(number) for number in (0, 1, 2)} == {0: 1, 1: 1, 2: 1}
    assert all(table.odds(number).detailed_at is not None for number in range(3, 100))


@pytest.mark.parametrize("first_pages", [0, 1], ids=["lists of a tree", "a first page"])
@pytest.mark.parametrize("interval", [2.0, 5.0, 30.0])
@pytest.mark.parametrize("rate", [5 / 16, 0.5, 1.0])
async def test_lists_and_details_both_go_on_at_a_small_budget(rate: float, interval: float, first_pages: int) -> None:
    """Even if a round has less than one request: each gets at least a fifth of all that the budget allows."""
    table = Table(40, rate=rate, interval=interval)
    table.requests_take_time = True
    table.bookmaker.first_pages = first_pages
    table.bookmaker.names = ["list", *(f"list {number}" for number in range(12))]
    began, details = table.now, 0
    while (seconds := (table.now - began).total_seconds()) < 600:
        details += len(await table.round())
    allowed = rate * seconds
    assert 0.2 * allowed < table.bookmaker.list_requests < 0.6 * allowed
    assert 0.2 * allowed < details
    assert details + table.bookmaker.list_requests <= allowed + 1
    assert table.gone() == table.missed() == set()


async def test_what_is_always_read_counts_as_lists() -> None:
    """The first page of a list of all events, or the tree, leaves fewer requests to further lists."""
    table = Table()
    table.bookmaker.names = [f"list {number}" for number in range(100)]
    table.bookmaker.first_pages = 3
    await table.round()
    assert table.bookmaker.list_requests == int(LIST_SHARE * table.rate * INTERVAL + MOST_KEPT_REQUESTS)


async def test_requests_that_were_not_spent_are_not_saved_up() -> None:
    """After a long time with nothing to do, a round has hardly more requests than any other."""
    table = Table(3)
    for _ in range(100):
        await table.round()
    table.bookmaker.names = [f"list {number}" for number in range(100)]
    table.bookmaker.events = 100
    before = table.bookmaker.list_requests
    details = len(await table.round())
    assert table.bookmaker.list_requests - before <= LIST_SHARE * table.rate * INTERVAL + 1
    assert details <= table.rate * INTERVAL + 1


async def test_details_stop_only_while_a_full_run_fetches_them_at_the_same_bookmaker() -> None:
    """A full run at another bookmaker changes nothing."""
    table = Table(5)
    table.busy = [BETPAWA]
    assert await table.round() == []
    table.busy = [Platform.SPORTYBET, Platform.BET9JA]
    assert sorted(await table.round()) == [0, 1, 2, 3, 4]


async def test_a_withdrawn_event_that_a_later_list_shows_is_asked_for_again_and_returns() -> None:
    """Lists do not bring it back, but its own body does. While that fails, it waits longer each time."""
    table = Table(20)
    await table.round()
    await table.sink.withdraw(BETPAWA, "3", table.now)
    table.bookmaker.fetch_error = lambda number: NotFoundError(BETPAWA, "not found") if number == 3 else None
    table.now += timedelta(seconds=1)
    asked = [number for _ in range(60) for number in await table.round()]
    assert 2 <= asked.count(3) <= 4
    assert table.gone() == {3}
    table.bookmaker.fetch_error = lambda _: None
    for _ in range(100):
        await table.round()
    assert table.gone() == set()


async def test_a_withdrawn_event_that_no_list_shows_or_that_has_begun_is_left_alone() -> None:
    """There is nothing to expect of its body."""
    table = Table(20)
    await table.round()
    await table.sink.withdraw(BETPAWA, "19", table.now)
    table.bookmaker.events = 19
    assert 19 not in [number for _ in range(10) for number in await table.round()]
    table.bookmaker.events = 20
    table.now = KICKOFF
    assert await table.round() == []


async def test_an_event_in_play_is_not_asked_for_again_while_the_list_says_so() -> None:
    """Its list entry proves that it is still in play."""
    table = Table(20)
    await table.round()
    table.bookmaker.playing = {3}
    assert 3 not in [number for _ in range(20) for number in await table.round()]
    assert table.gone() == {3}
    table.bookmaker.playing = set()
    await table.round()
    assert table.gone() == set()


@pytest.mark.parametrize("rate", [0.25, 5.0], ids=["one event a round", "many events a round"])
async def test_an_event_that_is_not_found_is_withdrawn_once_others_were_found(rate: float) -> None:
    """With the time when the bookmaker said so, however few events each round asks for."""
    table = Table(30, rate=rate)
    said: list[datetime] = []

    def error(number: int) -> NotFoundError | None:
        if number == 7:
            said.append(table.now)
        return NotFoundError(BETPAWA, "not found") if number == 7 else None

    table.bookmaker.fetch_error = error
    for _ in range(200):
        await table.round()
        if table.gone():
            break
    assert table.gone() == {7}
    assert table.odds(7).gone_at == said[0]


async def test_nothing_is_withdrawn_when_the_address_changes_however_small_the_rounds_are() -> None:
    """Each round asks for one or two events, and finds none. What fails otherwise says nothing."""
    table = Table(30, rate=0.5)
    for _ in range(20):
        await table.round()
    errors = [NotFoundError(BETPAWA, "not found"), ServerFaultError(BETPAWA, "broken")]
    table.bookmaker.fetch_error = lambda number: errors[number % 5 == 0]
    for _ in range(100):
        await table.round()
    assert table.gone() == set()


async def test_a_list_without_prices_leaves_its_requests_to_details() -> None:
    """It is read once a minute, to learn which events there are."""
    table = Table(200)
    table.bookmaker.bare = set(range(200))
    details = [len(await table.round()) for _ in range(24)]
    assert table.bookmaker.list_requests == 2
    assert sum(details) > 0.85 * table.rate * INTERVAL * len(details)
