"""Statistics of runs: counts and averages, by day and by bookmaker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunStatus, ScrapePhase
from quart_odds.storage.database import Database
from quart_odds.storage.tables import run_results, runs


@dataclass(frozen=True, slots=True)
class RunStats:
    """The number of runs in total and in the last 24 hours, and the average duration of completed and partial runs.

    The average is of the last 1,000 such runs; None if there are none.
    """

    total_runs: int
    runs_24h: int
    avg_duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class DayMetrics:
    """The runs that started on one day in UTC. `failure_count` includes failed, cancelled and interrupted runs."""

    date: date
    avg_duration_seconds: float
    total_events: int
    success_count: int
    failure_count: int
    partial_count: int


@dataclass(frozen=True, slots=True)
class PlatformMetrics:
    """The runs of one bookmaker over a period.

    `success_rate` is the percentage of its runs that completed. The totals count events.
    """

    platform: Platform
    success_rate: float
    avg_duration_seconds: float
    runs: int
    total_requested: int
    total_events: int
    total_failed: int


@dataclass(frozen=True, slots=True)
class RunAnalytics:
    """The metrics of the days from `period_start` to `period_end`, both included."""

    period_start: date
    period_end: date
    daily_metrics: tuple[DayMetrics, ...]
    platform_metrics: tuple[PlatformMetrics, ...]


class AnalyticsRows:
    """The part of the store that computes statistics. Every method raises StorageError."""

    database: Database

    async def run_stats(self, now: datetime) -> RunStats:
        """Return the number of runs and their average duration."""
        total = select(func.count()).select_from(runs)
        recent = total.where(runs.c.started_at >= now - timedelta(hours=24))
        finished = select(runs.c.started_at, runs.c.completed_at).where(
            runs.c.status.in_([RunStatus.COMPLETED.value, RunStatus.PARTIAL.value])
        )
        async with self.database.reading() as connection:
            total_runs = await connection.scalar(total) or 0
            runs_24h = await connection.scalar(recent) or 0
            rows = (await connection.execute(finished.order_by(runs.c.id.desc()).limit(1000))).all()
        seconds = _durations(rows)
        return RunStats(total_runs, runs_24h, _average(seconds) if seconds else None)

    async def run_analytics(self, days: int, now: datetime) -> RunAnalytics:
        """Return metrics of the last `days` days including today (UTC), by day and by bookmaker.

        Days without a run are left out.
        """
        end = now.astimezone(UTC).date()
        start = end - timedelta(days=days - 1)
        begin = datetime(start.year, start.month, start.day, tzinfo=UTC)
        of_time = select(runs).where(runs.c.started_at >= begin).order_by(runs.c.id)
        results = (
            select(run_results)
            .join(runs, runs.c.id == run_results.c.run_id)
            .where(runs.c.started_at >= begin, runs.c.status != RunStatus.RUNNING.value)
        )
        async with self.database.reading() as connection:
            run_rows = (await connection.execute(of_time)).all()
            result_rows = (await connection.execute(results)).all()
        by_day: dict[date, list[Row[tuple[object, ...]]]] = {}
        for row in run_rows:
            by_day.setdefault(row.started_at.date(), []).append(row)
        by_platform: dict[Platform, list[Row[tuple[object, ...]]]] = {}
        for row in result_rows:
            by_platform.setdefault(Platform(row.platform), []).append(row)
        return RunAnalytics(
            start,
            end,
            tuple(_day(day, rows) for day, rows in sorted(by_day.items())),
            tuple(_platform(platform, by_platform[platform]) for platform in Platform if platform in by_platform),
        )


def _day(day: date, rows: Sequence["Row[tuple[object, ...]]"]) -> DayMetrics:
    statuses = [RunStatus(row.status) for row in rows]
    bad = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED)
    seconds = _durations(rows)
    return DayMetrics(
        date=day,
        avg_duration_seconds=_average(seconds),
        total_events=sum(row.events_scraped for row in rows),
        success_count=statuses.count(RunStatus.COMPLETED),
        failure_count=sum(status in bad for status in statuses),
        partial_count=statuses.count(RunStatus.PARTIAL),
    )


def _platform(platform: Platform, rows: Sequence["Row[tuple[object, ...]]"]) -> PlatformMetrics:
    completed = [row for row in rows if row.phase == ScrapePhase.COMPLETED.value]
    return PlatformMetrics(
        platform=platform,
        success_rate=round(100 * len(completed) / len(rows), 1),
        avg_duration_seconds=_average([row.duration_ms / 1000 for row in rows if row.duration_ms is not None]),
        runs=len(rows),
        total_requested=sum(row.found for row in rows),
        total_events=sum(row.fetched for row in rows),
        total_failed=sum(row.failed for row in rows),
    )


def _durations(rows: Iterable[Any]) -> list[float]:
    """Return the durations of ended runs in seconds, each at least 0 because the clock may have been set back."""
    return [max(0.0, (row.completed_at - row.started_at).total_seconds()) for row in rows if row.completed_at]


def _average(seconds: Sequence[float]) -> float:
    return round(sum(seconds) / len(seconds), 3) if seconds else 0.0
