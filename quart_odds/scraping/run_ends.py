"""Commits the ends of runs, and keeps trying: a database that is unreachable now will be back."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import structlog

from quart_odds.domain.runs import PhaseRecord, RunRecord, RunStatus
from quart_odds.errors import NotWriterError, StorageError

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0

log = structlog.get_logger(__name__)


class EndStore(Protocol):
    """Stores the ends of runs."""

    async def save_phases(self, run_id: int, phases: Sequence[PhaseRecord]) -> None:
        """Store the phases of a run."""

    async def finish_run(self, record: RunRecord) -> bool:
        """Store the end of a run. Returns False if the run was not running."""

    async def get_run(self, run_id: int) -> RunRecord | None:
        """Return a run with its results and errors; None if there is no such run."""


class RunEnds:
    """Commits the ends of runs, and knows which are not committed yet."""

    def __init__(self, store: EndStore) -> None:
        self._store = store
        self._pending: dict[int, RunRecord] = {}
        self._tasks: set[asyncio.Task[RunRecord]] = set()

    @property
    def tasks(self) -> Collection[asyncio.Task[RunRecord]]:
        """The tasks that commit ends in the background."""
        return self._tasks

    @property
    def pending_ids(self) -> Iterable[int]:
        """The ids of the runs whose ends are not committed yet."""
        return self._pending.keys()

    def pending(self, run_id: int) -> RunRecord | None:
        """Return the end of a run if it is not committed yet; None for any other run."""
        return self._pending.get(run_id)

    async def commit(
        self, record: RunRecord, phases: Sequence[PhaseRecord], on_failure: Callable[[StorageError], None]
    ) -> RunRecord:
        """Commit the end of a run, trying until it succeeds. Returns the record as it is stored.

        That is another record if another process has taken over and ended the run.
        """
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            try:
                await self._store.save_phases(record.id, phases)
                if await self._store.finish_run(record):
                    return record
                return await self._store.get_run(record.id) or record
            except NotWriterError as error:
                # The process that took over ends the run, or has ended it.
                if (ended := await self._ended_elsewhere(record.id)) is not None:
                    return ended
                on_failure(error)
            except StorageError as error:
                on_failure(error)
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)

    async def _ended_elsewhere(self, run_id: int) -> RunRecord | None:
        with contextlib.suppress(StorageError):
            stored = await self._store.get_run(run_id)
            return stored if stored is not None and stored.status is not RunStatus.RUNNING else None
        return None

    def commit_later(self, record: RunRecord, phases: Sequence[PhaseRecord]) -> None:
        """Commit the end of a run in the background."""
        self._pending[record.id] = record
        task = asyncio.create_task(self.commit(record, phases, lambda _: None), name=f"store-end-{record.id}")
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._committed(record, task))

    def _committed(self, record: RunRecord, task: asyncio.Task[RunRecord]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("run.end_not_stored", scrape_run_id=record.id, exc_info=error)
            return
        del self._pending[record.id]
        log.info("run.end_stored", scrape_run_id=record.id, status=str(task.result().status))
