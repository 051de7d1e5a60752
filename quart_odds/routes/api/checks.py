"""What a health report rests on: whether the database answers, and how the last runs went at each bookmaker."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PlatformResult, RunError, RunMode, RunRecord, ScrapePhase
from quart_odds.errors import StorageError
from quart_odds.routes.access.refusals import refusals
from quart_odds.services import Services

RUNS_LOOKED_AT = 100
CHECK_SECONDS = 5

NO_FAULTS = frozenset({"cancelled", "interrupted"})
"""Errors of runs that were stopped. They say nothing about a bookmaker."""

Status = Literal["healthy", "degraded", "unhealthy"]


@dataclass(frozen=True, slots=True)
class DatabaseCheck:
    """Whether the database answered, after how long, and the runs that it has, newest first; none without an answer.

    `reason` is why it did not answer, in words that anybody may read.
    """

    milliseconds: int
    records: Sequence[RunRecord] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class BookmakerState:
    """How the last runs went at a bookmaker. `run_id` is the last full one that says something; None if none does.

    `last_success` and `last_error` are the newest ones of any run that was looked at.
    """

    platform: Platform
    run_id: int | None = None
    is_healthy: bool = True
    error: RunError | None = None
    last_success: datetime | None = None
    last_error: RunError | None = None

    @property
    def is_checked(self) -> bool:
        """Whether a full run says something. Until then a bookmaker counts as healthy."""
        return self.run_id is not None


async def check_database(parts: Services, *, mode: RunMode | None = RunMode.FULL) -> DatabaseCheck:
    """Ask the database for the newest runs of a mode (None: of every mode)."""
    began = time.monotonic()
    records: Sequence[RunRecord] = ()
    reason = None
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await parts.store.check()
            records = await parts.store.list_runs(limit=RUNS_LOOKED_AT, mode=mode)
    except StorageError as error:
        reason = str(error)
        refusals.tell("database.away", "health", reason=error.for_operator)
    except TimeoutError:
        reason = f"no answer within {CHECK_SECONDS} s"
        refusals.tell("database.away", "health", reason=reason)
    return DatabaseCheck(round((time.monotonic() - began) * 1000), records, reason)


def states_of(records: Iterable[RunRecord], platforms: Iterable[Platform]) -> list[BookmakerState]:
    """Return the state of each bookmaker. `records` are runs, newest first. The state itself comes from full runs."""
    ended = [each for each in records if each.completed_at is not None]
    return [_state_of(ended, platform) for platform in platforms]


def overall(states: Sequence[BookmakerState], *, is_connected: bool) -> Status:
    """Return the status of the whole: unhealthy without a database, or if every bookmaker is."""
    bad = sum(not each.is_healthy for each in states)
    if not is_connected or (bad and bad == len(states)):
        return "unhealthy"
    return "degraded" if bad else "healthy"


def _state_of(records: Iterable[RunRecord], platform: Platform) -> BookmakerState:
    checked: tuple[int, PlatformResult] | None = None
    last_success: datetime | None = None
    last_error: RunError | None = None
    for record in records:
        for result in record.results:
            if result.platform is not platform or (result.error and result.error.error_type in NO_FAULTS):
                continue
            if checked is None and record.mode is RunMode.FULL:
                checked = record.id, result
            if result.phase is ScrapePhase.COMPLETED:
                last_success = last_success or record.completed_at
            last_error = last_error or result.error
    if checked is None:
        return BookmakerState(platform, last_success=last_success, last_error=last_error)
    run_id, result = checked
    is_healthy = result.phase is ScrapePhase.COMPLETED
    return BookmakerState(platform, run_id, is_healthy, result.error, last_success, last_error)
