"""The one path of every run, whoever triggered it: one row, one broadcaster, one bridge, one end.

start → row committed → broadcaster, bridge → Coordinator.scrape → odds confirmed → row ended → terminal progress
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from quart_odds.broadcast import BroadcastRegistry
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, RunError, RunRecord, RunStatus, ScrapePhase
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
from quart_odds.scraping.outcome import terminal_progress, unfinished_platforms
from quart_odds.scraping.owned import owned
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker

REPORT_SECONDS = 0.2
"""Time between two progress messages of one platform; its few changes of phase are told at once, so that it never tells
more than ten in a second."""

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

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0

log = structlog.get_logger(__name__)

Bridge = Callable[[ProgressBroadcaster, BroadcastRegistry], Awaitable[None]]


class RunStore(Protocol):
    """Where runs are kept. Every method returns once its change is committed."""

    async def create_run(self, *, trigger: str, platforms: Sequence[Platform], started_at: datetime) -> int:
        """A new row, running; its id."""

    async def save_phases(self, run_id: int, phases: Sequence[PhaseRecord]) -> None:
        """Keep the phases that a run went through."""

    async def finish_run(self, record: RunRecord) -> bool:
        """End a run that is running; False when it was not."""

    async def get_run(self, run_id: int) -> RunRecord | None:
        """A run with its results and errors."""

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
        self._unstored: dict[int, RunRecord] = {}
        self._storing: set[asyncio.Task[RunRecord]] = set()
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
        return self._unstored.get(run_id) or await self._store.get_run(run_id)

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
            for tracker in run.tracker.platforms:
                tracker.on_phase = run.tell
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
        ours = set(self._unstored) | ({self._active.record.id} if self._active is not None else set())
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
        left: set[asyncio.Task[Any]] = {*self._starts, *self._storing}
        if run is not None and run.task is not None:
            left.add(run.task)
        await self._cut(left)
        for run_id in self._unstored:
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
        run.tell_overall()
        if run.refusal is not None:
            raise run.refusal
        with recording_for(run.recording):
            async with asyncio.timeout(self._run_deadline_seconds), self._reporting(run):
                await self._coordinator.scrape(run.tracker, last_found)
            run.tell_overall()
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
        record = self._outcome(run, fault)
        phases = [each for tracker in run.tracker.platforms for each in tracker.phases]
        try:
            limit_seconds = CLOSE_STEP_SECONDS if self._is_closing else STORE_END_SECONDS
            async with asyncio.timeout(limit_seconds) as run.store_limit:
                record = await self._store_end(record, phases, lambda error: self._tell_not_stored(run, error))
        except TimeoutError:
            reason = str(run.store_error or "the database does not answer")
            log.error("run.not_stored", scrape_run_id=record.id, reason=reason)
            record = self._outcome(
                run, RunError("storage", f"the end of the run was not stored: {reason}", self._now())
            )
            self._store_later(record, phases)
        finally:
            self._active = None
        terminal = terminal_progress(record)
        run.publish(terminal.model_copy(update={"elapsed_ms": max(run.elapsed_ms, terminal.duration_ms or 0)}))
        log.info("run.ended", scrape_run_id=record.id, status=str(record.status), events=record.events_scraped)
        if run.bridge is not None:
            await asyncio.wait([run.bridge], timeout=CLOSE_STEP_SECONDS if self._is_closing else BRIDGE_SECONDS)
            run.bridge.cancel()

    async def _store_end(
        self, record: RunRecord, phases: Sequence[PhaseRecord], on_failure: Callable[[StorageError], None]
    ) -> RunRecord:
        """Commit the end of a run, and try until that is done; the record as it is stored.

        That is another one where another process has taken over and ended the run.
        """
        wait_seconds = FIRST_WAIT_SECONDS
        while True:
            try:
                await self._store.save_phases(record.id, phases)
                if await self._store.finish_run(record):
                    return record
                return await self._store.get_run(record.id) or record
            except StorageError as error:
                on_failure(error)
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)

    def _tell_not_stored(self, run: ActiveRun, error: StorageError) -> None:
        run.store_error = error
        message = f"the end of the run is not stored yet, and is tried again: {error}"
        run.publish(run.tracker.progress(phase=ScrapePhase.STORING, message=message))

    def _store_later(self, record: RunRecord, phases: Sequence[PhaseRecord]) -> None:
        self._unstored[record.id] = record
        task = asyncio.create_task(self._store_end(record, phases, lambda _: None), name=f"store-end-{record.id}")
        self._storing.add(task)
        task.add_done_callback(lambda task: self._stored(record, task))

    def _stored(self, record: RunRecord, task: asyncio.Task[RunRecord]) -> None:
        self._storing.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("run.end_not_stored", scrape_run_id=record.id, exc_info=error)
            return
        del self._unstored[record.id]
        log.info("run.end_stored", scrape_run_id=record.id, status=str(task.result().status))

    async def _confirm_what_was_got(self, run: ActiveRun) -> None:
        try:
            with recording_for(run.recording):
                async with asyncio.timeout(CLOSE_STEP_SECONDS if self._is_closing else CANCEL_CONFIRM_SECONDS):
                    await self._coordinator.confirm()
        except (QuartOddsError, TimeoutError) as error:
            log.warning("run.cancelled_unconfirmed", scrape_run_id=run.record.id, reason=str(error))

    def _outcome(self, run: ActiveRun, fault: RunError | None) -> RunRecord:
        tracker = run.tracker
        errors = tracker.errors()
        if run.ending is not None:
            status = run.ending
            words = {RunStatus.CANCELLED: "the run was cancelled", RunStatus.INTERRUPTED: "the server was shut down"}
            errors = (RunError(str(run.ending), words[run.ending], self._now(), recoverable=True), *errors)
        elif fault is not None:
            status = RunStatus.FAILED
            errors = (fault, *errors)
        elif len(tracker.failed_platforms) == len(tracker.platforms):
            status = RunStatus.FAILED
        else:
            status = RunStatus.PARTIAL if tracker.failed_platforms else RunStatus.COMPLETED
        for each in tracker.platforms:
            if not each.phase.is_final:
                each.fail(replace(errors[0], platform=each.platform))
        return RunRecord(
            run.record.id,
            status,
            run.record.trigger,
            run.record.platforms,
            run.record.started_at,
            # Not what the clock says now: it may have been set meanwhile.
            run.record.started_at + timedelta(milliseconds=run.elapsed_ms),
            tracker.fetched,
            tracker.failed,
            tuple(each.result() for each in tracker.platforms),
            errors,
        )

    @contextlib.asynccontextmanager
    async def _reporting(self, run: ActiveRun) -> AsyncIterator[None]:
        """Tell what has moved, each REPORT_SECONDS while the body runs, and at its end."""
        reporter = asyncio.create_task(self._report(run), name=f"report-{run.record.id}")
        try:
            yield
        finally:
            reporter.cancel()
            run.tell_moved()

    async def _report(self, run: ActiveRun) -> None:
        while True:
            run.tell_moved()
            await asyncio.sleep(REPORT_SECONDS)

    async def _run_bridge(self, run: ActiveRun) -> None:
        try:
            await self._bridge(run.broadcaster, self._registry)
        except Exception:
            log.exception("ws.bridge.broke", scrape_run_id=run.record.id)
