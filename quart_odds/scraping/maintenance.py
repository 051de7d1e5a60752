"""Maintenance without a request: the scheduler, the folding of sweeps, and the removal of old odds and runs."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from quart_odds.domain.clock import utc_now
from quart_odds.errors import NotWriterError, RunStateError, StorageError
from quart_odds.odds.retention import Ages, CleanUp, CleanUpState, CleanUpTrigger, Removal
from quart_odds.scraping.folding import FoldingStore, SweepFolding
from quart_odds.scraping.owned import owned
from quart_odds.scraping.runtime_settings import Preferences, RuntimeSettings
from quart_odds.scraping.scheduler import Scheduler
from quart_odds.scraping.storage_watch import StorageWatch, WatchedStore

PAUSED = "scheduler_paused"

START_SECONDS = 60.0
"""Minimum wait before a clean-up, so that an overdue one does not run while the server is still starting."""

RETRY_SECONDS = 3600.0
"""Wait before the next try if a clean-up failed, or while this process does not write."""

CLOSE_SECONDS = 0.5
"""How long `Maintenance.close` waits for the tasks that it has cancelled."""

FIRST_CLEAN_UP_AFTER = timedelta(days=1)
"""The first clean-up after an upgrade is announced this long in advance."""

log = structlog.get_logger(__name__)


class MaintenanceStore(FoldingStore, WatchedStore, Protocol):
    """Stores what maintenance needs to know after a restart. Every method raises StorageError."""

    @property
    def revision(self) -> str:
        """The newest revision of the tables: that of a migrated database."""

    async def get_value(self, name: str) -> str | None:
        """Return the value of a key; None if there is none."""

    async def set_value(self, name: str, value: str | None) -> None:
        """Set the value of a key; None removes it."""

    async def clean_up_state(self) -> CleanUpState | None:
        """Return the state of clean-ups; None if a database was upgraded and has never been cleaned up since."""

    async def save_clean_up_state(self, state: CleanUpState) -> None:
        """Store the state of clean-ups."""

    async def preview_removal(self, odds_before: datetime, runs_before: datetime) -> Removal:
        """Return what `KeptOdds.remove_old` would remove."""

    async def begin_clean_up(self, trigger: CleanUpTrigger, requested_by: str, ages: Ages, at: datetime) -> int:
        """Record that a clean-up begins, and return its id."""

    async def end_clean_up(self, clean_up_id: int, removal: Removal, at: datetime) -> CleanUp:
        """Record what a clean-up has removed, and return the record."""

    async def fail_clean_up(self, clean_up_id: int, reason: str, at: datetime) -> None:
        """Record that a clean-up did not get to its end."""

    async def fail_lost_clean_ups(self, at: datetime) -> None:
        """Record that clean-ups of earlier processes did not get to their end."""


class KeptOdds(Protocol):
    """Holds the odds that maintenance removes when they are old. The odds service implements it."""

    @property
    def is_writer(self) -> bool:
        """Whether this process writes to the database."""

    async def archive(self) -> int:
        """Drop events from memory that are long over. Returns the number of events dropped."""

    async def remove_old(self, odds_before: datetime, runs_before: datetime) -> Removal:
        """Remove odds and runs from before these moments. Raises NotWriterError if another process writes."""


class Maintenance:
    """Applies the preferences to the scheduler, cleans up at their interval, also across restarts, and folds sweeps."""

    def __init__(
        self,
        store: MaintenanceStore,
        odds_service: KeptOdds,
        preferences: RuntimeSettings,
        scheduler: Scheduler,
        sweep_scheduler: Scheduler,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._odds_service = odds_service
        self._preferences = preferences
        self._scheduler = scheduler
        self._sweep_scheduler = sweep_scheduler
        self._folding = SweepFolding(store, now=now)
        self._watch = StorageWatch(store, self._is_scheduled, now=now)
        self._now = now
        self._cleaning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._owned: set[asyncio.Task[Any]] = set()
        self._hours = preferences.current.cleanup_frequency_hours
        preferences.on_change = self._follow

    async def open(self) -> None:
        """Start the schedulers of runs and sweeps, the folding, the watch over the database and the clean-ups.

        The schedulers stay paused if they were paused before the restart.
        """
        is_paused = await self._store.get_value(PAUSED) is not None
        for scheduler in (self._scheduler, self._sweep_scheduler):
            scheduler.is_paused = is_paused
            scheduler.open()
        self._folding.open()
        self._watch.open()
        self._task = asyncio.create_task(self._clean_up_for_ever(), name="clean-up")

    async def read_again(self) -> None:
        """Apply what another process may have changed: preferences, and whether the schedulers are paused.

        Plans the next clean-up anew, because only the process that writes cleans up. Raises StorageError.
        """
        await self._preferences.load()
        is_paused = await self._store.get_value(PAUSED) is not None
        for scheduler in (self._scheduler, self._sweep_scheduler):
            if scheduler.is_paused != is_paused:
                self._pause_or_resume(scheduler, is_paused)
        self._plan_again()

    async def close(self) -> None:
        """Stop the schedulers, the folding and the watch, and cancel clean-ups, which get at most CLOSE_SECONDS."""
        await asyncio.gather(
            self._scheduler.close(), self._sweep_scheduler.close(), self._folding.close(), self._watch.close()
        )
        tasks = {*self._owned, *([self._task] if self._task is not None else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)

    async def pause(self, is_paused: bool) -> None:
        """Pause or resume scheduled runs and sweeps. The choice survives a restart."""
        await owned(self._pause(is_paused), self._owned)

    async def _pause(self, is_paused: bool) -> None:
        await self._store.set_value(PAUSED, "yes" if is_paused else None)
        for scheduler in (self._scheduler, self._sweep_scheduler):
            self._pause_or_resume(scheduler, is_paused)

    @staticmethod
    def _pause_or_resume(scheduler: Scheduler, is_paused: bool) -> None:
        if is_paused:
            scheduler.pause()
        else:
            scheduler.resume()

    async def fold_sweeps(self) -> int:
        """Fold the sweeps that are due now, and return how many they were. Raises StorageError."""
        return await owned(self._folding.fold(), self._owned)

    async def watch_storage(self) -> None:
        """Look after the database now: see `StorageWatch.look`. Raises StorageError."""
        await owned(self._watch.look(), self._owned)

    @property
    def ages(self) -> Ages:
        """The ages from which the preferences allow to remove something."""
        current = self._preferences.current
        return Ages(current.odds_retention_days, current.match_retention_days)

    async def clean_up(
        self,
        most: Removal | None = None,
        *,
        ages: Ages | None = None,
        trigger: CleanUpTrigger = "scheduled",
        requested_by: str = "the schedule",
    ) -> CleanUp:
        """Remove what is older than the preferences allow, or than `ages`, and return the record of that.

        Raises RunStateError while another clean-up is under way. `most` is what a user has seen in a preview and agreed
        to. If more would be removed by now, RunStateError says how much, and nothing is removed. A clean-up runs to its
        end even if the caller is cancelled.
        """
        return await owned(self._clean_up(most, ages or self.ages, trigger, requested_by), self._owned)

    async def _clean_up(self, most: Removal | None, ages: Ages, trigger: CleanUpTrigger, requested_by: str) -> CleanUp:
        if self._cleaning.locked():
            raise RunStateError("a clean-up is already under way; wait until it has finished")
        async with self._cleaning:
            await self._odds_service.archive()
            now = self._now()
            would = await self._store.preview_removal(*ages.limits(now))
            if most is not None and (
                would.events > most.events or would.history_rows > most.history_rows or would.runs > most.runs
            ):
                raise RunStateError(
                    f"a clean-up would remove {would.events} events, {would.history_rows} changes of odds and "
                    f"{would.runs} runs now, which is more than was agreed to; nothing was removed"
                )
            log.info("clean_up.begins", events=would.events, history_rows=would.history_rows, runs=would.runs)
            clean_up_id = await self._store.begin_clean_up(trigger, requested_by, ages, now)
            try:
                removal = await self._odds_service.remove_old(*ages.limits(now))
                done = await self._store.end_clean_up(clean_up_id, removal, self._now())
            except StorageError as error:
                await self._note_failure(clean_up_id, str(error))
                raise
            if self.ages.is_within(ages):
                await self._store.save_clean_up_state(CleanUpState(revision=self._store.revision, last_at=now))
            log.info("clean_up.done", events=removal.events, history_rows=removal.history_rows, runs=removal.runs)
            return done

    async def _note_failure(self, clean_up_id: int, reason: str) -> None:
        """Record that a clean-up failed, if the database takes it. Otherwise the next process that writes does."""
        try:
            await self._store.fail_clean_up(clean_up_id, reason, self._now())
        except StorageError as error:
            log.warning("clean_up.failure_not_recorded", reason=error.for_operator)

    def _is_scheduled(self) -> bool:
        return any(each.is_on and not each.is_paused for each in (self._scheduler, self._sweep_scheduler))

    async def _clean_up_for_ever(self) -> None:
        while True:
            wait_seconds = None
            try:
                wait_seconds = await self._seconds_to_wait()
            except StorageError as error:
                log.warning("clean_up.not_planned", reason=error.for_operator)
            # The wall clock is read only to plan. The wait itself is measured, so a clock that jumps does no harm.
            await asyncio.sleep(RETRY_SECONDS if wait_seconds is None else wait_seconds)
            if wait_seconds is not None:
                await self._try_to_clean_up()

    async def _try_to_clean_up(self) -> None:
        try:
            await self.clean_up()
        except NotWriterError as error:
            log.info("clean_up.left_to_the_writer", reason=error.for_operator)
            await asyncio.sleep(RETRY_SECONDS)
        except (StorageError, RunStateError) as error:
            log.warning("clean_up.failed", error=error.for_operator)
            await asyncio.sleep(RETRY_SECONDS)

    async def _seconds_to_wait(self) -> float | None:
        """Return the time until the next clean-up; None while another process writes, and therefore cleans up."""
        if not self._odds_service.is_writer:
            return None
        now = self._now()
        interval = timedelta(hours=self._preferences.current.cleanup_frequency_hours)
        if not self._cleaning.locked():
            await self._store.fail_lost_clean_ups(now)
        state = await self._store.clean_up_state()
        if state is None or state.revision != self._store.revision:
            state = await self._announce(now)
        longest = interval if state.first_at is None else FIRST_CLEAN_UP_AFTER
        return max(START_SECONDS, min(state.due_at(now, interval) - now, longest).total_seconds())

    async def _announce(self, now: datetime) -> CleanUpState:
        """Log what the first clean-up after an upgrade would remove. There is a day left to change preferences."""
        odds_before, runs_before = self.ages.limits(now)
        would = await self._store.preview_removal(odds_before, runs_before)
        state = CleanUpState(revision=self._store.revision, first_at=now + FIRST_CLEAN_UP_AFTER)
        await self._store.save_clean_up_state(state)
        log.warning(
            "clean_up.announced",
            reason="the first clean-up after an upgrade starts in a day and would remove this",
            events=would.events,
            history_rows=would.history_rows,
            openings=would.openings,
            runs=would.runs,
            odds_before=f"{odds_before:%Y-%m-%d %H:%M} UTC",
            runs_before=f"{runs_before:%Y-%m-%d %H:%M} UTC",
        )
        return state

    def _follow(self, preferences: Preferences) -> None:
        self._scheduler.set_interval(preferences.scrape_interval_minutes)
        self._sweep_scheduler.set_interval(preferences.sweep_interval_seconds / 60)
        if self._hours != preferences.cleanup_frequency_hours:
            self._hours = preferences.cleanup_frequency_hours
            self._plan_again()

    def _plan_again(self) -> None:
        if self._task is not None and not self._cleaning.locked():
            self._task.cancel()
            self._task = asyncio.create_task(self._clean_up_for_ever(), name="clean-up")
