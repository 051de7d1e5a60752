"""Watches the database: samples its size once a day, and reports fast growth, a great size and odds that get old."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.errors import StorageError
from quart_odds.odds.stored_data import (
    DAY,
    StorageAlert,
    StorageAlertKind,
    StorageSample,
    freshness_alert,
    size_alerts,
)

FIRST_SECONDS = 30.0
"""Wait before the first look, so that it does not run while the server is still starting."""

EVERY_SECONDS = 3600.0
"""Time between two looks."""

KEPT = timedelta(days=400)
"""How long samples, resolved alerts and the records of clean-ups are kept."""

MOST_OPEN = 100
"""More alerts than this are never open: there is one of each kind at most."""

CLOSE_SECONDS = 0.5
"""How long `StorageWatch.close` waits for a look that it has cancelled."""

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class WatchedStore(Protocol):
    """Measures the database, and stores samples and alerts. Every method raises StorageError."""

    @property
    def term(self) -> int | None:
        """The term in which this process writes; None while it does not."""

    async def measure(self, at: datetime) -> StorageSample:
        """Measure the database now, without storing the result."""

    async def add_sample(self, sample: StorageSample, term: int | None, *, forget_before: datetime) -> StorageSample:
        """Store a sample and return it, and forget what is old."""

    async def samples(self, *, limit: int) -> tuple[list[StorageSample], int]:
        """Return the newest samples, the newest first, and how many there are."""

    async def newest_odds_at(self) -> datetime | None:
        """Return when odds of any event were last seen; None if there are none."""

    async def storage_alerts(self, *, limit: int, is_open: bool = False) -> list[StorageAlert]:
        """Return alerts, the newest first; with `is_open` only those that are not resolved."""

    async def add_storage_alert(self, alert: StorageAlert, term: int | None) -> None:
        """Store an alert."""

    async def resolve_storage_alert(self, alert_id: int, at: datetime) -> StorageAlert | None:
        """Resolve an alert and return it."""


class StorageWatch:
    """Looks after the database while it is open. A process that does not write leaves it to the one that does.

    `is_scheduled` says whether runs or sweeps start by themselves, so that odds should be fresh.
    """

    def __init__(
        self,
        store: WatchedStore,
        is_scheduled: Callable[[], bool],
        *,
        now: Callable[[], datetime] = utc_now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._is_scheduled = is_scheduled
        self._now = now
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start to look every hour."""
        self._task = asyncio.create_task(self._look_for_ever(), name="storage-watch")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)

    async def look(self) -> None:
        """Sample the size if the last sample is a day old, and report what should be known. Raises StorageError."""
        term, now = self._store.term, self._now()
        if term is None:
            return
        before, _ = await self._store.samples(limit=1)
        newest = before[0] if before else None
        # A sample of the future was taken while the clock was wrong.
        if newest is None or not timedelta() <= now - newest.sampled_at < DAY:
            sample = await self._store.add_sample(await self._store.measure(now), term, forget_before=now - KEPT)
            await self._tell({"growth_warning", "size_critical"}, size_alerts(sample, newest), term)
            newest = sample
        old = freshness_alert(await self._store.newest_odds_at(), now, newest) if self._is_scheduled() else None
        await self._tell({"freshness_warning"}, [] if old is None else [old], term)

    async def _tell(self, kinds: set[StorageAlertKind], found: list[StorageAlert], term: int) -> None:
        """Store the alerts that are new, and resolve those of these kinds that hold no longer."""
        still_open = {
            each.kind: each
            for each in await self._store.storage_alerts(limit=MOST_OPEN, is_open=True)
            if each.kind in kinds
        }
        for alert in found:
            if still_open.pop(alert.kind, None) is None:
                await self._store.add_storage_alert(alert, term)
                log.warning("storage.alert", kind=alert.kind, reason=alert.message)
        for over in still_open.values():
            assert over.id is not None
            await self._store.resolve_storage_alert(over.id, self._now())

    async def _look_for_ever(self) -> None:
        wait_seconds = FIRST_SECONDS
        while True:
            await self._sleep(wait_seconds)
            wait_seconds = EVERY_SECONDS
            try:
                await self.look()
            except StorageError as error:
                log.warning("storage.not_watched", reason=error.for_operator)
            except Exception:
                log.exception("storage.watch_broke")
