"""Runs of the mode sweep: they take the path of every run, beside a full run, and are quiet."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import pytest

from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import (
    CacheFullError,
    IncompleteListError,
    NotWriterError,
    RunActiveError,
    RunFoldedError,
    RunNotFoundError,
    RunStateError,
    StorageError,
    TooSoonError,
    UnreachableError,
)
from quart_odds.odds.event import EventChange
from quart_odds.scraping import runs as runs_module
from quart_odds.scraping.active_run import ActiveRun
from quart_odds.scraping.schemas import ScrapeProgress
from tests.platforms import FIRST_THREE
from tests.scraping.test_runs import Scene

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
SWEEP, FULL = RunMode.SWEEP, RunMode.FULL


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.service.close()


async def sweep(scene: Scene, *platforms: Platform) -> tuple[ActiveRun, list[ScrapeProgress], RunRecord]:
    """Make a sweep. Return it with all its progress, and its row after its end."""
    run = await scene.service.start("api", platforms or None, SWEEP)
    published = await scene.published(run.broadcaster)
    await scene.settled(run)
    return run, published, scene.store.runs[run.record.id]


async def test_a_sweep_tells_its_start_and_its_end_only(scene: Scene) -> None:
    """Both are of the run as a whole and bear its id and mode; nothing comes in between."""
    run, published, row = await sweep(scene)
    assert [(each.platform, each.phase, each.mode) for each in published] == [
        (None, ScrapePhase.INITIALIZING, SWEEP),
        (None, ScrapePhase.COMPLETED, SWEEP),
    ]
    assert {each.scrape_run_id for each in published} == {run.record.id}
    assert (published[0].current, published[0].total) == (0, 0)
    assert (published[1].current, published[1].total, published[1].events_count) == (15, 15, 15)
    assert (row.mode, row.status, row.events_scraped) == (SWEEP, RunStatus.COMPLETED, 15)


async def test_a_full_run_tells_its_mode(scene: Scene) -> None:
    """Every progress and the row say full, which is the default."""
    run, published = await scene.run()
    await scene.settled(run)
    assert {each.mode for each in published} == {FULL}
    assert scene.store.runs[run.record.id].mode is FULL


async def test_a_sweep_records_what_the_lists_carry(scene: Scene) -> None:
    """It asks for no event of its own; what is recorded is partial, and is confirmed before the sweep ends."""
    _, _, row = await sweep(scene)
    assert [bookmaker.requests for bookmaker in scene.bookmakers.values()] == [0, 0, 0]
    assert len(scene.sink.recorded) == 15
    assert all(each.is_partial for each in scene.sink.recorded)
    assert scene.sink.confirmations == 1
    assert sorted(scene.sink.missing) == [(each, {"0", "1", "2", "3", "4"}) for each in sorted(FIRST_THREE)]
    assert scene.sink.listed == [bookmaker.listed for bookmaker in scene.bookmakers.values()]
    phases = [each.phase for each in scene.store.kept_phases[row.id] if each.platform is BETPAWA]
    assert phases == [
        ScrapePhase.DISCOVERING,
        ScrapePhase.SCRAPING,
        ScrapePhase.STORING,
        ScrapePhase.COMPLETED,
    ]


async def test_what_a_list_has_is_recorded_with_the_time_of_its_answer(scene: Scene) -> None:
    """It may be recorded later, when another answer has come in meanwhile."""
    arrived = datetime(2026, 11, 22, 10, tzinfo=UTC)
    scene.bookmakers[BETPAWA].fetched_at = arrived
    await sweep(scene)
    times = {odds.header.platform: at for odds, at in zip(scene.sink.recorded, scene.sink.times, strict=True)}
    assert times[BETPAWA] == arrived
    assert times[SPORTYBET] > arrived  # without a time of its own, the time of recording


async def test_events_without_prices_are_found_and_have_not_failed(scene: Scene) -> None:
    """They were listed, so they are not missing; the message says how many they are."""
    scene.bookmakers[BETPAWA].bare = {1, 3}
    run, published, row = await sweep(scene, BETPAWA)
    (result,) = row.results
    assert (result.phase, result.found, result.fetched, result.failed) == (ScrapePhase.COMPLETED, 5, 3, 0)
    assert scene.sink.missing == [(BETPAWA, {"0", "1", "2", "3", "4"})]
    assert (published[-1].phase, published[-1].error) == (ScrapePhase.COMPLETED, None)
    assert run.tracker.platforms[0].progress().current == 5
    assert "2 events have no prices in the lists" in (scene.store.kept_phases[row.id][-1].message or "")


async def test_a_sweep_of_lists_without_any_price_has_not_failed(scene: Scene) -> None:
    """A platform fails only if no event is found, or the tree cannot be read."""
    scene.bookmakers[BETPAWA].bare = set(range(5))
    _, _, row = await sweep(scene, BETPAWA)
    assert (row.status, row.events_scraped, row.events_failed) == (RunStatus.COMPLETED, 0, 0)


async def test_a_platform_whose_tree_fails_does_not_affect_the_others(scene: Scene) -> None:
    """The sweep is partial, with the reason, and nothing is missed at that platform."""
    scene.bookmakers[BET9JA].root_error = UnreachableError(BET9JA, "reset")
    _, published, row = await sweep(scene)
    assert row.status is RunStatus.PARTIAL
    assert published[-1].error is not None
    assert published[-1].error.platform is BET9JA
    assert {platform for platform, _ in scene.sink.missing} == {BETPAWA, SPORTYBET}


@pytest.mark.parametrize("is_broken", [False, True])
async def test_a_platform_without_events_fails_with_the_reason(scene: Scene, is_broken: bool) -> None:
    """The reason is that of its lists if they have one. Nothing is missed then."""
    bookmaker = scene.bookmakers[BETPAWA]
    bookmaker.events = 0
    bookmaker.discovery_errors = [IncompleteListError(BETPAWA, "0 of 30 events were listed")] if is_broken else []
    _, _, row = await sweep(scene, BETPAWA)
    assert row.status is RunStatus.FAILED
    assert row.errors[0].error_type == ("incomplete_list" if is_broken else "nothing_found")
    assert scene.sink.missing == []


async def test_what_is_wrong_with_a_list_is_told(scene: Scene) -> None:
    """The other lists count, and the error is in the row."""
    scene.bookmakers[BETPAWA].discovery_errors = [IncompleteListError(BETPAWA, "10 of 30 events were listed")]
    _, _, row = await sweep(scene, BETPAWA)
    assert row.status is RunStatus.COMPLETED
    assert [each.error_type for each in row.errors] == ["incomplete_list"]


@pytest.mark.parametrize("mode", RunMode)
async def test_an_event_that_a_list_calls_in_play_is_withdrawn(scene: Scene, mode: RunMode) -> None:
    """A sweep and a full run ask for no more of it, and record the others."""
    scene.bookmakers[BETPAWA].playing = {2}
    run = await scene.service.start("api", [BETPAWA], mode)
    await scene.settled(run)
    row = scene.store.runs[run.record.id]
    assert scene.sink.withdrawn == [(BETPAWA, "2")]
    assert sorted(each.header.external_id for each in scene.sink.recorded) == ["0", "1", "3", "4"]
    assert (row.status, row.results[0].fetched, row.results[0].failed) == (RunStatus.COMPLETED, 4, 1)


@pytest.mark.parametrize("mode", RunMode)
@pytest.mark.parametrize(("count", "status"), [(3, RunStatus.COMPLETED), (5, RunStatus.FAILED)])
async def test_lists_that_call_most_events_in_play_withdraw_nothing(
    scene: Scene, mode: RunMode, count: int, status: RunStatus
) -> None:
    """It is their format that has changed. If they have no upcoming event at all, the run fails."""
    scene.bookmakers[BETPAWA].playing = set(range(count))
    run = await scene.service.start("api", [BETPAWA], mode)
    await scene.settled(run)
    assert scene.sink.withdrawn == []
    assert scene.store.runs[run.record.id].status is status


async def test_an_event_that_cannot_be_recorded_fails_alone(scene: Scene) -> None:
    """The error is in the row, and the other events are recorded."""

    def full(mapped: MappedEvent) -> BaseException | None:
        return CacheFullError(BETPAWA, "too many prices") if mapped.header.external_id == "0" else None

    scene.sink.record_error = full
    _, _, row = await sweep(scene, BETPAWA)
    assert (row.status, row.results[0].fetched, row.results[0].failed) == (RunStatus.COMPLETED, 4, 1)
    assert [each.error_type for each in row.errors] == ["too_much"]


async def test_many_missing_events_are_reported(scene: Scene) -> None:
    """What the sink says is gone or missed is noted as in a full run."""
    scene.sink.missing_changes = [EventChange(number, BETPAWA, number, is_missed=True) for number in range(12)]
    _, _, row = await sweep(scene, BETPAWA)
    assert [each.error_type for each in row.errors] == ["missing"]


async def test_a_sweep_may_run_beside_a_full_run(scene: Scene) -> None:
    """Each mode has one active run. Both have a row, and each ends by itself."""
    for bookmaker in scene.bookmakers.values():
        bookmaker.hangs = True
    full = await scene.service.start("api")
    beside = await scene.service.start("scheduled", mode=SWEEP)
    assert scene.service.active is full
    assert (scene.service.active_run(FULL), scene.service.active_run(SWEEP)) == (full, beside)
    for mode, run in ((FULL, full), (SWEEP, beside)):
        with pytest.raises(RunActiveError) as caught:
            await scene.service.start("api", mode=mode)
        assert caught.value.scrape_run_id == run.record.id
        assert scene.service.active_by_id(run.record.id) is run
    await scene.service.cancel(beside.record.id)
    await scene.settled(beside)
    assert scene.service.active_run(SWEEP) is None
    assert scene.service.active is full
    assert scene.store.runs[beside.record.id].status is RunStatus.CANCELLED
    assert scene.store.runs[full.record.id].status is RunStatus.RUNNING
    await scene.service.cancel(full.record.id)
    await scene.settled(full)


async def test_a_full_run_is_at_work_at_the_platforms_that_it_has_not_finished(scene: Scene) -> None:
    """Those that it does not have, has finished or has failed at are free for the details of rounds."""

    def at_work() -> list[Platform]:
        return [platform for platform in Platform if scene.service.is_scraping(platform)]

    scene.bookmakers[SPORTYBET].hangs = True
    assert at_work() == []
    run = await scene.service.start("api", [BETPAWA, SPORTYBET])
    assert at_work() == [BETPAWA, SPORTYBET]
    async with asyncio.timeout(10):
        while not run.tracker.platforms[0].phase.is_final:
            await asyncio.sleep(0)
    assert at_work() == [SPORTYBET]
    await scene.service.cancel(run.record.id)
    await scene.settled(run)
    assert at_work() == []


async def test_a_cancelled_sweep_delays_sweeps_only(scene: Scene) -> None:
    """The wait after a cancelled start is one of its mode."""
    for bookmaker in scene.bookmakers.values():
        bookmaker.hangs = True
    run = await scene.service.start("api", mode=SWEEP)
    await scene.service.cancel(run.record.id)
    await scene.settled(run)
    with pytest.raises(TooSoonError):
        await scene.service.start("api", mode=SWEEP)
    full = await scene.service.start("api")
    assert full.record.mode is FULL
    assert scene.store.runs[run.record.id].status is RunStatus.CANCELLED


async def test_a_retry_has_the_mode_of_its_run(scene: Scene) -> None:
    """What failed in a sweep is swept again."""
    scene.bookmakers[BET9JA].root_error = UnreachableError(BET9JA, "reset")
    run, _, _ = await sweep(scene)
    scene.bookmakers[BET9JA].root_error = None
    again = await scene.service.retry(run.record.id)
    assert (again.record.mode, again.record.platforms) == (SWEEP, (BET9JA,))
    await scene.settled(again)


async def test_a_folded_sweep_is_gone_with_its_reason(scene: Scene) -> None:
    """Finding, cancelling and retrying it raise an error that names the hour; an unknown id is only unknown."""
    scene.store.folded[123] = datetime(2026, 11, 22, 10, tzinfo=UTC)
    for request in (scene.service.find, scene.service.cancel, scene.service.retry):
        with pytest.raises(RunFoldedError) as caught:
            await request(123)
        assert str(caught.value) == (
            "run 123 was a sweep of 2026-11-22 10:00 UTC; sweeps are kept for a day and then folded into hourly figures"
        )
        with pytest.raises(RunNotFoundError) as unknown:
            await request(124)
        assert str(unknown.value) == "there is no run 124"


async def test_sweeps_say_nothing_of_the_last_discovery(scene: Scene) -> None:
    """After a sweep of few events, a full run of as few is not compared with it, but with the last full run."""
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    scene.bookmakers[BETPAWA].events = 1
    await sweep(scene, BETPAWA)
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    assert scene.store.runs[run.record.id].results[0].is_shrunken


async def test_late_joiners_see_nothing_of_a_sweep(scene: Scene) -> None:
    """Its progress is sent live, and is no part of the newest state, while it runs and after it."""
    for bookmaker in scene.bookmakers.values():
        bookmaker.hangs = True
    full = await scene.service.start("api")
    await scene.bookmakers[BETPAWA].reached.wait()
    before = scene.registry.log.next_seq
    beside = await scene.service.start("api", mode=SWEEP)
    async with asyncio.timeout(10):
        while b'"sweep"' not in b"".join(each.payload for each in scene.registry.log.read(before, 10**6)):
            await asyncio.sleep(0)
    assert not any(b'"sweep"' in each.payload for each in scene.registry.place(None).snapshot)
    await scene.service.cancel(beside.record.id)
    await scene.settled(beside)
    told = [each.payload for each in scene.registry.log.read(before, 10**6) if b'"sweep"' in each.payload]
    assert len(told) == 2
    lost = scene.registry.place("another-1").snapshot
    assert lost
    assert not any(b'"sweep"' in each.payload for each in lost)
    await scene.service.cancel(full.record.id)


async def test_a_stop_ends_both_runs(scene: Scene) -> None:
    """Both are interrupted, with their rows and their terminal progress."""
    for bookmaker in scene.bookmakers.values():
        bookmaker.hangs = True
    started = [await scene.service.start("api", mode=mode) for mode in RunMode]
    await scene.service.close()
    for run in started:
        assert scene.store.runs[run.record.id].status is RunStatus.INTERRUPTED
        assert (await scene.published(run.broadcaster))[-1].is_terminal
    with pytest.raises(RunStateError):
        await scene.service.start("api", mode=SWEEP)


async def test_a_sweep_that_was_left_behind_ends_as_one(scene: Scene) -> None:
    """The start of a server publishes the end of a sweep that a crash interrupted; active ones are left alone."""
    run_id = await scene.store.create_run(
        trigger="scheduled", platforms=list(Platform), started_at=datetime.now(UTC), mode=SWEEP
    )
    for bookmaker in scene.bookmakers.values():
        bookmaker.hangs = True
    active = await scene.service.start("api", mode=SWEEP)
    (ended,) = await scene.service.recover()
    assert (ended.id, ended.mode) == (run_id, SWEEP)
    broadcaster = scene.service.broadcasters.get(run_id)
    assert broadcaster is not None
    assert [each.mode for each in await scene.published(broadcaster)] == [SWEEP]
    assert scene.store.runs[active.record.id].status is RunStatus.RUNNING


async def test_a_sweep_whose_end_cannot_be_stored_stays_quiet(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end says so; nothing is published before."""
    monkeypatch.setattr(runs_module, "STORE_END_SECONDS", 0.2)
    scene.store.finish_error = StorageError("the database is gone")
    run = await scene.service.start("api", mode=SWEEP)
    published = await scene.published(run.broadcaster)
    assert [each.phase for each in published] == [ScrapePhase.INITIALIZING, ScrapePhase.FAILED]
    assert "the database is gone" in (published[-1].message or "")
    scene.store.finish_error = None


async def test_a_sweep_that_may_not_write_asks_nothing(scene: Scene) -> None:
    """It is refused before there is a run, whoever starts it."""

    async def refuse() -> None:
        raise NotWriterError

    scene.service._take_over = refuse
    for start in (partial(scene.service.start_scheduled, SWEEP), partial(scene.service.start, "api", mode=SWEEP)):
        with pytest.raises(NotWriterError):
            await start()
    assert scene.store.runs == {}
    assert not any(bookmaker.reached.is_set() for bookmaker in scene.bookmakers.values())


async def test_sweeps_do_not_displace_the_broadcasters_of_full_runs(scene: Scene) -> None:
    """The stream of a full run can be resumed after many sweeps."""
    run, _ = await scene.run(BETPAWA)
    await scene.settled(run)
    for _ in range(12):
        await sweep(scene, BETPAWA)
    assert scene.service.broadcasters.get(run.record.id) is run.broadcaster
    kept = [each for each in scene.service.broadcasters if each.mode is SWEEP]
    assert len(kept) <= 8


async def test_a_sweep_that_takes_too_long_fails_with_the_reason() -> None:
    """The platform's deadline holds for sweeps."""
    scene = Scene(deadline=0.05)
    scene.bookmakers[BETPAWA].hangs = True
    _, _, row = await sweep(scene, BETPAWA)
    assert row.errors[0].error_type == "deadline"
    await scene.service.close()
