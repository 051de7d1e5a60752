"""The one path of every run, whoever triggered it: one row, one broadcaster, one bridge, one end.

start → row committed → broadcaster, bridge → Coordinator.scrape → odds confirmed → row ended → terminal progress
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from quart_odds.broadcast import BroadcastRegistry
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, RunRecord, RunStatus, ScrapePhase
from quart_odds.errors import (
    NotWriterError,
    QuartOddsError,
    RunActiveError,
    RunNotFoundError,
    RunStateError,
    StorageError,
    TooSoonError,
)
from quart_odds.odds.ownership import recording_for
from quart_odds.scraping.active_run import ActiveRun
from quart_odds.scraping.broadcaster import BroadcasterRegistry, ProgressBroadcaster
from quart_odds.scraping.coordinator import Coordinator
from quart_odds.scraping.faults import run_error
from quart_odds.scraping.outcome import outcome, terminal_progress, unfinished_platforms
from quart_odds.scraping.owned import owned
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.run_ends import EndStore, RunEnds

BRIDGE_SECONDS = 5.0
"""Longest wait, at the end of a run, for the bridge to pass on what is left."""

CANCEL_CONFIRM_SECONDS = 1.0
"""Longest wait, after a cancel, for odds already recorded to be committed."""

STORE_END_SECONDS = 5.0
"""How long listeners wait for the end of a run that the database does not take. Then they are told the end, as it will
be stored: that is tried for as long as the server runs."""

CLOSE_SECONDS = 1.0
"""How long a shutdown waits for what is left of runs, once it has asked the active one to end."""

CLOSE_STEP_SECONDS = 0.3
"""How long each step of an end may take in that time: the last odds' confirmation, the row."""

CANCELLED_START_SECONDS = 2.0
"""Time between two starts where the first was cancelled: each start asks the bookmakers and leaves a row."""


log = structlog.get_logger(__name__)

Bridge = Callable[[ProgressBroadcaster, BroadcastRegistry], Awaitable[None]]


class RunStore(EndStore, Protocol):
    """Where runs are kept. Every method returns once its change is committed."""

    async def create_run(self, *, trigger: str, platforms: Sequence[Platform], started_at: datetime) -> int:
        """A new row, running; its id."""

    async def last_found(self, platform: Platform) -> int | None:
        """How many events the platform's last good discovery found."""

    async def interrupt_running(self, at: datetime, besides: Collection[int] = ()) -> list[RunRecord]:
        """End all that are found running, but for these."""


class RunService:
    """Starts, cancels and ends runs. One run at a time: a second start raises RunActiveError.

    What has to last belongs to the service's own tasks: whoever asks for it may leave at any moment.
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
        make_broadcaster: Callable[[int], ProgressBroadcaster] = ProgressBroadcaster,
        take_over: Callable[[], Awaitable[None]] | None = None,
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
        self._now = now
        self._active: ActiveRun | None = None
        self._starting = asyncio.Lock()
        self._starts: set[asyncio.Task[Any]] = set()
        self._ends = RunEnds(store)
        self._is_closing = False
        self._may_start_at = 0.0

    @property
    def active(self) -> ActiveRun | None:
        """The run that is going, None when none is."""
        return self._active

    async def record(self, run_id: int) -> RunRecord | None:
        """A run as far as it has come: also one whose end the database has not taken yet."""
        if self._active is not None and self._active.record.id == run_id:
            return self._active.snapshot()
        return self._ends.pending(run_id) or await self._store.get_run(run_id)

    async def start(self, trigger: str, platforms: Sequence[Platform] | None = None) -> ActiveRun:
        """Start a run over these platforms (those that are enabled when None); its row is committed when this returns.

        A run that may not write asks no bookmaker and ends at once, with the reason. Raises RunActiveError while
        another run is going, RunStateError at shutdown, and TooSoonError within CANCELLED_START_SECONDS of a start that
        was cancelled. Whoever waits for this may leave: the run starts all the same.
        """
        return await owned(self._start(trigger, platforms), self._starts)

    async def start_scheduled(self) -> None:
        """Start a run because it is time. Raises NotWriterError, and starts none, while another process writes."""
        if self._take_over is not None:
            await self._take_over()
        await self.start("scheduled")

    async def _start(self, trigger: str, platforms: Sequence[Platform] | None) -> ActiveRun:
        async with self._starting:
            if self._active is not None:
                raise RunActiveError(self._active.record.id)
            if self._is_closing:
                raise RunStateError("the server is shutting down; start the run when it is back")
            if (left := self._may_start_at - time.monotonic()) > 0:
                raise TooSoonError("a run was started and cancelled a moment ago; start the next one in a moment", left)
            refusal = await self._refusal()
            chosen = tuple(dict.fromkeys(platforms or self._platforms()))
            started_at = self._now()
            last_found = {each: await self._store.last_found(each) or 0 for each in chosen}
            run_id = await self._store.create_run(trigger=trigger, platforms=chosen, started_at=started_at)
            run = ActiveRun(
                RunRecord(run_id, RunStatus.RUNNING, trigger, chosen, started_at),
                self._make_broadcaster(run_id),
                RunTracker([PlatformTracker(each, expected=last_found[each], began_at=started_at) for each in chosen]),
                time.monotonic(),
                refusal=refusal,
            )
            self.broadcasters.add(run.broadcaster)
            self._active = run
            run.bridge = asyncio.create_task(self._run_bridge(run), name=f"bridge-{run_id}")
            run.work = asyncio.create_task(self._scrape(run, last_found), name=f"scrape-{run_id}")
            run.task = asyncio.create_task(self._see_to_the_end(run, run.work), name=f"run-{run_id}")
            log.info("run.started", scrape_run_id=run_id, trigger=trigger, platforms=[str(each) for each in chosen])
            return run

    async def _refusal(self) -> StorageError | None:
        """Why a run that starts now could store nothing; None where it can."""
        if self._take_over is None:
            return None
        try:
            await self._take_over()
        except NotWriterError as error:
            return error
        return None

    async def cancel(self, run_id: int) -> None:
        """Ask the active run to end; it says so itself. Raises RunNotFoundError, RunStateError for one that is over."""
        run = self._active
        if run is None or run.record.id != run_id:
            if await self.record(run_id) is None:
                raise RunNotFoundError(run_id)
            raise RunStateError(f"run {run_id} is over; there is nothing to cancel")
        self._may_start_at = run.began + CANCELLED_START_SECONDS
        self._stop(run, RunStatus.CANCELLED)

    async def retry(self, run_id: int, platforms: Sequence[Platform] | None = None) -> ActiveRun:
        """Start a run over the platforms that failed in another one, or those given.

        Raises RunNotFoundError, RunActiveError, and RunStateError where there is nothing to try again.
        """
        record = await self.record(run_id)
        if record is None:
            raise RunNotFoundError(run_id)
        if record.status is RunStatus.RUNNING:
            raise RunStateError(f"run {run_id} is still running; cancel it, or wait for its end")
        chosen = platforms or unfinished_platforms(record)
        if not chosen:
            raise RunStateError(f"run {run_id} failed nowhere; name the platforms to scrape again")
        return await self.start(f"retry:{run_id}", chosen)

    async def recover(self) -> list[RunRecord]:
        """End the runs that were going when the process stopped that wrote before, and tell their terminal progress."""
        ours = set(self._ends.pending_ids) | ({self._active.record.id} if self._active is not None else set())
        interrupted = await self._store.interrupt_running(self._now(), ours)
        for record in interrupted:
            broadcaster = self._make_broadcaster(record.id)
            self.broadcasters.add(broadcaster)
            broadcaster.publish(terminal_progress(record))
            await self._bridge(broadcaster, self._registry)
            log.warning("run.interrupted", scrape_run_id=record.id)
        return interrupted

    async def close(self, wait_seconds: float = 0.0) -> None:
        """Let the active run end within the time given, then mark it interrupted. No run starts from here on.

        Takes CLOSE_SECONDS more at most, database or not; what could not be stored then is ended by the next start.
        """
        self._is_closing = True
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_seconds
        if self._starts:
            await asyncio.wait(self._starts, timeout=wait_seconds)
        run = self._active
        if run is not None and run.task is not None:
            await asyncio.wait([run.task], timeout=until - loop.time())
            self._stop(run, RunStatus.INTERRUPTED)
            if run.store_limit is not None and not run.task.done():
                run.store_limit.reschedule(loop.time() + CLOSE_STEP_SECONDS)
            await asyncio.wait([run.task], timeout=CLOSE_SECONDS)
        left: set[asyncio.Task[Any]] = {*self._starts, *self._ends.tasks}
        if run is not None and run.task is not None:
            left.add(run.task)
        await self._cut(left)
        for run_id in self._ends.pending_ids:
            log.error("run.end_not_stored", scrape_run_id=run_id, reason="the next start will end it as interrupted")
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
        if run.refusal is not None:
            raise run.refusal
        with recording_for(run.recording):
            async with asyncio.timeout(self._run_deadline_seconds), run.reporter.reporting():
                await self._coordinator.scrape(run.tracker, last_found)
            run.reporter.report_overall()
            await self._coordinator.confirm()

    async def _see_to_the_end(self, run: ActiveRun, work: asyncio.Task[None]) -> None:
        """Wait for the work, however it ends (it may be cancelled before it has begun), and end the run."""
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
                return RunError("deadline", f"the run took over {self._run_deadline_seconds:g} s", self._now())
            case QuartOddsError():
                return run_error(error)
        log.error("run.broke", scrape_run_id=run.record.id, exc_info=error)
        return run_error(error)

    async def _end(self, run: ActiveRun, fault: RunError | None) -> None:
        """Commit the run's row, then tell its terminal progress: both from the same record.

        Where the database does not take it in time, the end is told as a failure, and that is stored when it can be.
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
            self._active = None
        terminal = terminal_progress(record)
        run.publish(terminal.model_copy(update={"elapsed_ms": max(run.elapsed_ms, terminal.duration_ms or 0)}))
        log.info("run.ended", scrape_run_id=record.id, status=str(record.status), events=record.events_scraped)
        if run.bridge is not None:
            await asyncio.wait([run.bridge], timeout=CLOSE_STEP_SECONDS if self._is_closing else BRIDGE_SECONDS)
            run.bridge.cancel()

    def _tell_not_stored(self, run: ActiveRun, error: StorageError) -> None:
        run.store_error = error
        message = f"the end of the run is not stored yet, and is tried again: {error}"
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
