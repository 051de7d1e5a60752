"""Tests of runs in the database, on SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, RunRecord, RunStatus, ScrapePhase
from quart_odds.storage import Store

START = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
ALL = tuple(Platform)


def finished(run_id: int, *, found: int = 40, phase: ScrapePhase = ScrapePhase.COMPLETED) -> RunRecord:
    """Return a partial run: one bookmaker ended in `phase`, the other blocked the scrape."""
    blocked = RunError("blocked", "403 with HTML", START, Platform.BET9JA, recoverable=False)
    return RunRecord(
        id=run_id,
        status=RunStatus.PARTIAL,
        trigger="api",
        platforms=ALL,
        started_at=START,
        completed_at=START + timedelta(seconds=9.25),
        events_scraped=38,
        events_failed=2,
        results=(
            PlatformResult(Platform.BETPAWA, phase, found, 38, 2, 9000, 900, 30, 4, True),
            PlatformResult(Platform.BET9JA, ScrapePhase.FAILED, duration_ms=12, error=blocked),
        ),
        errors=(RunError("not_found", "404", START, Platform.BETPAWA, "34567", False, 2),),
    )


async def start(store: Store, trigger: str = "api") -> int:
    """Store a running run, and return its id."""
    return await store.create_run(trigger=trigger, platforms=ALL, started_at=START)


async def test_a_run_that_starts_is_a_row_at_once(store: Store) -> None:
    """`create_run` commits a row with the status running, and ids ascend."""
    first, second = await start(store), await start(store, "retry:1")
    assert second > first > 0
    assert await store.get_run(second) == RunRecord(second, RunStatus.RUNNING, "retry:1", ALL, START)
    assert await store.get_run(second + 1) is None


async def test_a_finished_run_comes_back_as_it_was(store: Store) -> None:
    """`finish_run` stores results, errors, and times to the microsecond."""
    record = finished(await start(store))
    assert await store.finish_run(record)
    assert await store.get_run(record.id) == record


async def test_a_run_ends_once(store: Store) -> None:
    """`finish_run` returns False and changes nothing for a run that has ended or never existed."""
    record = finished(await start(store))
    assert await store.finish_run(record)
    assert not await store.finish_run(replace(record, status=RunStatus.FAILED, results=(), errors=()))
    assert not await store.finish_run(replace(record, id=record.id + 1))
    assert await store.get_run(record.id) == record


async def test_runs_are_listed_newest_first(store: Store) -> None:
    """Paging and the status filter agree with the count."""
    ids = [await start(store) for _ in range(5)]
    await store.finish_run(finished(ids[1]))
    assert [run.id for run in await store.list_runs(limit=2, offset=1)] == [ids[3], ids[2]]
    assert [run.id for run in await store.list_runs(limit=9, status=RunStatus.PARTIAL)] == [ids[1]]
    assert await store.count_runs() == 5
    assert await store.count_runs(RunStatus.RUNNING) == 4


async def test_phases_are_replaced_as_a_whole(store: Store) -> None:
    """`save_phases` keeps the order, and each call replaces the phases of the call before."""
    run_id = await start(store)
    first = PhaseRecord(ScrapePhase.DISCOVERING, START, Platform.BETPAWA)
    await store.save_phases(run_id, [first])
    ended = replace(first, ended_at=START + timedelta(seconds=1), events_processed=40, message="found 40")
    await store.save_phases(run_id, [ended, PhaseRecord(ScrapePhase.COMPLETED, START)])
    assert await store.phases(run_id) == [ended, PhaseRecord(ScrapePhase.COMPLETED, START)]
    await store.save_phases(run_id, [])
    assert await store.phases(run_id) == []


async def test_last_found_is_of_the_last_healthy_run(store: Store) -> None:
    """Failed bookmakers and running runs do not count."""
    assert await store.last_found(Platform.BETPAWA) is None
    await store.finish_run(finished(await start(store), found=40))
    await store.finish_run(finished(await start(store), found=7, phase=ScrapePhase.FAILED))
    await start(store)
    assert await store.last_found(Platform.BETPAWA) == 40
    assert await store.last_found(Platform.BET9JA) is None


async def test_a_run_found_running_is_interrupted(store: Store) -> None:
    """`interrupt_running` ends exactly the running runs, with an error; a second call finds none."""
    done, running = finished(await start(store)), await start(store)
    await store.finish_run(done)
    at = START + timedelta(hours=1)
    ended = await store.interrupt_running(at)
    assert [run.id for run in ended] == [running]
    assert ended[0].status is RunStatus.INTERRUPTED
    assert ended[0].completed_at == at
    assert [error.error_type for error in ended[0].errors] == ["interrupted"]
    assert await store.get_run(running) == ended[0]
    assert await store.get_run(done.id) == done
    assert await store.interrupt_running(at) == []


async def test_notes_outlive_the_store(store: Store) -> None:
    """Setting a value replaces the previous one, and None deletes it."""
    assert await store.get_value("scheduler.paused") is None
    await store.set_value("scheduler.paused", "yes")
    await store.set_value("scheduler.paused", "no")
    assert await store.get_value("scheduler.paused") == "no"
    await store.set_value("scheduler.paused", None)
    assert await store.get_value("scheduler.paused") is None
