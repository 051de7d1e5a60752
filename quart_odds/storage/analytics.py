"""Statistics of runs: counts and averages, by day and by bookmaker."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, case, func, select, type_coerce

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode, RunStatus, ScrapePhase
from quart_odds.storage.database import Database
from quart_odds.storage.sweep_hours import WHOLE
from quart_odds.storage.tables import run_results, runs, sweep_hours


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
    """The part of the store that computes statistics. Every method raises StorageError.

    `mode` is the mode of the runs that count, None for all. Sweeps count whether they are folded or not.
    """

    database: Database

    async def run_stats(self, now: datetime, mode: RunMode | None = RunMode.FULL) -> RunStats:
        """Return the number of runs and their average duration."""
        total = select(func.count()).select_from(runs).where(*_of(mode))
        folded = select(func.sum(sweep_hours.c.sweeps)).where(sweep_hours.c.platform == WHOLE)
        recent = total.where(runs.c.started_at >= now - timedelta(hours=24))
        finished = select(runs.c.started_at, runs.c.completed_at).where(
            runs.c.status.in_([RunStatus.COMPLETED.value, RunStatus.PARTIAL.value]), *_of(mode)
        )
        async with self.database.reading() as connection:
            total_runs = await connection.scalar(total) or 0
            if mode is not RunMode.FULL:
                total_runs += int(await connection.scalar(folded) or 0)
            runs_24h = await connection.scalar(recent) or 0
            rows = (await connection.execute(finished.order_by(runs.c.id.desc()).limit(1000))).all()
        spent = sum((max(timedelta(), row.completed_at - row.started_at) for row in rows), timedelta())
        return RunStats(total_runs, runs_24h, _average(spent, len(rows)) if rows else None)

    async def run_analytics(self, days: int, now: datetime, mode: RunMode | None = RunMode.FULL) -> RunAnalytics:
        """Return metrics of the last `days` days including today (UTC), by day and by bookmaker.

        Days without a run are left out.
        """
        end = now.astimezone(UTC).date()
        start = end - timedelta(days=days - 1)
        begin = datetime(start.year, start.month, start.day, tzinfo=UTC)
        by_day: dict[date, _Sums] = defaultdict(_Sums)
        by_platform: dict[Platform, _Sums] = defaultdict(_Sums)
        async with self.database.reading() as connection:
            for row in await connection.execute(_runs_by_day(begin, mode)):
                by_day[_day_of(row.day)].add_runs(row)
            for row in await connection.execute(_results_by_platform(begin, mode)):
                by_platform[Platform.of(row.platform)].add_results(row)
            if mode is not RunMode.FULL:
                for row in await connection.execute(_hours_by_day_and_platform(begin)):
                    if row.platform == WHOLE:
                        by_day[_day_of(row.day)].add_hours(row)
                    else:
                        by_platform[Platform.of(row.platform)].add_hours(row)
        return RunAnalytics(
            start,
            end,
            tuple(sums.of_day(day) for day, sums in sorted(by_day.items())),
            tuple(
                by_platform[platform].of_platform(platform)
                for platform in sorted(by_platform, key=lambda each: each.place)
            ),
        )


@dataclass(slots=True)
class _Sums:
    """The figures of many runs, or of their results at one bookmaker, added up. `timed` of them have a duration."""

    runs: int = 0
    completed: int = 0
    partial: int = 0
    failed: int = 0
    found: int = 0
    events: int = 0
    events_failed: int = 0
    timed: int = 0
    spent: timedelta = timedelta()

    def add_runs(self, row: Any) -> None:
        """Add the runs of one day that have the same status."""
        status = RunStatus(row.status)
        self.runs += row.count
        self.completed += row.count if status is RunStatus.COMPLETED else 0
        self.partial += row.count if status is RunStatus.PARTIAL else 0
        self.failed += row.count if status in _BAD else 0
        self.events += int(row.events)
        self.timed += row.timed
        self.spent += timedelta(microseconds=int(row.duration_us or 0))

    def add_results(self, row: Any) -> None:
        """Add the results at one bookmaker that ended in the same phase."""
        self.runs += row.count
        self.completed += row.count if row.phase == ScrapePhase.COMPLETED.value else 0
        self.found += int(row.found)
        self.events += int(row.events)
        self.events_failed += int(row.events_failed)
        self.timed += row.timed
        self.spent += timedelta(milliseconds=int(row.duration_ms or 0))

    def add_hours(self, row: Any) -> None:
        """Add the folded sweeps of one day."""
        self.runs += int(row.sweeps)
        self.completed += int(row.completed)
        self.partial += int(row.partial)
        self.failed += int(row.failed)
        self.found += int(row.events_found)
        self.events += int(row.events_scraped)
        self.events_failed += int(row.events_failed)
        self.timed += int(row.timed)
        self.spent += timedelta(microseconds=int(row.duration_us))

    def of_day(self, day: date) -> DayMetrics:
        """Return these sums as the metrics of a day."""
        return DayMetrics(
            date=day,
            avg_duration_seconds=_average(self.spent, self.timed),
            total_events=self.events,
            success_count=self.completed,
            failure_count=self.failed,
            partial_count=self.partial,
        )

    def of_platform(self, platform: Platform) -> PlatformMetrics:
        """Return these sums as the metrics of a bookmaker."""
        return PlatformMetrics(
            platform=platform,
            success_rate=round(100 * self.completed / self.runs, 1),
            avg_duration_seconds=_average(self.spent, self.timed),
            runs=self.runs,
            total_requested=self.found,
            total_events=self.events,
            total_failed=self.events_failed,
        )


_BAD = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED)
_DAY_US = 86_400_000_000


def _of(mode: RunMode | None) -> list[ColumnElement[bool]]:
    """Return the condition that a run has this mode; none if every run counts."""
    return [] if mode is None else [runs.c.mode == mode.value]


def _runs_by_day(begin: datetime, mode: RunMode | None) -> Select[Any]:
    """Select the runs since a moment, added up by day and status. The database adds: a day has thousands of sweeps."""
    of = runs.c
    started, completed = type_coerce(of.started_at, BigInteger), type_coerce(of.completed_at, BigInteger)
    day = (started // _DAY_US).label("day")
    # 0 if the clock was set back during the run.
    spent = case((completed < started, 0), else_=completed - started)
    return (
        select(
            day,
            of.status,
            func.count().label("count"),
            func.count(of.completed_at).label("timed"),
            func.sum(spent).label("duration_us"),
            func.sum(of.events_scraped).label("events"),
        )
        .where(of.started_at >= begin, *_of(mode))
        .group_by(day, of.status)
    )


def _results_by_platform(begin: datetime, mode: RunMode | None) -> Select[Any]:
    """Select the results of ended runs since a moment, added up by bookmaker and phase."""
    of = run_results.c
    return (
        select(
            of.platform,
            of.phase,
            func.count().label("count"),
            func.count(of.duration_ms).label("timed"),
            func.sum(of.duration_ms).label("duration_ms"),
            func.sum(of.found).label("found"),
            func.sum(of.fetched).label("events"),
            func.sum(of.failed).label("events_failed"),
        )
        .join(runs, runs.c.id == of.run_id)
        .where(runs.c.started_at >= begin, runs.c.status != RunStatus.RUNNING.value, *_of(mode))
        .group_by(of.platform, of.phase)
    )


def _hours_by_day_and_platform(begin: datetime) -> Select[Any]:
    """Select the hourly figures of folded sweeps since a moment, added up by day and bookmaker."""
    of = sweep_hours.c
    day = (type_coerce(of.hour, BigInteger) // _DAY_US).label("day")
    names = ("sweeps", "completed", "partial", "failed", "events_found", "events_scraped", "events_failed", "timed")
    sums = [func.sum(of[name]).label(name) for name in (*names, "duration_us")]
    return select(day, of.platform, *sums).where(of.hour >= begin).group_by(day, of.platform)


def _day_of(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=int(number))


def _average(spent: timedelta, count: int) -> float:
    """Return the average in seconds, 0 if there is nothing to average."""
    return round(spent.total_seconds() / count, 3) if count else 0.0
