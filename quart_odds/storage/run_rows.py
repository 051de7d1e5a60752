"""Runs in the database, with the result of each platform, the phases and the errors.

A run is created with the status `running` and ends exactly once.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Row, Select, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.storage.database import Database
from quart_odds.storage.sweep_hours import WHOLE
from quart_odds.storage.tables import MAX_ID, Moment, run_errors, run_phases, run_results, runs, sweep_hours


class RunRows:
    """The part of the store that holds runs. Every method raises StorageError if the database does not answer.

    Methods that change something raise NotWriterError, with nothing changed, while another process writes.
    """

    database: Database

    async def create_run(
        self,
        *,
        trigger: str,
        platforms: Sequence[Platform],
        started_at: datetime,
        mode: RunMode = RunMode.FULL,
    ) -> int:
        """Store a run that starts now, and return its id."""
        row = {
            "status": RunStatus.RUNNING.value,
            "trigger": trigger,
            "platforms": ",".join(platforms),
            "started_at": started_at,
            "events_scraped": 0,
            "events_failed": 0,
            "mode": mode.value,
        }
        async with self.database.writing_as_writer(is_new=False) as connection:
            return int((await connection.execute(insert(runs).values(row).returning(runs.c.id))).scalar_one())

    async def save_phases(self, run_id: int, phases: Sequence[PhaseRecord]) -> None:
        """Replace the phases of a run with these, if it is still running."""
        rows = [
            {
                "run_id": run_id,
                "place": place,
                "platform": phase.platform,
                "phase": phase.phase.value,
                "started_at": phase.started_at,
                "ended_at": phase.ended_at,
                "events_processed": phase.events_processed,
                "message": phase.message,
            }
            for place, phase in enumerate(phases)
        ]
        async with self.database.writing_as_writer(is_new=False) as connection:
            running = select(runs.c.id).where(runs.c.id == run_id, runs.c.status == RunStatus.RUNNING.value)
            if await connection.scalar(running) is None:
                return
            await connection.execute(delete(run_phases).where(run_phases.c.run_id == run_id))
            if rows:
                await connection.execute(insert(run_phases), rows)

    async def finish_run(self, record: RunRecord) -> bool:
        """End a run and store its results and errors, in one transaction.

        Returns False, with nothing changed, if the run was not running.
        """
        async with self.database.writing_as_writer(is_new=False) as connection:
            return await _finish(connection, record)

    async def interrupt_running(self, at: datetime, besides: Collection[int] = ()) -> list[RunRecord]:
        """End every running run except `besides` as interrupted, and return the records of the ended runs.

        While another process holds the writer lock, nothing is ended, because the runs may be active there.
        """
        if not await self.database.take_writer_lock():
            return []
        async with self.database.writing_as(self.database.term, is_new=False) as connection:
            running = select(runs.c.id).where(runs.c.status == RunStatus.RUNNING.value, runs.c.id.not_in(besides))
            ids = (await connection.scalars(running)).all()
            ended = []
            for record in await _records(connection, sorted(ids)):
                error = RunError(
                    "interrupted", "the process that carried out this run stopped, or lost the database", at
                )
                ended.append(
                    replace(record, status=RunStatus.INTERRUPTED, completed_at=at, errors=(*record.errors, error))
                )
                await _finish(connection, ended[-1])
        return ended

    async def get_run(self, run_id: int) -> RunRecord | None:
        """Return the run with this id, or None if there is none."""
        if not 0 < run_id <= MAX_ID:
            return None
        async with self.database.reading() as connection:
            found = await _records(connection, [run_id])
        return found[0] if found else None

    async def list_runs(
        self,
        *,
        limit: int,
        offset: int = 0,
        status: RunStatus | None = None,
        mode: RunMode | None = RunMode.FULL,
    ) -> list[RunRecord]:
        """Return runs of a mode (None: of every mode), newest first. Folded sweeps are not among them."""
        statement = _chosen(select(runs.c.id), status, mode).order_by(runs.c.id.desc()).limit(limit).offset(offset)
        async with self.database.reading() as connection:
            ids = (await connection.scalars(statement)).all()
            return await _records(connection, ids)

    async def run_periods(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
        """Return when runs of any mode went on between these moments, ordered by their starts.

        A run that goes on lasts until `until`. Of folded sweeps, it is their hours.
        """
        ended = func.coalesce(runs.c.completed_at, literal(until, Moment()))
        stored = select(runs.c.started_at, ended.label("ended")).where(ended >= since, runs.c.started_at <= until)
        hour = timedelta(hours=1)
        folded = select(sweep_hours.c.hour).where(
            sweep_hours.c.platform == WHOLE, sweep_hours.c.hour >= since - hour, sweep_hours.c.hour <= until
        )
        async with self.database.reading() as connection:
            rows = (await connection.execute(stored)).all()
            hours = (await connection.scalars(folded)).all()
        return sorted([*((row.started_at, row.ended) for row in rows), *((each, each + hour) for each in hours)])

    async def count_runs(self, status: RunStatus | None = None, mode: RunMode | None = RunMode.FULL) -> int:
        """Return the number of runs that `list_runs` would return without a limit."""
        statement = _chosen(select(func.count()).select_from(runs), status, mode)
        async with self.database.reading() as connection:
            return await connection.scalar(statement) or 0

    async def phases(self, run_id: int) -> list[PhaseRecord]:
        """Return the phases of a run, in order."""
        if not 0 < run_id <= MAX_ID:
            return []
        statement = select(run_phases).where(run_phases.c.run_id == run_id).order_by(run_phases.c.place)
        async with self.database.reading() as connection:
            return [_phase(row) for row in await connection.execute(statement)]

    async def last_found(self, platform: Platform) -> int | None:
        """Return how many events the last healthy full run found at a bookmaker, or None if there was none.

        A run is healthy if it completed, at least partially, and the bookmaker's part of it completed. A shrunken
        discovery counts too, so that a second one with the same result is believed.
        """
        statement = (
            select(run_results.c.found)
            .join(runs, runs.c.id == run_results.c.run_id)
            .where(
                run_results.c.platform == platform.value,
                run_results.c.phase == ScrapePhase.COMPLETED.value,
                runs.c.mode == RunMode.FULL.value,
                runs.c.status.in_([RunStatus.COMPLETED.value, RunStatus.PARTIAL.value]),
            )
            .order_by(run_results.c.run_id.desc())
            .limit(1)
        )
        async with self.database.reading() as connection:
            return await connection.scalar(statement)


def _chosen(statement: "Select[int]", status: RunStatus | None, mode: RunMode | None) -> "Select[int]":
    if status is not None:
        statement = statement.where(runs.c.status == status.value)
    return statement if mode is None else statement.where(runs.c.mode == mode.value)


async def _finish(connection: AsyncConnection, record: RunRecord) -> bool:
    done = await connection.execute(
        update(runs)
        .where(runs.c.id == record.id, runs.c.status == RunStatus.RUNNING.value)
        .values(
            status=record.status.value,
            completed_at=record.completed_at,
            events_scraped=record.events_scraped,
            events_failed=record.events_failed,
        )
    )
    if done.rowcount != 1:
        return False
    await connection.execute(delete(run_results).where(run_results.c.run_id == record.id))
    await connection.execute(delete(run_errors).where(run_errors.c.run_id == record.id))
    if record.results:
        await connection.execute(insert(run_results), [_result_values(record.id, result) for result in record.results])
    errors = [(error, False) for error in record.errors]
    errors += [
        (replace(result.error, platform=result.platform), True) for result in record.results if result.error is not None
    ]
    if errors:
        await connection.execute(
            insert(run_errors),
            [_error_values(record.id, place, error, ends) for place, (error, ends) in enumerate(errors)],
        )
    return True


async def _records(connection: AsyncConnection, run_ids: Sequence[int]) -> list[RunRecord]:
    """Return the records of these runs with results and errors, in the order of the ids."""
    rows = {row.id: row for row in await connection.execute(select(runs).where(runs.c.id.in_(run_ids)))}
    errors: dict[int, list[RunError]] = {run_id: [] for run_id in rows}
    ending: dict[tuple[int, str], RunError] = {}
    statement = select(run_errors).where(run_errors.c.run_id.in_(rows)).order_by(run_errors.c.place)
    for row in await connection.execute(statement):
        if row.ends_platform:
            ending[row.run_id, row.platform] = _error(row)
        else:
            errors[row.run_id].append(_error(row))
    results: dict[int, list[PlatformResult]] = {run_id: [] for run_id in rows}
    for row in await connection.execute(select(run_results).where(run_results.c.run_id.in_(rows))):
        results[row.run_id].append(_result(row, ending.get((row.run_id, row.platform))))
    return [
        RunRecord(
            id=row.id,
            status=RunStatus(row.status),
            trigger=row.trigger,
            platforms=tuple(Platform.of(slug) for slug in row.platforms.split(",") if slug),
            started_at=row.started_at,
            completed_at=row.completed_at,
            events_scraped=row.events_scraped,
            events_failed=row.events_failed,
            results=tuple(sorted(results[row.id], key=lambda result: result.platform.place)),
            errors=tuple(errors[row.id]),
            mode=RunMode(row.mode),
        )
        for row in (rows[run_id] for run_id in run_ids if run_id in rows)
    ]


def _result_values(run_id: int, result: PlatformResult) -> dict[str, object]:
    return {
        "run_id": run_id,
        "platform": result.platform.value,
        "phase": result.phase.value,
        "found": result.found,
        "fetched": result.fetched,
        "failed": result.failed,
        "duration_ms": result.duration_ms,
        "mapped_markets": result.mapped_markets,
        "unmapped_markets": result.unmapped_markets,
        "dropped_prices": result.dropped_prices,
        "is_shrunken": result.is_shrunken,
    }


def _error_values(run_id: int, place: int, error: RunError, ends_platform: bool) -> dict[str, object]:
    return {
        "run_id": run_id,
        "place": place,
        "ends_platform": ends_platform,
        "error_type": error.error_type,
        "error_message": error.error_message,
        "occurred_at": error.occurred_at,
        "platform": error.platform,
        "where": error.where,
        "recoverable": error.recoverable,
        "times": error.count,
    }


def _result(row: "Row[tuple[object, ...]]", error: RunError | None) -> PlatformResult:
    return PlatformResult(
        platform=Platform.of(row.platform),
        phase=ScrapePhase(row.phase),
        found=row.found,
        fetched=row.fetched,
        failed=row.failed,
        duration_ms=row.duration_ms,
        mapped_markets=row.mapped_markets,
        unmapped_markets=row.unmapped_markets,
        dropped_prices=row.dropped_prices,
        is_shrunken=row.is_shrunken,
        error=error,
    )


def _error(row: "Row[tuple[object, ...]]") -> RunError:
    return RunError(
        error_type=row.error_type,
        error_message=row.error_message,
        occurred_at=row.occurred_at,
        platform=None if row.platform is None else Platform.of(row.platform),
        where=row.where,
        recoverable=row.recoverable,
        count=row.times,
    )


def _phase(row: "Row[tuple[object, ...]]") -> PhaseRecord:
    return PhaseRecord(
        phase=ScrapePhase(row.phase),
        started_at=row.started_at,
        platform=None if row.platform is None else Platform.of(row.platform),
        ended_at=row.ended_at,
        events_processed=row.events_processed,
        message=row.message,
    )
