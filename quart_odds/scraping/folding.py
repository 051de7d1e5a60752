"""Folds the sweeps of earlier days into hourly figures, every hour, in the process that writes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.errors import StorageError

SWEEPS_KEPT = timedelta(days=1)
"""How long the row of a sweep is kept after its end."""

FIRST_SECONDS = 60.0
"""Wait before the first folding, so that it does not run while the server is still starting."""

EVERY_SECONDS = 3600.0
"""Time between two foldings."""

CLOSE_SECONDS = 0.5
"""How long `SweepFolding.close` waits for a folding that it has cancelled."""

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class FoldingStore(Protocol):
    """Stores sweeps and their hourly figures."""

    @property
    def term(self) -> int | None:
        """The term in which this process writes; None while it does not."""

    async def fold_sweeps(self, before: datetime, term: int | None) -> int:
        """Fold the sweeps that ended before this moment, and return how many they were. Raises StorageError."""


class SweepFolding:
    """Folds sweeps while it is open. A process that does not write leaves it to the one that does."""

    def __init__(
        self,
        store: FoldingStore,
        *,
        now: Callable[[], datetime] = utc_now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._now = now
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start to fold every hour."""
        self._task = asyncio.create_task(self._fold_for_ever(), name="fold-sweeps")

    async def close(self) -> None:
        """Stop. A folding that is interrupted is continued at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)

    async def fold(self) -> int:
        """Fold what is due, and return how many sweeps that were: none while another process writes."""
        if self._store.term is None:
            return 0
        count = await self._store.fold_sweeps(self._now() - SWEEPS_KEPT, self._store.term)
        if count:
            log.info("sweeps.folded", count=count)
        return count

    async def _fold_for_ever(self) -> None:
        wait_seconds = FIRST_SECONDS
        while True:
            await self._sleep(wait_seconds)
            wait_seconds = EVERY_SECONDS
            try:
                await self.fold()
            except StorageError as error:
                log.warning("sweeps.not_folded", reason=error.for_operator)
            except Exception:
                log.exception("sweeps.folding_broke")
