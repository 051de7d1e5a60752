"""What happens by itself: scheduled runs, and the removal of what is too old."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.errors import RunStateError, StorageError
from quart_odds.scraping.preferences import PreferenceBook, Preferences
from quart_odds.scraping.scheduler import Scheduler
from quart_odds.storage import OddsDesk, Store
from quart_odds.storage.retention import Removal

PAUSED = "scheduler_paused"

log = structlog.get_logger(__name__)


class Housekeeping:
    """Keeps the scheduler in step with the preferences, and cleans up at their interval."""

    def __init__(
        self,
        store: Store,
        desk: OddsDesk,
        preferences: PreferenceBook,
        scheduler: Scheduler,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._desk = desk
        self._preferences = preferences
        self._scheduler = scheduler
        self._now = now
        self._cleaning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        preferences.on_change = self._follow

    async def open(self) -> None:
        """Begin, as it was left."""
        self._scheduler.is_paused = await self._store.note(PAUSED) is not None
        self._scheduler.open()
        self._task = asyncio.create_task(self._clean_up_for_ever(), name="clean-up")

    async def close(self) -> None:
        """Stop."""
        await self._scheduler.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def pause(self, is_paused: bool) -> None:
        """Pause or resume the scheduler, over a restart too."""
        await self._store.set_note(PAUSED, "yes" if is_paused else None)
        if is_paused:
            self._scheduler.pause()
        else:
            self._scheduler.resume()

    async def clean_up(self) -> Removal:
        """Remove what is older than the preferences say. Raises RunStateError while that is under way already."""
        if self._cleaning.locked():
            raise RunStateError("a clean-up is under way; wait for its end")
        async with self._cleaning:
            current = self._preferences.current
            now = self._now()
            await self._desk.tidy()
            removal = await self._desk.remove_old(
                now - timedelta(days=current.odds_retention_days), now - timedelta(days=current.match_retention_days)
            )
            log.info("clean_up.done", events=removal.events, history_rows=removal.history_rows, runs=removal.runs)
            return removal

    async def _clean_up_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._preferences.current.cleanup_frequency_hours * 3600)
            try:
                await self.clean_up()
            except (StorageError, RunStateError):
                log.exception("clean_up.failed")

    def _follow(self, preferences: Preferences) -> None:
        self._scheduler.set_interval(preferences.scrape_interval_minutes)
