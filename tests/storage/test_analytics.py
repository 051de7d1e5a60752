"""Tests of the statistics of runs."""

from dataclasses import replace
from datetime import date, timedelta

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunStatus
from quart_odds.storage import Store
from quart_odds.storage.analytics import RunStats
from tests.storage.test_run_rows import START, finished, start


async def test_an_empty_database_has_no_average(store: Store) -> None:
    """The average is None, not zero."""
    assert await store.run_stats(START) == RunStats(0, 0, None)
    analytics = await store.run_analytics(14, START)
    assert (analytics.daily_metrics, analytics.platform_metrics) == ((), ())
    assert (analytics.period_start, analytics.period_end) == (date(2026, 11, 9), date(2026, 11, 22))


async def test_runs_are_counted_by_day_and_by_bookmaker(store: Store) -> None:
    """Partial runs count for the average duration and running runs do not. Each bookmaker has separate metrics."""
    for _ in range(2):
        await store.finish_run(finished(await start(store)))
    await start(store)
    stats = await store.run_stats(START + timedelta(hours=1))
    assert stats == RunStats(3, 3, 9.25)
    assert (await store.run_stats(START + timedelta(days=2))).runs_24h == 0
    analytics = await store.run_analytics(1, START)
    (day,) = analytics.daily_metrics
    assert (day.date, day.partial_count, day.success_count, day.failure_count) == (date(2026, 11, 22), 2, 0, 0)
    assert (day.total_events, day.avg_duration_seconds) == (76, 9.25)
    betpawa, bet9ja = analytics.platform_metrics
    assert (betpawa.platform, betpawa.success_rate, betpawa.total_events, betpawa.total_failed) == (
        Platform.BETPAWA,
        100.0,
        76,
        4,
    )
    assert (bet9ja.platform, bet9ja.success_rate) == (Platform.BET9JA, 0.0)
    await store.interrupt_running(START)
    (day,) = (await store.run_analytics(1, START)).daily_metrics
    assert day.failure_count == 1
    assert await store.count_runs(RunStatus.INTERRUPTED) == 1


async def test_a_clock_that_was_set_back_during_a_run_makes_no_average_negative(store: Store) -> None:
    """A run that ends before it starts counts with a duration of zero."""
    record = finished(await start(store))
    await store.finish_run(replace(record, completed_at=record.started_at - timedelta(hours=1)))
    assert (await store.run_stats(START)).avg_duration_seconds == 0
    (day,) = (await store.run_analytics(1, START)).daily_metrics
    assert day.avg_duration_seconds == 0
