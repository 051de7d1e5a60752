"""The one path that every run takes, whatever triggered it: one row, one broadcaster, one bridge, one end.

start → row committed → broadcaster, bridge → Coordinator.scrape → odds confirmed → row ended → terminal progress
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog
from structlog.contextvars import bound_contextvars

from quart_odds.broadcast import BroadcastRegistry
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import (
    QuartOddsError,
    RunActiveError,
    RunFoldedError,
    RunNotFoundError,
    RunStateError,
    StorageError,
    TooSoonError,
)
from quart_odds.odds.lease import nothing_of
from quart_odds.odds.ownership import recording_for
from quart_odds.scraping.active_run import ActiveRun
from quart_odds.scraping.broadcaster import BroadcasterRegistry, ProgressBroadcaster
from quart_odds.scraping.coordinator import Coordinator
from quart_odds.scraping.deadline import ending_after
from quart_odds.scraping.faults import run_error
from quart_odds.scraping.missed_ends import NewestRuns, ended_runs
from quart_odds.scraping.outcome import outcome, terminal_progress, unfinished_platforms
from quart_odds.scraping.owned import owned
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.run_ends import EndStore, RunEnds
from quart_odds.scraping.schemas import SlowedBookmaker

BRIDGE_SECONDS = 5.0
"""Maximum wait at the end of a run for the bridge to pass on the remaining progress."""

CANCEL_CONFIRM_SECONDS = 1.0
"""Maximum wait after a cancel for odds already recorded to be committed."""

STORE_END_SECONDS = 5.0
"""How long listeners wait for a run's end that cannot be committed. After that it is published as it will be stored,
and committing is retried for as long as the server runs."""

CLOSE_SECONDS = 1.0
"""How long a shutdown waits for the active run after asking it to end."""

CLOSE_STEP_SECONDS = 0.3
"""How long each step of ending a run may take during a shutdown: confirming the last odds, committing the row."""

SCHEDULED = "scheduled"
"""The trigger of runs that a scheduler starts. A scheduled sweep is a round of polling."""

CANCELLED_START_SECONDS = 2.0
"""Minimum time from the start of a cancelled run to the next start: each start makes requests and adds a row."""


log = structlog.get_logger(__name__)

Bridge = Callable[[ProgressBroadcaster, BroadcastRegistry], Awaitable[None]]


class RunStore(EndStore, NewestRuns, Protocol):
    """Stores runs. Every method returns after its change is committed."""

    async def create_run(
        self, *, trigger: str, platforms: Sequence[Platform], started_at: datetime, mode: RunMode
    ) -> int:
        """Add a row with the status running, and return its id."""

    async def last_found(self, platform: Platform) -> int | None:
        """Return how many events the platform's last successful full discovery found; None if there was none."""

    async def folded_hour(self, run_id: int) -> datetime | None:
        """Return the hour of a sweep of which only hourly figures are left; None for any other id."""

    async def interrupt_running(self, at: datetime, besides: Collection[int] = ()) -> list[RunRecord]:
        """Mark all running runs except these as interrupted, and return them."""


class RunService:
    """Starts, cancels and ends runs, one run of each mode at a time.

    `slowed` returns the bookmakers that are asked less than configured now; the end of each run has them. `on_end` is
    called with the record of each end that is published.
    Work that must not be lost runs in the service's own tasks, so callers may be cancelled at any moment.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        store: RunStore,
        registry: BroadcastRegistry,
        bridge: Bridge,
        *,
        run_deadline_seconds: float,
        platforms: Callable[[], Sequence[Platform]] = lambda: tuple(Platform),
        make_broadcaster: Callable[[int, RunMode], ProgressBroadcaster] = ProgressBroadcaster,
        take_over: Callable[[], Awaitable[None]] | None = None,
        slowed: Callable[[], Iterable[SlowedBookmaker]] = tuple,
        on_end: Callable[[RunRecord], object] = nothing_of,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.broadcasters = BroadcasterRegistry()
        self._coordinator = coordinator
        self._store = store
        self._registry = registry
        self._bridge = bridge
        self._run_deadline_seconds = run_deadline_seconds
        self._platforms = platforms
        self._make_broadcaster = make_broadcaster
        self._take_over = take_over
        self._slowed = slowed
        self._on_end = on_end
        self._now = now
        self._active: dict[RunMode, ActiveRun] = {}
        self._starting = asyncio.Lock()
        self._starts: set[asyncio.Task[Any]] = set()
        self._ends = RunEnds(store)
        self._is_closing = False
        self._may_start_at: dict[RunMode, float] = {}

    @property
    def active(self) -> ActiveRun | None:
        """The active full run; None if there is none."""
        return self.active_run(RunMode.FULL)

    def active_run(self, mode: RunMode) -> ActiveRun | None:
        """Return the active run of a mode; None if there is none."""
        return self._active.get(mode)

    def is_scraping(self, platform: Platform) -> bool:
        """Return whether the active full run has this platform, and is not finished with it."""
        run = self.active
        return run is not None and any(
            each.platform is platform and not each.phase.is_final for each in run.tracker.platforms
        )

    def active_by_id(self, run_id: int) -> ActiveRun | None:
        """Return the active run with this id, of any mode; None if there is none."""
        return next((run for run in self._active.values() if run.record.id == run_id), None)

    async def record(self, run_id: int) -> RunRecord | None:
        """Return the current record of a run, also if its end is not committed yet; None if there is no such run."""
        if (run := self.active_by_id(run_id)) is not None:
            return run.snapshot()
        return self._ends.pending(run_id) or await self._store.get_run(run_id)

    async def find(self, run_id: int) -> RunRecord:
        """Return the current record of a run, as `record` does.

        Raises RunFoldedError for a sweep of which only hourly figures are left, and RunNotFoundError for an unknown id.
        """
        record = await self.record(run_id)
        if record is None:
            hour = await self._store.folded_hour(run_id)
            raise RunNotFoundError(run_id) if hour is None else RunFoldedError(run_id, hour)
        return record

    async def start(
        self, trigger: str, platforms: Sequence[Platform] | None = None, mode: RunMode = RunMode.FULL
    ) -> ActiveRun:
        """Start a run over these platforms, or over the enabled ones if None. Returns after its row is committed.

        Raises NotWriterError, without a run, while another process writes, RunActiveError while another run of this
        mode is active, RunStateError at shutdown, and TooSoonError within CANCELLED_START_SECONDS of the start of a run
        of this mode that was cancelled. The run starts even if the caller is cancelled.
        """
        return await owned(self._start(trigger, platforms, mode), self._starts)

    async def start_scheduled(self, mode: RunMode = RunMode.FULL) -> None:
        """Start a run for the scheduler. Raises NotWriterError, without a run, while another process writes."""
        await self.start(SCHEDULED, mode=mode)

    async def _start(self, trigger: str, platforms: Sequence[Platform] | None, mode: RunMode) -> ActiveRun:
        async with self._starting:
            if (active := self._active.get(mode)) is not None:
                raise RunActiveError(active.record.id)
            if self._is_closing:
                raise RunStateError("the server is shutting down; start the run when it is back")
            if (left := self._may_start_at.get(mode, 0.0) - time.monotonic()) > 0:
                raise TooSoonError("a run was started and cancelled a moment ago; start the next one in a moment", left)
            if self._take_over is not None:
                await self._take_over()
            chosen = tuple(dict.fromkeys(platforms or self._platforms()))
            started_at = self._now()
            last_found: dict[Platform, int] = {}
            if mode is RunMode.FULL:
                last_found = {each: await self._store.last_found(each) or 0 for each in chosen}
            run_id = await self._store.create_run(trigger=trigger, platforms=chosen, started_at=started_at, mode=mode)
            trackers = [PlatformTracker(each, began_at=started_at) for each in chosen]
            run = ActiveRun(
                RunRecord(run_id, RunStatus.RUNNING, trigger, chosen, started_at, mode=mode),
                self._make_broadcaster(run_id, mode),
                RunTracker(trackers),
                time.monotonic(),
            )
            self.broadcasters.add(run.broadcaster)
            self._active[mode] = run
            with bound_contextvars(run_id=run_id):
                run.bridge = asyncio.create_task(self._run_bridge(run), name=f"bridge-{run_id}")
                run.work = asyncio.create_task(self._scrape(run, last_found), name=f"scrape-{run_id}")
                run.task = asyncio.create_task(self._see_to_the_end(run, run.work), name=f"run-{run_id}")
                level, names = logging.DEBUG if run.is_quiet else logging.INFO, [str(each) for each in chosen]
                log.log(level, "run.started", scrape_run_id=run_id, mode=str(mode), trigger=trigger, platforms=names)
            return run

    async def cancel(self, run_id: int) -> None:
        """Ask an active run to end, and return at once; its progress says when it has ended.

        Raises RunNotFoundError for an unknown run, and RunStateError for one that is over.
        """
        run = self.active_by_id(run_id)
        if run is None:
            await self.find(run_id)
            raise RunStateError(f"run {run_id} is over; there is nothing to cancel")
        self._may_start_at[run.record.mode] = run.began + CANCELLED_START_SECONDS
        self._stop(run, RunStatus.CANCELLED)

    async def retry(self, run_id: int, platforms: Sequence[Platform] | None = None) -> ActiveRun:
        """Start a run over the given platforms, or over those that failed in another run, in the mode of that run.

        Raises RunNotFoundError for an unknown run, RunStateError if that run is still running, or if none of its
        platforms failed and none are given, and the errors that `start` raises.
        """
        record = await self.find(run_id)
        if record.status is RunStatus.RUNNING:
            raise RunStateError(f"run {run_id} is still running; cancel it, or wait for its end")
        chosen = platforms or unfinished_platforms(record)
        if not chosen:
            raise RunStateError(f"run {run_id} failed nowhere; name the platforms to scrape again")
        return await self.start(f"retry:{run_id}", chosen, record.mode)

    async def recover(self) -> list[RunRecord]:
        """Mark the runs that were active when the previous writer stopped as interrupted, and publish their end.

        Returns these runs.
        """
        ours = {*self._ends.pending_ids, *(run.record.id for run in self._active.values())}
        interrupted = await self._store.interrupt_running(self._now(), ours)
        for record in interrupted:
            await self._tell_end(record)
            log.warning("run.interrupted", scrape_run_id=record.id, run_id=record.id)
        return interrupted

    def tell_ends(self, since: int, is_told: Callable[[int], bool]) -> None:
        """Publish the ends of runs, from the id `since` on, that were committed and are not told. Returns at once.

        A process may die between the two, or while its messages wait for Redis.
        """
        task = asyncio.create_task(self._tell_ends(since, is_told), name="tell-ends")
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)

    async def _tell_ends(self, since: int, is_told: Callable[[int], bool]) -> None:
        for record in await ended_runs(self._store, since, lambda: self._is_closing):
            if self.active_by_id(record.id) is None and not is_told(record.id):
                await self._tell_end(record)
                log.warning("run.end_told_late", scrape_run_id=record.id, run_id=record.id)

    async def _tell_end(self, record: RunRecord) -> None:
        broadcaster = self._make_broadcaster(record.id, record.mode)
        self.broadcasters.add(broadcaster)
        broadcaster.publish(terminal_progress(record, self._slowed()))
        self._on_end(record)
        await self._bridge(broadcaster, self._registry)

    def step_down(self, reason: str) -> None:
        """End the active runs as interrupted, because another process has taken over the writing. Returns at once."""
        for run in self._active.values():
            run.ending_reason = reason
            self._stop(run, RunStatus.INTERRUPTED)

    async def close(self, wait_seconds: float = 0.0) -> None:
        """Give the active runs `wait_seconds` to end, then end them as interrupted. No run can start from now on.

        Takes little more than CLOSE_SECONDS longer, even if the database does not respond. A run whose end could not be
        committed by then is marked as interrupted at the next start.
        """
        self._is_closing = True
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_seconds
        if self._starts:
            await asyncio.wait(self._starts, timeout=wait_seconds)
        going = {run.task: run for run in self._active.values() if run.task is not None}
        if going:
            await asyncio.wait(going, timeout=until - loop.time())
            for task, run in going.items():
                self._stop(run, RunStatus.INTERRUPTED)
                if run.store_limit is not None and not task.done():
                    run.store_limit.reschedule(loop.time() + CLOSE_STEP_SECONDS)
            await asyncio.wait(going, timeout=CLOSE_SECONDS)
        await self._cut({*self._starts, *self._ends.tasks, *going})
        for run_id in self._ends.pending_ids:
            log.error("run.end_not_stored", scrape_run_id=run_id, run_id=run_id, reason="the next start interrupts it")
        self.broadcasters.close()

    async def _cut(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        going = [task for task in tasks if not task.done()]
        if going:
            await asyncio.wait(going, timeout=CLOSE_STEP_SECONDS)
            for task in going:
                task.cancel()
            await asyncio.wait(going, timeout=CLOSE_STEP_SECONDS)

    def _stop(self, run: ActiveRun, ending: RunStatus) -> None:
        if run.ending is None and not run.is_ending and run.work is not None:
            run.ending = ending
            run.work.cancel()

    async def _scrape(self, run: ActiveRun, last_found: dict[Platform, int]) -> None:
        run.reporter.report_overall()
        with run.span(), recording_for(run.recording):
            async with ending_after(self._run_deadline_seconds, run.tracker.more_seconds), run.reporter.reporting():
                await self._coordinator.scrape(
                    run.tracker, last_found, run.record.mode, is_round=run.record.trigger == SCHEDULED
                )
            run.reporter.report_overall()
            await self._coordinator.confirm()

    async def _see_to_the_end(self, run: ActiveRun, work: asyncio.Task[None]) -> None:
        """Wait for the work, and end the run. The work may also be cancelled before it has begun."""
        await asyncio.wait([work])
        run.is_ending = True
        if work.cancelled():
            run.ending = run.ending or RunStatus.INTERRUPTED
            await self._confirm_what_was_got(run)
            await self._end(run, None)
        else:
            await self._end(run, self._fault(run, work.exception()))

    def _fault(self, run: ActiveRun, error: BaseException | None) -> RunError | None:
        match error:
            case None:
                return None
            case TimeoutError():
                seconds = self._run_deadline_seconds + run.tracker.extension
                return RunError("deadline", f"the run took longer than {seconds:g} s", self._now())
            case QuartOddsError():
                return run_error(error)
        log.error("run.broke", scrape_run_id=run.record.id, exc_info=error)
        return run_error(error)

    async def _end(self, run: ActiveRun, fault: RunError | None) -> None:
        """Commit the run's row, then publish its terminal progress, both from the same record.

        If the row cannot be committed in time, the run's end is published as a failure, and that record is committed
        later.
        """
        record = outcome(run, fault, self._now())
        phases = [each for tracker in run.tracker.platforms for each in tracker.phases]
        try:
            limit_seconds = CLOSE_STEP_SECONDS if self._is_closing else STORE_END_SECONDS
            async with asyncio.timeout(limit_seconds) as run.store_limit:
                record = await self._ends.commit(record, phases, lambda error: self._tell_not_stored(run, error))
        except TimeoutError:
            reason = str(run.store_error or "the database does not answer")
            log.error("run.not_stored", scrape_run_id=record.id, reason=reason)
            fault = RunError("storage", f"the end of the run was not stored: {reason}", self._now())
            record = outcome(run, fault, self._now())
            self._ends.commit_later(record, phases)
        finally:
            run.store_limit = None
            del self._active[run.record.mode]
        terminal = terminal_progress(record, self._slowed())
        run.publish(terminal.model_copy(update={"elapsed_ms": max(run.elapsed_ms, terminal.duration_ms or 0)}))
        self._on_end(record)
        level = logging.DEBUG if run.is_quiet and record.status is RunStatus.COMPLETED else logging.INFO
        log.log(level, "run.ended", scrape_run_id=record.id, status=str(record.status), events=record.events_scraped)
        if run.bridge is not None:
            await asyncio.wait([run.bridge], timeout=CLOSE_STEP_SECONDS if self._is_closing else BRIDGE_SECONDS)
            run.bridge.cancel()

    def _tell_not_stored(self, run: ActiveRun, error: StorageError) -> None:
        run.store_error = error
        if not run.is_quiet:
            message = f"the end of the run is not stored yet and will be retried: {error}"
            run.publish(run.tracker.progress(phase=ScrapePhase.STORING, message=message))

    async def _confirm_what_was_got(self, run: ActiveRun) -> None:
        try:
            with recording_for(run.recording):
                async with asyncio.timeout(CLOSE_STEP_SECONDS if self._is_closing else CANCEL_CONFIRM_SECONDS):
                    await self._coordinator.confirm()
        except (QuartOddsError, TimeoutError) as error:
            log.warning("run.cancelled_unconfirmed", scrape_run_id=run.record.id, reason=str(error))

    async def _run_bridge(self, run: ActiveRun) -> None:
        try:
            await self._bridge(run.broadcaster, self._registry)
        except Exception:
            log.exception("ws.bridge.broke", scrape_run_id=run.record.id)
