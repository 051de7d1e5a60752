"""Runs: whatever happens, each takes one path, has one row and publishes one terminal progress."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock

import orjson
import pytest
from structlog.testing import capture_logs

from quart_odds.bookmakers import RawBody
from quart_odds.bookmakers.budget import Budget
from quart_odds.bookmakers.politeness import MOST_REFUSALS_IN_A_ROW
from quart_odds.broadcast import BroadcastRegistry
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedCompetitions, MappedEvent, Prices
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import (
    BlockedError,
    IncompleteListError,
    MalformedBodyError,
    NotFoundError,
    NotWriterError,
    RunActiveError,
    RunNotFoundError,
    RunStateError,
    StorageError,
    TooSoonError,
    UnreachableError,
)
from quart_odds.odds.event import EventChange
from quart_odds.scraping import coordinator as coordinator_module
from quart_odds.scraping import missed_ends, run_ends
from quart_odds.scraping import runs as runs_module
from quart_odds.scraping.active_run import ActiveRun
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.coordinator import Coordinator
from quart_odds.scraping.deadline import BudgetMeter
from quart_odds.scraping.pipeline import MOST_WAITING, RECORDERS
from quart_odds.scraping.runs import RunService
from quart_odds.scraping.schemas import ScrapeProgress, SlowedBookmaker
from quart_odds.scraping.sink import MANY_MISSING
from quart_odds.websocket import bridge_scrape_to_websocket
from tests.platforms import FIRST_THREE
from tests.scraping.fakes import Bookmakers, FakeDecoder, FakeStore, RecordingSink, header

BETPAWA, SPORTYBET, BET9JA, *_ = Platform


class Scene:
    """A run service with fakes, and the progress of its runs."""

    def __init__(
        self,
        *,
        deadline: float = 20.0,
        run_deadline: float = 20.0,
        budget: Callable[[Platform], BudgetMeter | None] = lambda _: None,
    ) -> None:
        self.bookmakers = Bookmakers()
        self.decoder = FakeDecoder()
        self.sink = RecordingSink()
        self.trouble: dict[Platform, str] = {}
        self.store = FakeStore()
        self.registry = BroadcastRegistry(gap_notice=lambda _: ("error", b"{}"))
        coordinator = Coordinator(
            self.bookmakers.open,
            self.decoder,
            self.sink,
            platform_deadline_seconds=deadline,
            fetchers=lambda _: 2,
            budget=budget,
            trouble=lambda platform: self.trouble.get(platform),
        )
        self.slowed: list[SlowedBookmaker] = []
        self.service = RunService(
            coordinator,
            self.store,
            self.registry,
            bridge_scrape_to_websocket,
            run_deadline_seconds=run_deadline,
            slowed=lambda: self.slowed,
            platforms=lambda: FIRST_THREE,
        )

    async def run(self, *platforms: Platform) -> tuple[ActiveRun, list[ScrapeProgress]]:
        """Start a run, and return it with all its progress after it has ended."""
        run = await self.service.start("api", platforms or None)
        return run, await self.published(run.broadcaster)

    async def published(self, broadcaster: ProgressBroadcaster) -> list[ScrapeProgress]:
        """Return all progress of a run, from its beginning to its end."""
        async with asyncio.timeout(10):
            return [each async for each in broadcaster.subscribe(from_start=True)]

    async def settled(self, run: ActiveRun) -> None:
        """Wait until the run's task is done."""
        assert run.task is not None
        async with asyncio.timeout(10):
            await run.task


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.service.close()


async def test_a_run_goes_through_its_phases_to_one_terminal_progress(scene: Scene) -> None:
    """Each platform is discovered, scraped and stored; the run ends once, after them, as completed."""
    run, published = await scene.run()
    assert [each.is_terminal for each in published].count(True) == 1
    assert published[-1].is_terminal
    assert published[-1].phase is ScrapePhase.COMPLETED
    assert (published[-1].current, published[-1].total, published[-1].events_count) == (15, 15, 15)
    for platform in FIRST_THREE:
        phases = list(dict.fromkeys(each.phase for each in published if each.platform is platform))
        assert phases[0] is ScrapePhase.DISCOVERING
        assert phases[-2:] == [ScrapePhase.STORING, ScrapePhase.COMPLETED]
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.COMPLETED
    assert len(scene.sink.recorded) == 15
    assert scene.sink.confirmations == 1


async def test_odds_are_recorded_with_the_time_of_their_answer(scene: Scene) -> None:
    """Decoding takes time, in which other answers come in. A list has its own time."""
    arrived = datetime(2026, 11, 22, 10, tzinfo=UTC)
    earlier = arrived - timedelta(seconds=1)
    maker = scene.bookmakers[BETPAWA]
    maker.fetched_at = arrived
    prices = Prices.from_pairs([(1, 4001)])
    maker.listed_odds = lambda number: MappedEvent(
        header(BETPAWA, number), prices, mapped_markets=1, is_partial=True, fetched_at=earlier
    )
    scene.sink.known = {(BETPAWA, str(number)) for number in range(5)}
    await scene.run(BETPAWA)
    recorded = zip(scene.sink.recorded, scene.sink.times, strict=True)
    assert {(odds.is_partial, at) for odds, at in recorded} == {(True, earlier), (False, arrived)}


async def test_the_odds_in_a_list_of_known_events_are_recorded_before_the_event_is_fetched(scene: Scene) -> None:
    """A new event, or one of which the list carries none, has those of its own body alone. Bodies are counted."""
    odds = {
        number: MappedEvent(header(BETPAWA, number), Prices.from_pairs([(1, 5001)]), is_partial=True)
        for number in (0, 2, 3)
    }
    scene.bookmakers[BETPAWA].listed_odds = odds.get
    scene.sink.known = {(BETPAWA, "0"), (BETPAWA, "2")}
    _, published = await scene.run(BETPAWA)
    assert published[-1].phase is ScrapePhase.COMPLETED
    assert (published[-1].current, published[-1].total, published[-1].events_count) == (5, 5, 5)
    recorded = [(each.header.external_id, each.is_partial) for each in scene.sink.recorded]
    assert len(recorded) == 7
    for number in (0, 2):
        of_event = [is_partial for external_id, is_partial in recorded if external_id == str(number)]
        assert of_event == [True, False]


async def test_a_new_event_whose_body_fails_has_the_odds_of_the_list(scene: Scene) -> None:
    """But not if the bookmaker says that there is no such event."""
    bookmaker = scene.bookmakers[BETPAWA]
    bookmaker.listed_odds = lambda number: MappedEvent(
        header(BETPAWA, number), Prices.from_pairs([(1, 5001)]), is_partial=True
    )
    errors = {1: MalformedBodyError(BETPAWA, "cut"), 3: NotFoundError(BETPAWA, "not found (404)")}
    bookmaker.fetch_error = errors.get
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    recorded = {each.header.external_id: each.is_partial for each in scene.sink.recorded}
    assert recorded == {"0": False, "1": True, "2": False, "4": False}


async def test_odds_in_lists_that_nobody_has_room_for_are_counted_with_their_events(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list's own excess does not end the run: each event's body meets the same limit."""
    monkeypatch.setattr(coordinator_module, "MAX_PRICES", 3)
    many = Prices.from_pairs([(number, 5001) for number in range(4)])
    scene.bookmakers[BETPAWA].listed_odds = lambda number: MappedEvent(header(BETPAWA, number), many, is_partial=True)
    run, published = await scene.run(BETPAWA)
    await scene.settled(run)
    assert published[-1].phase is ScrapePhase.COMPLETED
    assert [each.is_partial for each in scene.sink.recorded] == [False] * 3
    assert {error.error_type for error in scene.store.runs[run.record.id].errors} == {"too_much"}


async def test_every_progress_bears_its_run_and_its_time(scene: Scene) -> None:
    """Two runs on one topic can be distinguished, and the elapsed time never decreases within a run."""
    run, published = await scene.run()
    assert {each.scrape_run_id for each in published} == {run.record.id}
    elapsed = [each.elapsed_ms for each in published]
    assert None not in elapsed
    assert elapsed == sorted(elapsed, key=lambda each: each or 0)


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(days=1)])
async def test_a_clock_that_is_set_during_a_run_changes_no_duration(scene: Scene, jump: timedelta) -> None:
    """The durations of the row, of each phase and in the progress are measured with a monotonic clock."""
    begin = datetime(2026, 11, 22, 10, tzinfo=UTC)
    now = begin
    scene.service._now = lambda: now
    run = await scene.service.start("api")
    now = begin + jump
    published = await scene.published(run.broadcaster)
    await scene.settled(run)
    row = scene.store.runs[run.record.id]
    assert row.duration_ms is not None
    assert row.completed_at is not None
    assert 0 <= row.duration_ms < 10_000
    assert begin <= row.completed_at < begin + timedelta(seconds=10)
    assert published[-1].duration_ms == row.duration_ms
    assert published[-1].elapsed_ms is not None
    assert row.duration_ms <= published[-1].elapsed_ms < 10_000
    for phase in scene.store.kept_phases[run.record.id]:
        assert begin <= phase.started_at <= (phase.ended_at or row.completed_at) < begin + timedelta(seconds=10)


def test_a_row_that_seems_to_end_before_it_began_took_no_time() -> None:
    """Such a row exists in a database of an earlier release, or after a crash, if the clock was set back."""
    begin = datetime(2026, 11, 22, 10, tzinfo=UTC)
    row = RunRecord(1, RunStatus.INTERRUPTED, "api", tuple(Platform), begin, begin - timedelta(hours=1))
    assert row.duration_ms == 0


async def test_the_row_is_committed_before_the_end_is_reported(scene: Scene) -> None:
    """A listener that receives the end finds the row ended."""
    run = await scene.service.start("api")

    def check(_: object) -> None:
        assert not run.broadcaster.is_completed

    scene.store.on_finish = check
    await scene.published(run.broadcaster)
    assert scene.store.runs[run.record.id].status is RunStatus.COMPLETED


async def test_a_second_run_is_refused_while_one_goes(scene: Scene) -> None:
    """There is one run at a time, and the error names the active one."""
    run = await scene.service.start("api")
    with pytest.raises(RunActiveError) as caught:
        await scene.service.start("page")
    assert caught.value.scrape_run_id == run.record.id
    await scene.settled(run)
    again, _ = await scene.run()
    assert again.record.id == run.record.id + 1


async def test_starts_at_the_same_moment_make_one_run(scene: Scene) -> None:
    """Twenty simultaneous triggers start one run."""
    scene.bookmakers[BETPAWA].hangs = True
    results = await asyncio.gather(*(scene.service.start("api") for _ in range(20)), return_exceptions=True)
    started = [each for each in results if isinstance(each, ActiveRun)]
    assert len(started) == 1
    assert sum(isinstance(each, RunActiveError) for each in results) == 19


async def test_a_platform_that_fails_leaves_the_others_alone(scene: Scene) -> None:
    """The run is partial: its phase is completed, and the progress has the error."""
    scene.bookmakers[BET9JA].root_error = BlockedError(BET9JA, "403 with an HTML page", status=403)
    run, published = await scene.run()
    terminal = published[-1]
    assert terminal.phase is ScrapePhase.COMPLETED
    assert terminal.error is not None
    assert terminal.error.error_type == "blocked"
    assert terminal.error.platform is BET9JA
    last = {each.platform: each for each in published if each.platform}
    assert last[BET9JA].phase is ScrapePhase.FAILED
    assert last[BETPAWA].phase is last[SPORTYBET].phase is ScrapePhase.COMPLETED
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.PARTIAL
    assert [each.platform for each in record.errors] == [BET9JA]


async def test_all_platforms_failing_is_a_failed_run(scene: Scene) -> None:
    """Without any odds, the phase is failed."""
    for platform, bookmaker in scene.bookmakers.items():
        bookmaker.root_error = UnreachableError(platform, "connection refused")
    run, published = await scene.run()
    assert published[-1].phase is ScrapePhase.FAILED
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.FAILED


async def test_a_discovery_that_finds_nothing_fails_its_platform(scene: Scene) -> None:
    """Finding no events at all is not a success."""
    scene.bookmakers[SPORTYBET].events = 0
    run, _ = await scene.run()
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.PARTIAL
    assert record.errors[0].error_type == "nothing_found"


async def test_events_that_are_gone_are_counted_and_fail_nothing(scene: Scene) -> None:
    """A 404 for an event affects only that event."""
    bookmaker = scene.bookmakers[BETPAWA]
    bookmaker.fetch_error = lambda number: NotFoundError(BETPAWA, "gone", where=str(number)) if number else None
    run, published = await scene.run()
    assert published[-1].phase is ScrapePhase.COMPLETED
    assert published[-1].error is None
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.COMPLETED
    assert record.events_failed == 4
    assert [(each.error_type, each.count) for each in record.errors] == [("not_found", 4)]


async def test_a_platform_whose_bodies_mostly_make_no_sense_is_failed(scene: Scene) -> None:
    """If more than half of the listed events cannot be read, the platform fails with the most common reason."""
    scene.decoder.error = lambda raw: (
        MalformedBodyError(BET9JA, "cut JSON") if raw.platform is BET9JA and raw.header.external_id != "0" else None
    )
    run, _ = await scene.run()
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.PARTIAL
    assert record.results[2].phase is ScrapePhase.FAILED
    assert record.results[2].error is not None
    assert record.results[2].error.error_type == "malformed_body"
    assert scene.sink.missing
    assert BET9JA not in [platform for platform, _ in scene.sink.missing]


async def test_a_bookmaker_that_refuses_again_and_again_is_left_alone(scene: Scene) -> None:
    """After a number of refusals in a row, no more requests are made."""
    bookmaker = scene.bookmakers[BETPAWA]
    bookmaker.events = 500
    bookmaker.fetch_error = lambda _: BlockedError(BETPAWA, "403")
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert bookmaker.requests <= MOST_REFUSALS_IN_A_ROW + 2
    assert scene.store.runs[run.record.id].status is RunStatus.FAILED
    assert bookmaker.is_closed


async def test_a_bookmaker_that_refuses_in_the_body_is_left_alone_too(scene: Scene) -> None:
    """An HTML page with a good status is a refusal, with some more requests in flight until decoding shows it."""
    bookmaker = scene.bookmakers[BETPAWA]
    bookmaker.events = 500
    scene.decoder.error = lambda _: BlockedError(BETPAWA, "an HTML page where JSON was due")
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.FAILED
    assert record.errors[0].error_type == "blocked"
    assert bookmaker.requests <= MOST_REFUSALS_IN_A_ROW + MOST_WAITING + RECORDERS + 4
    assert not scene.sink.missing


async def test_only_a_body_that_is_decoded_well_ends_a_row_of_refusals(scene: Scene) -> None:
    """One good body in ten keeps a bookmaker in the run; one malformed body in ten does not."""
    bookmaker = scene.bookmakers[BETPAWA]
    bookmaker.events = 200
    bookmaker.fetch_error = lambda number: BlockedError(BETPAWA, "403") if number % 10 else None
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert bookmaker.requests == 200
    bookmaker.requests = 0
    scene.decoder.error = lambda _: MalformedBodyError(BETPAWA, "cut JSON")
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert bookmaker.requests < 50


async def test_matches_in_play_give_no_odds_and_are_no_trouble(scene: Scene) -> None:
    """They are withdrawn, counted and reported, even if there are no other matches."""
    scene.decoder.is_in_play = lambda raw: raw.header.external_id != "0"
    run, published = await scene.run(BETPAWA)
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert (record.status, record.events_scraped, record.events_failed) == (RunStatus.COMPLETED, 1, 4)
    assert [(each.error_type, each.count, each.recoverable) for each in record.errors] == [("in_play", 4, False)]
    assert [mapped.header.external_id for mapped in scene.sink.recorded] == ["0"]
    assert sorted(scene.sink.withdrawn) == [(BETPAWA, each) for each in "1234"]
    assert (published[-1].current, published[-1].total) == (5, 5)
    scene.decoder.is_in_play = lambda _: True
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.COMPLETED


@pytest.mark.parametrize(("not_there", "withdrawn"), [({1, 3}, ["1", "3"]), ({0, 1, 2}, [])])
async def test_events_that_are_not_there_are_taken_away_unless_most_are_not(
    not_there: set[int], withdrawn: list[str], scene: Scene
) -> None:
    """If most of the listed events are not found, the address has changed, and the events are still there."""
    bookmaker = scene.bookmakers[BETPAWA]
    bookmaker.fetch_error = lambda number: NotFoundError(BETPAWA, "gone") if number in not_there else None
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.COMPLETED
    assert sorted(external_id for _, external_id in scene.sink.withdrawn) == withdrawn
    assert [len(seen) for _, seen in scene.sink.missing] == [5]


async def test_a_platform_that_fails_takes_no_event_away(scene: Scene) -> None:
    """Neither missing events nor those that are not found or in play are taken away."""
    bookmaker = scene.bookmakers[BETPAWA]
    errors = {0: NotFoundError(BETPAWA, "gone"), 1: None}
    bookmaker.fetch_error = lambda number: errors.get(number, UnreachableError(BETPAWA, "reset"))
    scene.decoder.is_in_play = lambda _: True
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.FAILED
    assert (scene.sink.missing, scene.sink.withdrawn) == ([], [])


async def test_a_list_that_is_not_complete_is_reported(scene: Scene) -> None:
    """It is in the platform's message until its end, and among the errors, but nothing fails because of it."""
    fake = scene.bookmakers[BETPAWA]
    where = "England, Premier League"
    fake.discovery_errors = [
        IncompleteListError(BETPAWA, "10 of 30 events were listed", where=where),
        UnreachableError(BETPAWA, "reset", where="group 7"),
        IncompleteListError(BETPAWA, "1 of 2 events were listed", where="Spain, Cup"),
    ]
    run, published = await scene.run(BETPAWA)
    await scene.settled(run)
    words = f"{where}: 10 of 30 events were listed, and 2 more lists are not complete"
    messages = {each.phase: each.message for each in published if each.platform is BETPAWA}
    assert messages[ScrapePhase.STORING] == messages[ScrapePhase.COMPLETED] == words
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.COMPLETED
    errors = {each.error_type: (each.count, each.recoverable, each.where) for each in record.errors}
    assert errors == {"incomplete_list": (2, True, where), "unreachable": (1, True, "group 7")}


@pytest.mark.parametrize(("count", "kinds"), [(0, []), (2, []), (MANY_MISSING, ["missing"])])
async def test_what_complete_lists_have_no_more_is_reported(count: int, kinds: list[str], scene: Scene) -> None:
    """The message says so, and many at once are an error. Events that are listed again are not mentioned."""
    first = [EventChange(number, BETPAWA, number, is_missed=True) for number in range(count - count // 2)]
    gone = [EventChange(90 + number, BETPAWA, 90 + number, is_available=False) for number in range(count // 2)]
    again = [EventChange(70 + number, BETPAWA, 70 + number, is_miss_noted=True) for number in range(20)]
    scene.sink.missing_changes = [*first, *gone, *again]
    run, published = await scene.run(BETPAWA)
    await scene.settled(run)
    last = [each for each in published if each.platform is BETPAWA][-1]
    words = f"{len(first)} events were missed for the first time, {len(gone)} are gone" if count else "5 of 5 events"
    assert last.message == words
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.COMPLETED
    assert [each.error_type for each in record.errors] == kinds


async def test_a_bookmaker_that_hangs_costs_no_more_than_its_deadline() -> None:
    """At the deadline the platform fails; the others have finished."""
    scene = Scene(deadline=0.2)
    scene.bookmakers[SPORTYBET].hangs = True
    run, published = await scene.run()
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert record.status is RunStatus.PARTIAL
    assert record.errors[0].error_type == "deadline"
    assert published[-1].events_count == 10
    assert scene.bookmakers[SPORTYBET].is_closed


async def test_a_run_that_takes_too_long_is_ended() -> None:
    """At the run's own deadline it ends as failed."""
    scene = Scene(run_deadline=0.2)
    scene.bookmakers[SPORTYBET].hangs = True
    run, published = await scene.run()
    await scene.settled(run)
    assert published[-1].phase is ScrapePhase.FAILED
    assert published[-1].error is not None
    assert published[-1].error.error_type == "deadline"


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_platform_that_keeps_up_with_its_budget_is_not_ended_at_its_deadline() -> None:
    """Its requests have to wait for the budget, so it may take longer."""
    budget = Budget(0.001, time.monotonic)
    scene = Scene(deadline=0.05, budget=lambda _: budget)
    maker = scene.bookmakers[BETPAWA]
    maker.released = asyncio.Event()
    run = await scene.service.start("api", [BETPAWA])
    await _until(lambda: run.tracker.extension > 0)
    maker.released.set()
    published = await scene.published(run.broadcaster)
    assert published[-1].phase is ScrapePhase.COMPLETED
    assert published[-1].events_count == 5
    await scene.settled(run)


async def test_a_run_ends_as_much_later_as_its_platforms_may() -> None:
    """Its own deadline comes while a platform waits for the budget, and is put off once."""
    budget = Budget(0.001, time.monotonic)
    scene = Scene(deadline=0.05, run_deadline=0.2, budget=lambda _: budget)
    maker = scene.bookmakers[BETPAWA]
    maker.released = asyncio.Event()
    run = await scene.service.start("api", [BETPAWA])
    await _until(lambda: run.tracker._told_extension > 0)
    maker.released.set()
    published = await scene.published(run.broadcaster)
    assert published[-1].phase is ScrapePhase.COMPLETED
    await scene.settled(run)


@pytest.mark.parametrize("limit", ["deadline", "run_deadline"])
async def test_what_the_lists_had_of_new_events_is_kept_when_a_run_meets_a_deadline(limit: str) -> None:
    """Their own bodies never came. An event that the bookmaker does not find is left out."""
    scene = Scene(deadline=0.2) if limit == "deadline" else Scene(run_deadline=0.2)
    maker = scene.bookmakers[BETPAWA]
    prices = Prices.from_pairs([(1, 4001)])
    maker.listed_odds = lambda number: MappedEvent(header(BETPAWA, number), prices, mapped_markets=1, is_partial=True)
    never = asyncio.Event()
    maker.fetch_error = lambda number: NotFoundError(BETPAWA, "not found") if number == 0 else None
    fetch = maker.fetch

    async def hanging(header: EventHeader) -> RawBody:
        if header.external_id != "0":
            await never.wait()
        return await fetch(header)

    maker.fetch = hanging  # type: ignore[method-assign]
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert scene.store.runs[run.record.id].errors[0].error_type == "deadline"
    assert {(each.header.external_id, each.is_partial) for each in scene.sink.recorded} == {
        (str(number), True) for number in range(1, 5)
    }


@pytest.mark.parametrize("moment", ["at once", "while fetching"])
async def test_cancelling_ends_with_one_terminal_progress_and_leaves_nothing(scene: Scene, moment: str) -> None:
    """A cancelled run reports it once, and none of its tasks is left."""
    before = asyncio.all_tasks()
    for bookmaker in scene.bookmakers.values():
        bookmaker.hangs = True
    run = await scene.service.start("api")
    if moment == "while fetching":
        async with asyncio.timeout(30):
            await scene.bookmakers[BETPAWA].reached.wait()
    await scene.service.cancel(run.record.id)
    async with asyncio.timeout(2):
        published = await scene.published(run.broadcaster)
    assert [each.is_terminal for each in published].count(True) == 1
    assert published[-1].error is not None
    assert published[-1].error.error_type == "cancelled"
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.CANCELLED
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_start_right_after_a_cancelled_one_is_too_soon(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for every trigger, but not after a run that ended by itself or was cancelled later."""
    run, _ = await scene.run()
    await scene.settled(run)
    for bookmaker in scene.bookmakers.values():
        bookmaker.hangs = True
    run = await scene.service.start("api")
    await scene.service.cancel(run.record.id)
    await scene.settled(run)
    for start in (scene.service.start("scheduled"), scene.service.retry(run.record.id)):
        with pytest.raises(TooSoonError) as caught:
            await start
        assert 0 < caught.value.retry_after_seconds <= runs_module.CANCELLED_START_SECONDS
    monkeypatch.setattr(runs_module, "CANCELLED_START_SECONDS", 0)
    scene.service._may_start_at.clear()
    for _ in range(2):
        run = await scene.service.start("api")
        await scene.service.cancel(run.record.id)
        await scene.settled(run)


async def test_what_cannot_be_cancelled_says_why(scene: Scene) -> None:
    """Cancelling an unknown run or one that is over raises an error."""
    with pytest.raises(RunNotFoundError):
        await scene.service.cancel(99)
    run, _ = await scene.run()
    await scene.settled(run)
    with pytest.raises(RunStateError):
        await scene.service.cancel(run.record.id)


async def test_retry_of_a_run_whose_odds_were_not_stored_scrapes_all_of_it(scene: Scene) -> None:
    """Every bookmaker completed, but the run as a whole failed."""
    scene.sink.confirm_error = StorageError("the disk is full")
    run, _ = await scene.run(BETPAWA, BET9JA)
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.FAILED
    scene.sink.confirm_error = None
    again = await scene.service.retry(run.record.id)
    assert again.record.platforms == (BETPAWA, BET9JA)
    await scene.settled(again)


async def test_retry_scrapes_what_failed(scene: Scene) -> None:
    """Only the platform that failed is scraped again, under a trigger that names the run."""
    scene.bookmakers[BET9JA].root_error = UnreachableError(BET9JA, "reset")
    run, _ = await scene.run()
    await scene.settled(run)
    scene.bookmakers[BET9JA].root_error = None
    again = await scene.service.retry(run.record.id)
    assert again.record.platforms == (BET9JA,)
    assert again.record.trigger == f"retry:{run.record.id}"
    await scene.settled(again)
    with pytest.raises(RunStateError):
        await scene.service.retry(again.record.id)
    with pytest.raises(RunNotFoundError):
        await scene.service.retry(99)


async def test_odds_that_cannot_be_stored_fail_the_run(scene: Scene) -> None:
    """A run is not completed before its odds are confirmed."""
    scene.sink.confirm_error = StorageError("the disk is full")
    run, published = await scene.run()
    assert published[-1].phase is ScrapePhase.FAILED
    assert published[-1].error is not None
    assert "the disk is full" in published[-1].error.error_message
    await scene.settled(run)
    assert scene.store.runs[run.record.id].status is RunStatus.FAILED


async def test_a_row_that_cannot_be_ended_still_ends_the_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners receive this meanwhile and at the end, the next run can start, and the row is ended once possible."""
    monkeypatch.setattr(runs_module, "STORE_END_SECONDS", 0.3)
    monkeypatch.setattr(run_ends, "LONGEST_WAIT_SECONDS", 0.05)
    scene.store.finish_error = StorageError("the database is gone")
    run, published = await scene.run()
    waiting = next(each for each in published if "not stored yet" in (each.message or ""))
    assert (waiting.phase, waiting.is_terminal) == (ScrapePhase.STORING, False)
    assert published[-1].phase is ScrapePhase.FAILED
    assert published[-1].error is not None
    assert "the database is gone" in published[-1].error.error_message
    await scene.settled(run)
    first = run.record.id
    assert scene.store.runs[first].status is RunStatus.RUNNING
    shown = await scene.service.record(first)
    assert shown is not None
    assert (shown.status, shown.errors[0].error_type) == (RunStatus.FAILED, "storage")
    assert await scene.service.recover() == []
    scene.store.finish_error = None
    again, _ = await scene.run()
    await scene.settled(again)
    async with asyncio.timeout(10):
        while scene.store.runs[first].status is RunStatus.RUNNING:
            await asyncio.sleep(0.01)
    assert scene.store.runs[first] == shown
    assert scene.store.runs[again.record.id].status is RunStatus.COMPLETED


async def test_ends_that_are_stored_and_were_not_told_are_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are told, of rows that are running, and of older runs than the log knows are not among them."""
    monkeypatch.setattr(missed_ends, "RETRY_SECONDS", 0)
    at = utc_now()
    for run_id in range(1, 5):
        scene.store.runs[run_id] = RunRecord(run_id, RunStatus.COMPLETED, "api", (BETPAWA,), at, completed_at=at)
    scene.store.runs[5] = RunRecord(5, RunStatus.RUNNING, "api", (BETPAWA,), at)
    scene.store.list_errors = [StorageError("away")]
    scene.service.tell_ends(2, lambda run_id: run_id == 3)
    log = scene.registry.log
    async with asyncio.timeout(10):
        while len(log) < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    told = [orjson.loads(each.payload)["data"] for each in log.read(0, log.next_seq)]
    assert [(each["scrape_run_id"], each["phase"], each["platform"]) for each in told] == [
        (2, "completed", None),
        (4, "completed", None),
    ]


async def test_an_end_that_is_stored_with_the_second_try_is_reported_as_it_is(scene: Scene) -> None:
    """A run does not fail because the database was locked for a moment."""
    scene.store.finish_error = StorageError("locked")
    run = await scene.service.start("api")
    async with asyncio.timeout(10):
        async for progress in run.broadcaster.subscribe(from_start=True):
            if "not stored yet" in (progress.message or ""):
                scene.store.finish_error = None
    assert progress.phase is ScrapePhase.COMPLETED
    assert scene.store.runs[run.record.id].status is RunStatus.COMPLETED
    with pytest.raises(RunStateError):
        await scene.service.retry(run.record.id)


async def test_an_end_that_another_process_has_stored_is_reported_as_that(scene: Scene) -> None:
    """Row and terminal progress are the same record, whichever process wrote it."""
    run = await scene.service.start("api")

    def already_over(record: RunRecord) -> bool:
        scene.store.runs[record.id] = replace(record, status=RunStatus.INTERRUPTED, errors=(error,))
        return False

    error = RunError("interrupted", "another process has taken over", run.record.started_at)
    scene.store.take_end = already_over
    published = await scene.published(run.broadcaster)
    assert published[-1].phase is ScrapePhase.FAILED
    assert published[-1].message == "interrupted: another process has taken over"


async def test_whoever_starts_a_run_may_leave_at_any_moment(scene: Scene) -> None:
    """The run continues, ends, and leaves no row that is still running."""
    for turns in range(12):
        request = asyncio.create_task(scene.service.start("api"))
        for _ in range(turns):
            await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait([request])
        async with asyncio.timeout(10):
            while scene.service._starts or scene.service.active is not None:
                await asyncio.sleep(0.001)
    assert scene.store.runs
    assert {each.status for each in scene.store.runs.values()} == {RunStatus.COMPLETED}


async def test_a_process_that_may_not_write_starts_no_run(scene: Scene) -> None:
    """The start is refused with the reason: there is no row, and no bookmaker is asked."""
    scene.service._take_over = AsyncMock(side_effect=NotWriterError())
    with pytest.raises(NotWriterError, match="another process writes to this database"):
        await scene.service.start("api")
    assert scene.store.runs == {}
    assert sum(each.requests for each in scene.bookmakers.values()) == 0


async def test_a_writer_that_steps_down_ends_its_runs_as_interrupted(scene: Scene) -> None:
    """The run's own log says so, with the reason, though another process ended the row."""
    scene.bookmakers[BETPAWA].hangs = True
    run = await scene.service.start("api")
    scene.service.step_down("another process took over")
    await scene.settled(run)
    published = await scene.published(run.broadcaster)
    assert published[-1].is_terminal
    assert published[-1].error is not None
    assert (published[-1].error.error_type, published[-1].error.error_message) == (
        "interrupted",
        "another process took over",
    )


async def test_a_take_over_ends_no_run_of_its_own(scene: Scene) -> None:
    """Only runs that other processes left are ended."""
    scene.bookmakers[BETPAWA].hangs = True
    run = await scene.service.start("api")
    left = await scene.store.create_run(trigger="api", platforms=[BETPAWA], started_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert [each.id for each in await scene.service.recover()] == [left]
    assert scene.store.runs[run.record.id].status is RunStatus.RUNNING
    await scene.service.cancel(run.record.id)
    await scene.settled(run)


async def test_closing_is_bounded_though_the_database_takes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is published as interrupted, and the next start ends its row."""
    monkeypatch.setattr(runs_module, "CLOSE_STEP_SECONDS", 0.05)
    scene.bookmakers[BETPAWA].hangs = True
    run = await scene.service.start("api")
    scene.store.hangs = True
    began = asyncio.get_running_loop().time()
    await scene.service.close(wait_seconds=0.05)
    assert asyncio.get_running_loop().time() - began < 2
    published = await scene.published(run.broadcaster)
    assert published[-1].error is not None
    assert published[-1].error.error_type == "interrupted"
    assert scene.store.runs[run.record.id].status is RunStatus.RUNNING


async def test_a_discovery_that_shrinks_by_half_is_reported(scene: Scene) -> None:
    """Of runs with 5, 2 and 2 events, the second is reported. The sink is always called: it decides what is gone."""
    for is_shrunken, events in ((False, 5), (True, 2), (False, 2)):
        scene.bookmakers[BETPAWA].events = events
        scene.sink.missing.clear()
        run, _ = await scene.run(BETPAWA)
        await scene.settled(run)
        result = scene.store.runs[run.record.id].results[0]
        assert result.is_shrunken is is_shrunken
        assert [len(seen) for _, seen, *_ in scene.sink.missing] == [events]


@pytest.mark.parametrize("mode", RunMode)
@pytest.mark.parametrize("failures", range(3))
async def test_the_end_of_every_run_has_the_bookmakers_that_are_asked_less(
    scene: Scene, mode: RunMode, failures: int
) -> None:
    """All of them, as data, whether the run was complete, partial or failed, and null if there is none."""
    scene.slowed = [
        SlowedBookmaker(platform=BET9JA, reason="refused", requests_per_second=1.25, configured_per_second=5)
    ]
    for platform in (BETPAWA, SPORTYBET)[:failures]:
        scene.bookmakers[platform].root_error = UnreachableError(platform, "reset")
    for expected in (tuple(scene.slowed), None):
        run = await scene.service.start("api", [BETPAWA, SPORTYBET], mode)
        published = await scene.published(run.broadcaster)
        await scene.settled(run)
        assert [each.slowed for each in published] == [None] * (len(published) - 1) + [expected]
        scene.slowed = []


@pytest.mark.parametrize("mode", RunMode)
@pytest.mark.parametrize("has_failed", [False, True])
async def test_a_run_says_which_bookmaker_is_asked_less(scene: Scene, mode: RunMode, has_failed: bool) -> None:
    """The fault and the message have the reason, whatever the mode; a failure keeps its own message."""
    scene.trouble[BETPAWA] = "BetPawa refuses requests"
    if has_failed:
        scene.bookmakers[BETPAWA].root_error = UnreachableError(BETPAWA, "reset")
    run = await scene.service.start("api", [BETPAWA, SPORTYBET], mode)
    await scene.settled(run)
    slow = [each for each in scene.store.runs[run.record.id].errors if each.error_type == "slowed_down"]
    assert [(each.platform, each.error_message) for each in slow] == [(BETPAWA, "BetPawa refuses requests")]
    said = run.tracker.platforms[0].message or ""
    assert ("reset" if has_failed else "BetPawa refuses requests") in said
    assert run.tracker.platforms[1].message is None


@pytest.mark.parametrize("mode", RunMode)
async def test_what_is_missing_is_dated_by_its_lists_and_not_by_the_end_of_the_run(scene: Scene, mode: RunMode) -> None:
    """Absence counts from the beginning of the discovery, a sighting from its list, also if that has no prices."""
    fake = scene.bookmakers[BETPAWA]
    fake.fetched_at = datetime(2026, 11, 22, 10, tzinfo=UTC)
    fake.bare = {0}
    recorded: list[datetime] = []

    def note_time(_: MappedEvent) -> None:
        recorded.append(utc_now())

    scene.sink.record_error = note_time
    run = await scene.service.start("api", [BETPAWA], mode)
    await scene.settled(run)
    [(at, sightings)] = scene.sink.sightings
    assert run.record.started_at <= at <= min(recorded)
    assert sightings == {str(number): fake.fetched_at for number in range(5)}


async def test_a_discovery_with_holes_says_what_it_listed_whole(scene: Scene) -> None:
    """A competition that could not be listed may have the events that seem missing, so it is passed to the sink."""
    fake = scene.bookmakers[BETPAWA]
    fake.discovery_errors = [UnreachableError(BETPAWA, "reset", where="competition 7")]
    fake.listed = ListedCompetitions(frozenset({"1"}), frozenset({"7"}), is_tree_whole=True)
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    record = scene.store.runs[run.record.id]
    assert scene.sink.listed == [fake.listed]
    assert record.status is RunStatus.COMPLETED
    assert record.errors[0].where == "competition 7"


async def test_runs_found_running_at_start_are_reported_as_interrupted(scene: Scene) -> None:
    """Runs that a crash left are ended, with their terminal progress on the topic and on the run's own stream."""
    await scene.store.create_run(trigger="api", platforms=[BETPAWA], started_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert [each.status for each in await scene.service.recover()] == [RunStatus.INTERRUPTED]
    broadcaster = scene.service.broadcasters.get(1)
    assert broadcaster is not None
    assert [each.phase for each in await scene.published(broadcaster)] == [ScrapePhase.FAILED]
    assert scene.registry.log.next_seq == 2


async def test_closing_marks_a_run_that_does_not_end_in_time(scene: Scene) -> None:
    """At shutdown the run is interrupted, and no new one can start."""
    scene.bookmakers[BETPAWA].hangs = True
    run = await scene.service.start("api")
    await scene.service.close(wait_seconds=0.05)
    published = await scene.published(run.broadcaster)
    assert published[-1].error is not None
    assert published[-1].error.error_type == "interrupted"
    assert scene.store.runs[run.record.id].status is RunStatus.INTERRUPTED
    with pytest.raises(RunStateError):
        await scene.service.start("api")


async def test_the_bridge_runs_for_every_run_and_harms_none(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """All progress is in the shared log, even without listeners; a bridge that fails does not affect the scrape."""
    with capture_logs() as logs:
        run, published = await scene.run()
        await scene.settled(run)
    assert scene.registry.log.next_seq - 1 == len(published)
    ended = next(each for each in logs if each["event"] == "ws.bridge.ended")
    assert (ended["scrape_run_id"], ended["events_forwarded"]) == (run.record.id, len(published))
    assert any(each["event"] == "ws.bridge.started" for each in logs)

    async def broken(*_: object) -> None:
        raise ValueError("no bridge")

    monkeypatch.setattr(scene.service, "_bridge", broken)
    run, published = await scene.run()
    await scene.settled(run)
    assert published[-1].phase is ScrapePhase.COMPLETED


async def test_a_bridge_that_never_ends_is_cancelled(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the run it is awaited for a limited time."""
    cancelled = asyncio.Event()

    async def endless(*_: object) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        cancelled.set()

    monkeypatch.setattr(scene.service, "_bridge", endless)
    monkeypatch.setattr(runs_module, "BRIDGE_SECONDS", 0.05)
    run, _ = await scene.run()
    await scene.settled(run)
    async with asyncio.timeout(30):
        await cancelled.wait()


async def test_a_platform_never_has_more_under_way_than_it_may(scene: Scene) -> None:
    """Two fetchers make at most two requests at once."""
    scene.bookmakers[BETPAWA].events = 40
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert scene.bookmakers[BETPAWA].most_under_way == 2
