"""The runs that have ended in the database: their ends may not have been told, if their process died in between."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from quart_odds.domain.runs import RunRecord, RunStatus
from quart_odds.errors import StorageError

MOST_RUNS = 16
"""How many of the newest runs may have an end that is told late."""

RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class NewestRuns(Protocol):
    """Reads runs."""

    async def list_runs(self, *, limit: int) -> list[RunRecord]:
        """Return the newest full runs, the newest first. Raises StorageError."""


async def ended_runs(store: NewestRuns, since: int, is_closing: Callable[[], bool]) -> list[RunRecord]:
    """Return those of the newest runs that have ended, from the id `since` on, the oldest first.

    While the database does not answer, it is asked again, until `is_closing`.
    """
    while not is_closing():
        try:
            newest = await store.list_runs(limit=MOST_RUNS)
        except StorageError as error:
            log.warning("run.ends_not_read", reason=error.for_operator)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return [each for each in reversed(newest) if each.id >= since and each.status is not RunStatus.RUNNING]
    return []
