"""What one bookmaker's part of a round asks for and concludes, with a fake bookmaker and a simulated clock."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from quart_odds.bookmakers import RawBody
from quart_odds.domain.odds import EventHeader, ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, NotFoundError, ServerFaultError
from quart_odds.odds import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.event_odds import EventOdds
from quart_odds.scraping.progress_tracker import PlatformTracker
from quart_odds.scraping.rounds import Rounds
from quart_odds.scraping.sweep import sweep_platform
from tests.odds.making import odds_at
from tests.scraping.fakes import FakeBookmaker, FakeDecoder

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
        self, platform: Platform, seen_external_ids: set[str], at: datetime, listed: ListedCompetitions
    ) -> list[EventChange]:
        """Record which events were listed."""
        return self.cache.mark_missing(
            platform, seen_external_ids, at, listed=listed, believe_after=timedelta(minutes=5)
        )

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> EventChange | None:
        """Mark an event as gone."""
        return self.cache.withdraw(platform, external_id, at)

    async def confirm(self) -> None:
        """Do nothing: the cache has it at once."""


class DatedBookmaker(FakeBookmaker):
    """Dates its answers by the table's clock, and notes which events it is asked for."""

    def __init__(self, table: "Table", events: int) -> None:
        super().__init__(BETPAWA, events)
        self.asked: list[int] = []
        self._table = table

    async def fetch(self, header: EventHeader) -> RawBody:
        """See FakeBookmaker."""
        self.asked.append(int(header.external_id))
        self.fetched_at = self._table.now
        return await super().fetch(header)


class Table:
    """Rounds at one bookmaker. The clock stands still in a round and moves on between them."""

    def __init__(self, events: int = 20, *, rate: float = 5.0, interval: float = INTERVAL) -> None:
        self.now = datetime(2026, 11, 30, 12, tzinfo=UTC)
        self.rate = rate
        self.interval = interval
        self.busy: Collection[Platform] = ()
        self.sink = CacheSink()
        self.decoder = FakeDecoder()
        self.bookmaker = DatedBookmaker(self, events)
        self.rounds = Rounds(
            self.sink.cache,
            rate=lambda _: self.rate,
            interval_seconds=lambda: self.interval,
            max_detail_age_seconds=1800,
            is_busy=lambda: bool(self.busy),
            watched=(),
            now=lambda: self.now,
            clock=lambda: self.now.timestamp(),
        )

    async def round(self) -> list[int]:
        """Make a round, and let its interval pass. Returns the events whose details were asked for."""
        self.bookmaker.asked = []
        self.bookmaker.fetched_at = self.now
        tracker = PlatformTracker(BETPAWA)
        part = self.rounds.begin(BETPAWA)
        await sweep_platform(self.bookmaker, tracker, self.sink, lambda: self.now, self.decoder, part)
        self.now += timedelta(seconds=self.interval)
        return self.bookmaker.asked

    def odds(self, number: int) -> EventOdds:
        """Return what the cache has of an event."""
        found = odds_at(self.sink.cache, BETPAWA, str(number))
        assert found is not None
        return found

    def gone(self) -> set[int]:
        """Return the events that are gone."""
        return {number for number in range(self.bookmaker.events) if self.odds(number).gone_at is not None}


async def test_events_whose_details_fail_are_not_asked_for_in_every_round() -> None:
    """Whatever fails: the request, the body, or the event is not found. All others get their details."""
    table = Table(100)
    errors = {0: ServerFaultError(BETPAWA, "broken"), 1: NotFoundError(BETPAWA, "not found")}
    table.bookmaker.fetch_error = lambda number: errors.get(number)
    table.decoder.error = lambda raw: MalformedBodyError(BETPAWA, "x") if raw.header.external_id == "2" else None
    asked = [number for _ in range(10) for number in await table.round()]
    assert {number: asked.count(number) for number in (0, 1, 2)} == {0: 1, 1: 1, 2: 1}
    assert all(table.odds(number).detailed_at is not None for number in range(3, 100))
