"""Tests of sweeps that are folded into hourly figures, on SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.storage import Store, sweep_hours
from quart_odds.storage.analytics import RunStats
from quart_odds.storage.tables import run_errors, run_phases, run_results
from quart_odds.storage.tables import sweep_hours as table

TEN = datetime(2026, 11, 22, 10, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
BETPAWA, SPORTYBET, BET9JA, *_ = Platform


async def swept(
    store: Store,
    at: datetime,
    *,
    seconds: float = 4,
    status: RunStatus = RunStatus.COMPLETED,
    mode: RunMode = RunMode.SWEEP,
) -> int:
    """Store a run that started at this moment and found 10 events at BetPawa and 20 at Bet9ja; return its id.

    Bet9ja failed in it unless it completed. It is left running if that is its status.
    """
    run_id = await store.create_run(trigger="scheduled", platforms=(BETPAWA, BET9JA), started_at=at, mode=mode)
    if status is RunStatus.RUNNING:
        return run_id
    is_good = status is RunStatus.COMPLETED
    error = None if is_good else RunError("blocked", "403", at, BET9JA)
    results = (
        PlatformResult(BETPAWA, ScrapePhase.COMPLETED, 10, 8, 1, 2000),
        PlatformResult(BET9JA, ScrapePhase.COMPLETED if is_good else ScrapePhase.FAILED, 20, 16, 2, 3000, error=error),
    )
    errors = () if error is None else (error,)
    end = at + timedelta(seconds=seconds)
    record = RunRecord(run_id, status, "scheduled", (BETPAWA, BET9JA), at, end, 24, 3, results, errors, mode)
    await store.save_phases(run_id, [PhaseRecord(ScrapePhase.COMPLETED, at, BETPAWA)])
    assert await store.finish_run(record)
    return run_id


async def fold(store: Store, before: datetime) -> int:
    """Fold as the writer."""
    assert await store.take_writer_lock()
    return await store.fold_sweeps(before, store.term)


async def hours(store: Store) -> dict[tuple[datetime, str], dict[str, int]]:
    """Return all hourly figures, by hour and bookmaker."""
    async with store.database.reading() as connection:
        rows = (await connection.execute(select(table))).mappings().all()
    return {
        (row["hour"], row["platform"]): {k: v for k, v in row.items() if k not in ("hour", "platform")} for row in rows
    }


async def test_a_run_comes_back_with_its_mode(store: Store) -> None:
    """Runs are full unless said otherwise, and lists of a mode leave the others out."""
    full = await swept(store, TEN, mode=RunMode.FULL)
    sweep = await swept(store, TEN)
    found = await store.get_run(sweep)
    assert found is not None
    assert found.mode is RunMode.SWEEP
    assert [run.id for run in await store.list_runs(limit=9)] == [full]
    assert [run.id for run in await store.list_runs(limit=9, mode=RunMode.SWEEP)] == [sweep]
    assert [(run.id, run.mode) for run in await store.list_runs(limit=9, mode=None)] == [
        (sweep, RunMode.SWEEP),
        (full, RunMode.FULL),
    ]
    assert (
        await store.count_runs(),
        await store.count_runs(mode=RunMode.SWEEP),
        await store.count_runs(mode=None),
    ) == (
        1,
        1,
        2,
    )
    assert await store.count_runs(RunStatus.FAILED, None) == 0


async def test_last_found_is_of_full_runs(store: Store) -> None:
    """A sweep says nothing about the next discovery of a full run."""
    await swept(store, TEN)
    assert await store.last_found(BETPAWA) is None
    await swept(store, TEN, mode=RunMode.FULL)
    await swept(store, TEN)
    assert await store.last_found(BETPAWA) == 10


async def test_an_interrupted_sweep_is_one(store: Store) -> None:
    """A sweep that the previous writer left behind keeps its mode."""
    await swept(store, TEN, status=RunStatus.RUNNING)
    (ended,) = await store.interrupt_running(TEN)
    assert (ended.mode, ended.status) == (RunMode.SWEEP, RunStatus.INTERRUPTED)


async def test_sweeps_are_folded_by_the_hour_in_which_they_began(store: Store) -> None:
    """Each hour has sums for the runs as a whole and for each bookmaker, and nothing of the rows is left."""
    first = await swept(store, TEN)
    await swept(store, TEN + 59 * 60 * SECOND, seconds=120, status=RunStatus.PARTIAL)
    third = await swept(store, TEN + 59 * 60 * SECOND, status=RunStatus.CANCELLED)
    fourth = await swept(store, TEN + timedelta(hours=1))
    assert await fold(store, TEN + 2 * DAY) == 4
    found = await hours(store)
    assert found.keys() == {
        (TEN + timedelta(hours=each), name) for each in (0, 1) for name in (sweep_hours.WHOLE, "betpawa", "bet9ja")
    }
    assert found[TEN, sweep_hours.WHOLE] == {
        "sweeps": 3,
        "completed": 1,
        "partial": 1,
        "failed": 1,
        "events_found": 90,
        "events_scraped": 72,
        "events_failed": 9,
        "timed": 3,
        "duration_us": 128_000_000,
        "first_id": first,
        "last_id": third,
    }
    assert found[TEN, "bet9ja"] == {
        "sweeps": 3,
        "completed": 1,
        "partial": 0,
        "failed": 2,
        "events_found": 60,
        "events_scraped": 48,
        "events_failed": 6,
        "timed": 3,
        "duration_us": 9_000_000,
        "first_id": first,
        "last_id": third,
    }
    later = found[TEN + timedelta(hours=1), sweep_hours.WHOLE]
    assert (later["sweeps"], later["first_id"], later["last_id"]) == (1, fourth, fourth)
    assert await store.count_runs(mode=None) == 0
    async with store.database.reading() as connection:
        for each in (run_results, run_errors, run_phases):
            assert (await connection.execute(select(each))).all() == [], each.name


async def test_a_sweep_is_kept_until_its_day_is_over(store: Store) -> None:
    """Only sweeps that ended before the moment are folded: no full run, none that is running, none that is younger."""
    old = await swept(store, TEN)
    young = await swept(store, TEN + SECOND, seconds=60)
    running = await swept(store, TEN, status=RunStatus.RUNNING)
    full = await swept(store, TEN, mode=RunMode.FULL)
    assert await fold(store, TEN + 60 * SECOND) == 1
    assert [run.id for run in await store.list_runs(limit=9, mode=None)] == [full, running, young]
    assert await store.get_run(old) is None


async def test_folding_again_counts_nothing_twice(store: Store) -> None:
    """A second folding adds only what is new, to the same hours."""
    await swept(store, TEN)
    assert await fold(store, TEN + DAY) == 1
    before = await hours(store)
    assert await fold(store, TEN + DAY) == 0
    assert await hours(store) == before
    last = await swept(store, TEN + 60 * SECOND)
    assert await fold(store, TEN + DAY) == 1
    whole = (await hours(store))[TEN, sweep_hours.WHOLE]
    assert (whole["sweeps"], whole["events_scraped"], whole["last_id"]) == (2, 48, last)


async def test_a_folding_that_breaks_off_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures and the removal of the rows are one transaction: after a failure, all is as before."""
    await swept(store, TEN)
    add = sweep_hours._add
    added: list[str] = []

    async def broken(*words: object) -> None:
        await add(*words)  # type: ignore[arg-type]
        added.append(str(words[1]))
        if len(added) == 2:
            raise OSError("the plug was pulled")

    monkeypatch.setattr(sweep_hours, "_add", broken)
    with pytest.raises(StorageError):
        await fold(store, TEN + DAY)
    assert await hours(store) == {}
    assert await store.count_runs(mode=RunMode.SWEEP) == 1
    monkeypatch.undo()
    assert await fold(store, TEN + DAY) == 1
    assert (await hours(store))[TEN, sweep_hours.WHOLE]["sweeps"] == 1


async def test_only_the_writer_folds(store: Store) -> None:
    """Outside the current term nothing changes; a folding without anything to fold is no write."""
    assert await store.fold_sweeps(TEN, None) == 0
    await swept(store, TEN)
    for term in (None, 99):
        with pytest.raises(NotWriterError):
            await store.fold_sweeps(TEN + DAY, term)
    assert await hours(store) == {}
    assert await store.count_runs(mode=RunMode.SWEEP) == 1
    await fold(store, TEN + DAY)
    revision = await store.odds_revision()
    await fold(store, TEN + DAY)
    assert await store.odds_revision() == revision


async def test_many_sweeps_are_folded_in_small_transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of an hour are added to each other."""
    monkeypatch.setattr(sweep_hours, "SWEEPS_AT_ONCE", 2)
    for number in range(5):
        await swept(store, TEN + number * SECOND)
    before = await store.odds_revision()
    assert await fold(store, TEN + DAY) == 5
    assert (await hours(store))[TEN, sweep_hours.WHOLE]["sweeps"] == 5
    assert await store.odds_revision() - before >= 3


async def test_a_folded_sweep_is_known_by_its_id(store: Store) -> None:
    """Its hour is known; ids that never were, and those that no column can hold, are not of any hour."""
    first = await swept(store, TEN)
    await swept(store, TEN + 9 * SECOND)
    last = await swept(store, TEN + timedelta(hours=3))
    await fold(store, TEN + DAY)
    assert await store.folded_hour(first) == TEN
    assert await store.folded_hour(last) == TEN + timedelta(hours=3)
    for unknown in (last + 1, 0, -1, 2**40):
        assert await store.folded_hour(unknown) is None


async def test_folded_sweeps_count_in_analytics(store: Store) -> None:
    """What the figures of sweeps say is the same before and after they are folded; full runs are unaffected."""
    now = TEN + timedelta(hours=30)
    await swept(store, TEN, mode=RunMode.FULL, seconds=300)
    await swept(store, TEN)
    await swept(store, TEN + timedelta(hours=1), seconds=8, status=RunStatus.PARTIAL)
    await swept(store, now - 9 * SECOND, seconds=3, status=RunStatus.FAILED)
    modes = (RunMode.FULL, RunMode.SWEEP, None)
    before = {mode: await store.run_analytics(14, now, mode) for mode in modes}
    sweeps = before[RunMode.SWEEP]
    assert [(day.success_count, day.partial_count, day.failure_count) for day in sweeps.daily_metrics] == [
        (1, 1, 0),
        (0, 0, 1),
    ]
    assert [(day.total_events, day.avg_duration_seconds) for day in sweeps.daily_metrics] == [(48, 6.0), (24, 3.0)]
    assert [(each.platform, each.runs, each.success_rate) for each in sweeps.platform_metrics] == [
        (BETPAWA, 3, 100.0),
        (BET9JA, 3, 33.3),
    ]
    assert before[None].daily_metrics[0].avg_duration_seconds == 104.0
    assert before[RunMode.FULL].daily_metrics[0].total_events == 24
    assert await fold(store, now - DAY) == 2
    assert {mode: await store.run_analytics(14, now, mode) for mode in modes} == before
    assert await store.run_analytics(14, now) == before[RunMode.FULL]
    assert await store.run_stats(now) == RunStats(1, 0, 300.0)
    assert (await store.run_stats(now, RunMode.SWEEP)).total_runs == 3
    assert await store.run_stats(now, None) == RunStats(4, 1, 300.0)


async def test_old_hours_are_removed_with_the_full_runs_of_that_time(store: Store) -> None:
    """Sweeps of that time are folded first, so that no later folding brings an hour back. Neither is counted."""
    assert await store.take_writer_lock()
    full = await swept(store, TEN + 5 * SECOND, mode=RunMode.FULL)
    await swept(store, TEN)
    await fold(store, TEN + DAY)
    unfolded = await swept(store, TEN + 20 * SECOND)
    young = await swept(store, TEN + timedelta(hours=5))
    cut = TEN + timedelta(hours=1, minutes=30)
    assert (await store.preview_removal(cut, cut)).runs == 1
    assert (await store.remove_old(cut, cut, store.term)).runs == 1
    assert await hours(store) == {}
    assert [run.id for run in await store.list_runs(limit=9, mode=None)] == [young]
    for gone in (full, unfolded):
        assert await store.folded_hour(gone) is None


async def test_a_clock_that_was_set_back_during_a_sweep_makes_no_sum_negative(store: Store) -> None:
    """Such a sweep counts with a duration of zero."""
    await swept(store, TEN, seconds=-3600)
    await fold(store, TEN + DAY)
    assert (await hours(store))[TEN, sweep_hours.WHOLE]["duration_us"] == 0


async def test_a_sweep_without_results_is_folded(store: Store) -> None:
    """A sweep that was interrupted before it found anything counts as failed."""
    run_id = await swept(store, TEN, status=RunStatus.RUNNING)
    record = await store.get_run(run_id)
    assert record is not None
    assert await store.finish_run(replace(record, status=RunStatus.INTERRUPTED, completed_at=TEN + SECOND))
    assert await fold(store, TEN + DAY) == 1
    assert {key: each["failed"] for key, each in (await hours(store)).items()} == {(TEN, sweep_hours.WHOLE): 1}
