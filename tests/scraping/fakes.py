"""Bookmakers, a database and a sink in memory that do what a test needs."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from quart_odds.bookmakers import BookmakerClient, ListRead, RawBody
from quart_odds.bookmakers.sweep import Choose
from quart_odds.domain.odds import (
    Competition,
    EventHeader,
    ListedCompetitions,
    ListedEvent,
    MappedEvent,
    Prices,
    UnmappedMarket,
)
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import BookmakerError, StorageError
from quart_odds.odds.event import EventChange
from tests.platforms import FIRST_THREE

KICKOFF = datetime(2026, 12, 1, 15, tzinfo=UTC)


def header(platform: Platform, number: int) -> EventHeader:
    """Return the header of a fake bookmaker's event."""
    return EventHeader(
        platform, str(number), str(1000 + number), f"Home {number}", f"Away {number}", KICKOFF,
        Competition("1", "League", "Country"),
    )  # fmt: skip


class FakeBookmaker:
    """Lists `events`, answers each unless `fetch_error` says otherwise, and counts simultaneous requests.

    If there is an event `released`, answers wait for it.
    """

    def __init__(self, platform: Platform, events: int = 5) -> None:
        self.platform = platform
        self.events = events
        self.discovery_errors: list[BookmakerError] = []
        self.listed = ListedCompetitions(frozenset({"1"}), is_tree_whole=True)
        self.refusals_in_a_row = 0
        self.turn_by: float | None = None
        self.root_error: BookmakerError | None = None
        self.lists_read: dict[str, ListRead] = {}
        self.listed_odds: Callable[[int], MappedEvent | None] = lambda _: None
        self.fetch_error: Callable[[int], BaseException | None] = lambda _: None
        self.hangs = False
        self.released: asyncio.Event | None = None
        self.fetched_at: datetime | None = None
        self.bare: set[int] = set()
        self.playing: set[int] = set()
        self.requests = 0
        self.is_closed = False
        self.under_way = 0
        self.most_under_way = 0
        self.reached: asyncio.Event = asyncio.Event()

    def count_refusal(self) -> None:
        """Count one more refusal."""
        self.refusals_in_a_row += 1

    def forget_refusals(self) -> None:
        """Reset the count of refusals."""
        self.refusals_in_a_row = 0

    async def discover(self) -> AsyncGenerator[ListedEvent, None]:
        """List the events, one in each turn of the event loop, with the odds that a test has set."""
        if self.root_error is not None:
            raise self.root_error
        for number in range(self.events):
            await asyncio.sleep(0)
            in_play = number in self.playing
            odds = None if in_play else self.listed_odds(number)
            yield ListedEvent(header(self.platform, number), odds, "list", self.fetched_at, in_play)

    async def sweep(self, choose: Choose | None = None) -> AsyncGenerator[ListedEvent, None]:
        """List the events with one price each, those of `bare` without prices, one in each turn of the event loop."""
        if choose is not None and not choose(["list"]):
            return
        if self.root_error is not None:
            raise self.root_error
        for number in range(self.events):
            self.reached.set()
            if self.hangs:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            listed = header(self.platform, number)
            prices = Prices.from_pairs([(1, 4001)])
            odds = MappedEvent(listed, prices, mapped_markets=1, is_partial=True, fetched_at=self.fetched_at)
            known = None if number in self.bare | self.playing else odds
            yield ListedEvent(listed, known, "list", self.fetched_at, number in self.playing)
        self.lists_read["list"] = ListRead(1, self.events, is_complete=True)

    async def fetch(self, header: EventHeader) -> RawBody:
        """Return a body after a few turns of the event loop, or raise the error for this event."""
        self.requests += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.reached.set()
        try:
            if self.hangs:
                await asyncio.Event().wait()
            if self.released is not None:
                await self.released.wait()
            for _ in range(4):
                await asyncio.sleep(0)
            error = self.fetch_error(int(header.external_id))
            if error is not None:
                raise error
            return RawBody(self.platform, b"{}", None, header, fetched_at=self.fetched_at)
        finally:
            self.under_way -= 1

    def release(self, raw: RawBody) -> None:
        """Do nothing, because no memory is accounted for."""

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


class FakeDecoder:
    """Maps every body to an event with one price."""

    def __init__(self) -> None:
        self.error: Callable[[RawBody], BookmakerError | None] = lambda _: None
        self.is_in_play: Callable[[RawBody], bool] = lambda _: False

    async def decode(self, raw: RawBody) -> MappedEvent:
        """Return an event with one price and one unknown market, or raise the error for this body."""
        await asyncio.sleep(0)
        if (error := self.error(raw)) is not None:
            raise error
        prices = Prices.from_pairs([(1, 4001)])
        unmapped = (UnmappedMarket("77", "Corners"),)
        in_play = self.is_in_play(raw)
        return MappedEvent(
            raw.header, prices, unmapped, mapped_markets=1, is_in_play=in_play, fetched_at=raw.fetched_at
        )


class RecordingSink:
    """Keeps everything that it is called with."""

    def __init__(self) -> None:
        self.recorded: list[MappedEvent] = []
        self.times: list[datetime] = []
        self.missing: list[tuple[Platform, set[str]]] = []
        self.listed: list[ListedCompetitions] = []
        self.sightings: list[tuple[datetime, dict[str, datetime]]] = []
        self.withdrawn: list[tuple[Platform, str]] = []
        self.missing_changes: list[EventChange] = []
        self.known: set[tuple[Platform, str]] = set()
        self.confirmations = 0
        self.confirm_error: BaseException | None = None
        self.record_error: Callable[[MappedEvent], BaseException | None] = lambda _: None

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> None:
        """Keep the event, or raise the error for it that a test has set."""
        if (error := self.record_error(mapped)) is not None:
            raise error
        self.recorded.append(mapped)
        self.times.append(seen_at)

    def knows(self, platform: Platform, external_id: str) -> bool:
        """Whether a test has said so."""
        return (platform, external_id) in self.known

    async def mark_missing(
        self, platform: Platform, seen: Mapping[str, datetime], at: datetime, listed: ListedCompetitions
    ) -> list[EventChange]:
        """Keep the arguments, and return the changes that a test has set."""
        self.missing.append((platform, set(seen)))
        self.sightings.append((at, dict(seen)))
        self.listed.append(listed)
        return self.missing_changes

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> None:
        """Keep which event it is."""
        self.withdrawn.append((platform, external_id))

    async def confirm(self) -> None:
        """Count the call, and raise the error that a test has set."""
        self.confirmations += 1
        if self.confirm_error is not None:
            raise self.confirm_error


class FakeStore:
    """Stores runs in a dict."""

    def __init__(self) -> None:
        self.runs: dict[int, RunRecord] = {}
        self.kept_phases: dict[int, list[PhaseRecord]] = {}
        self.found: dict[Platform, int] = {}
        self.folded: dict[int, datetime] = {}
        self.finish_error: BaseException | None = None
        self.list_errors: list[StorageError] = []
        self.on_finish: Callable[[RunRecord], None] = lambda _: None
        self.take_end: Callable[[RunRecord], bool] = lambda _: True
        self.hangs = False

    async def create_run(
        self, *, trigger: str, platforms: Sequence[Platform], started_at: datetime, mode: RunMode = RunMode.FULL
    ) -> int:
        """Add a row, and return its id."""
        await asyncio.sleep(0)
        run_id = len(self.runs) + 1
        self.runs[run_id] = RunRecord(run_id, RunStatus.RUNNING, trigger, tuple(platforms), started_at, mode=mode)
        return run_id

    async def save_phases(self, run_id: int, phases: Sequence[PhaseRecord]) -> None:
        """Keep the phases."""
        self.kept_phases[run_id] = list(phases)

    async def finish_run(self, record: RunRecord) -> bool:
        """End a row, or fail or hang as a test has set."""
        await asyncio.sleep(0)
        if self.finish_error is not None:
            raise self.finish_error
        if self.hangs:
            await asyncio.Event().wait()
        self.on_finish(record)
        if not self.take_end(record):
            return False
        self.runs[record.id] = record
        for result in record.results:
            if result.phase is ScrapePhase.COMPLETED and record.mode is RunMode.FULL:
                self.found[result.platform] = result.found
        return True

    async def get_run(self, run_id: int) -> RunRecord | None:
        """Return a row."""
        return self.runs.get(run_id)

    async def list_runs(self, *, limit: int) -> list[RunRecord]:
        """Return the newest rows, or fail as a test has set."""
        if self.list_errors:
            raise self.list_errors.pop()
        return [self.runs[run_id] for run_id in sorted(self.runs, reverse=True)[:limit]]

    async def folded_hour(self, run_id: int) -> datetime | None:
        """Return the hour of a folded sweep, as a test has set it."""
        return self.folded.get(run_id)

    async def last_found(self, platform: Platform) -> int | None:
        """Return what the last successful discovery found."""
        return self.found.get(platform)

    async def interrupt_running(self, at: datetime, besides: Collection[int] = ()) -> list[RunRecord]:
        """End all running rows except these."""
        ended = [
            replace(each, status=RunStatus.INTERRUPTED, completed_at=at)
            for each in self.runs.values()
            if each.status is RunStatus.RUNNING and each.id not in besides
        ]
        self.runs |= {each.id: each for each in ended}
        return ended


class Bookmakers(dict[Platform, FakeBookmaker]):
    """All three fake bookmakers, and the factory that opens clients for them."""

    def __init__(self, events: int = 5) -> None:
        super().__init__({each: FakeBookmaker(each, events) for each in FIRST_THREE})

    @asynccontextmanager
    async def open(self, platform: Platform) -> AsyncIterator[BookmakerClient]:
        """Yield a client for one of them, and close it at the end."""
        try:
            yield self[platform]
        finally:
            await self[platform].aclose()
