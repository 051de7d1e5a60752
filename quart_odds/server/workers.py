"""The supervisor of `serve --workers`: starts worker processes, starts anew those that end, and restarts all in turn.

Each worker has a place, with a number and a listening socket (see `sockets.listen_for_workers`). The supervisor accepts
no connections and opens no database. A place without a ready worker loses no connections: another worker accepts them.
"""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import structlog

from quart_odds.errors import SettingsError, WorkersError
from quart_odds.server.serve import STOP_SECONDS, Ready
from quart_odds.server.sockets import address_of
from quart_odds.server.worker_process import WorkerProcess
from quart_odds.settings import Settings, sqlite_path

READY_SECONDS = 120.0
"""How long a worker may take to become ready. Loading the odds of a large database takes some seconds."""
STABLE_SECONDS = 60.0
"""A worker that ends after this long is started anew at once. One that ends sooner waits, longer each time."""
FIRST_DELAY_SECONDS = 0.25
MOST_DELAY_SECONDS = 30.0
FAILED_STARTS = 4
"""After so many failed starts in a row the supervisor stops with the reason, unless another worker is ready."""
WATCH_SECONDS = 1.0
HUNG_SECONDS = 30.0
"""After so long without a report, a worker that was ready is killed. It reports every `REPORT_SECONDS`.

Only time in which the supervisor itself runs is counted, so a machine that was suspended costs nobody a worker.
"""
HAND_OVER_SECONDS = 1.0
"""How long a worker that accepts no more connections goes on before it drains: it answers what it has been asked."""
SPARE_SECONDS = 0.5
"""How much longer than a worker's own last resort the supervisor waits before it kills the worker."""

log = structlog.get_logger(__name__)


def check_workers(workers: int, settings: Settings) -> None:
    """Raise SettingsError if these settings do not allow several workers."""
    if workers == 1:
        return
    if settings.engine_url is None:
        raise SettingsError(
            f"--workers {workers} needs QUART_ODDS_ENGINE_URL: without Redis each worker has a log of its own, and its "
            "clients miss what the others publish; set for example QUART_ODDS_ENGINE_URL=redis://127.0.0.1:6379/0, or "
            "leave --workers out"
        )
    if settings.database_url.startswith("sqlite") and sqlite_path(settings.database_url) is None:
        raise SettingsError(
            f"--workers {workers} needs a database that all workers share; QUART_ODDS_DATABASE_URL names one in memory"
        )
    if not hasattr(socket, "SO_REUSEPORT"):
        raise SettingsError(f"--workers {workers} needs SO_REUSEPORT, which this system lacks; leave --workers out")


class Place:
    """What stays of a worker when its process changes: the number, and how often it has failed lately."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: WorkerProcess | None = None
        self.early_ends = 0
        self.failed_starts = 0
        self.is_shut = False
        """Whether its socket refuses connections for good."""

    @property
    def is_ready(self) -> bool:
        """Whether it has a worker that is ready."""
        return self.worker is not None and self.worker.is_ready

    def next_delay(self) -> float:
        """Return how many seconds to wait before the next start: twice as long as last time, within bounds."""
        delay = min(MOST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0**self.early_ends)
        self.early_ends += 1
        return delay


class Supervisor:
    """Runs a worker for each socket until SIGTERM or SIGINT. SIGHUP restarts the workers one after the other.

    `command` and `environ` are those of every worker. `on_ready` gets the address once the first worker is ready.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        drain_seconds: float,
        on_ready: Ready,
    ) -> None:
        self._sockets = sockets
        self._command = command
        self._environ = environ
        self._end_seconds = drain_seconds + STOP_SECONDS + SPARE_SECONDS
        self._on_ready = on_ready
        self._places = [Place(number) for number in range(1, len(sockets) + 1)]
        self._live: set[WorkerProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._first_ready = asyncio.Event()
        self._restart_wanted = asyncio.Event()
        self._is_restarting = False
        self._hurried = asyncio.Event()
        self._signal: int | None = None
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Run until a signal, and return the exit code. Raises WorkersError if no worker can be started."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop, number)
        loop.add_signal_handler(signal.SIGHUP, self.restart)
        log.info("supervisor.started", workers=len(self._places))
        # The first one alone: it upgrades the database if need be, and a wrong setting is reported once.
        self._spawn(self._start(self._places[0]))
        self._spawn(self._restart_on_demand())
        self._spawn(self._watch())
        try:
            await self._end
        finally:
            went_well = await self._stop_all()
            log.info("supervisor.stopped")
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)
        if self._hurried.is_set():
            return 128 + (self._signal or signal.SIGTERM)
        return 0 if went_well else 1

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Let all workers drain and exit, for this signal. The second call ends them at once."""
        if self._signal is not None:
            self._hurried.set()
        self._signal = number
        if not self._end.done():
            self._end.set_result(None)

    def restart(self) -> None:
        """Restart the workers one after the other. Calls during a restart lead to one more after it.

        The restart in progress may have begun before the change that the caller wants to be used.
        """
        if self._is_restarting:
            log.info("workers.restart_queued", reason="one restart follows the one that is in progress")
        self._restart_wanted.set()

    # Starting, and starting anew.

    async def _start(self, place: Place) -> None:
        """Start a worker for a place that has none."""
        while place.worker is None:
            try:
                worker = await self._start_process(place)
            except OSError as error:
                # The system has no process, memory or descriptor to give. The workers that there are go on.
                await asyncio.sleep(self._delay_after_failure(place, f"the system did not start it: {error}"))
            else:
                if place.worker is None:
                    place.worker = worker
                else:
                    # A restart has filled the place while the system started this one.
                    worker.stop()
                self._spawn(self._follow(place, worker))

    async def _start_process(self, place: Place) -> WorkerProcess:
        worker = await WorkerProcess.start(place.number, self._command, self._sockets, self._environ)
        self._live.add(worker)
        log.info("worker.started", worker=place.number, pid=worker.pid)
        return worker

    async def _follow(self, place: Place, worker: WorkerProcess) -> None:
        """Follow a worker from its start to its end, and start another one if the place has none by then."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await worker.settled()
        except TimeoutError:
            worker.kill(f"it was not ready within {READY_SECONDS:g} s")
        # A new worker that replaces another one gets its place in `_replace`.
        if worker.is_ready and place.worker is worker:
            self._became_ready(place, worker)
        await worker.ended()
        self._live.discard(worker)
        if place.worker is not worker:
            return
        place.worker = None
        self._share_sockets()
        await asyncio.sleep(self._delay(place, worker))
        await self._start(place)

    async def _watch(self) -> None:
        """Kill workers that hang, such as one whose loop is blocked for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for place in self._places:
                worker = place.worker
                if worker is None or not worker.is_ready or worker.silent_seconds is None:
                    continue
                # Counted in turns, so that a pause of this process, however long, counts as one.
                worker.silent_seconds += WATCH_SECONDS
                if worker.silent_seconds > HUNG_SECONDS:
                    worker.kill(f"it has not reported for {HUNG_SECONDS:g} s")

    def _became_ready(self, place: Place, worker: WorkerProcess) -> None:
        if worker.is_announced:
            return
        worker.is_announced = True
        log.info("worker.ready", worker=place.number, pid=worker.pid, seconds=round(worker.lived_seconds, 2))
        place.failed_starts = 0
        if not self._first_ready.is_set():
            self._first_ready.set()
            self._on_ready(address_of(self._sockets[0]))
            for each in self._places:
                if each.worker is None:
                    self._spawn(self._start(each))
        self._share_sockets()

    def _delay(self, place: Place, worker: WorkerProcess) -> float:
        """Log the end of a worker, and return how long to wait. Raises WorkersError if it makes no sense to go on."""
        if not worker.was_ready:
            return self._delay_after_failure(place, worker.how_it_ended)
        if worker.lived_seconds >= STABLE_SECONDS:
            place.early_ends = 0
            delay = 0.0
        else:
            delay = place.next_delay()
        log.error(
            "worker.ended",
            worker=place.number,
            pid=worker.pid,
            reason=worker.how_it_ended,
            next_start_in_seconds=delay,
        )
        return delay

    def _delay_after_failure(self, place: Place, reason: str) -> float:
        place.failed_starts += 1
        if place.failed_starts >= FAILED_STARTS and not any(each.is_ready for each in self._places):
            raise WorkersError(
                f"no worker is running, and worker {place.number} could not be started {place.failed_starts} times in "
                f"a row: {reason}"
            )
        delay = place.next_delay()
        log.error(
            "worker.not_started",
            worker=place.number,
            reason=reason,
            failed_starts=place.failed_starts,
            next_start_in_seconds=delay,
        )
        return delay

    def _share_sockets(self) -> None:
        """Let each ready worker accept on its own socket, and on those of places without one, as evenly as possible."""
        shares = {place.number: [place.number] for place in self._places if place.is_ready}
        if not shares:
            return
        for place in self._places:
            if not place.is_ready and not place.is_shut:
                min(shares.values(), key=len).append(place.number)
        for place in self._places:
            if place.is_ready and place.worker is not None:
                place.worker.accept_on(shares[place.number])

    # Restarting one after the other.

    async def _restart_on_demand(self) -> None:
        await self._first_ready.wait()
        while True:
            await self._restart_wanted.wait()
            self._restart_wanted.clear()
            self._is_restarting = True
            log.info("workers.restarting")
            for place in self._places:
                if (reason := await self._replace(place)) is not None:
                    log.error(
                        "workers.restart_given_up",
                        worker=place.number,
                        reason=reason,
                        effect="this worker and those after it were not restarted; those that run go on",
                    )
                    break
            else:
                log.info("workers.restarted")
            self._is_restarting = False

    async def _replace(self, place: Place) -> str | None:
        """Start a new worker, and end the old one once the new one is ready.

        Otherwise the old one stays, and the result is the reason.
        """
        try:
            new = await self._start_process(place)
        except OSError as error:
            return f"the system did not start it: {error}"
        following = self._spawn(self._follow(place, new))
        if not await new.settled():
            await asyncio.wait([following])
            return new.how_it_ended
        old, place.worker = place.worker, new
        self._became_ready(place, new)
        if old is not None and not old.has_ended:
            # It accepts nothing from now on. What waits in the queue of their socket is for the new one.
            old.accept_on(())
            await asyncio.sleep(HAND_OVER_SECONDS)
            old.stop()
            await old.end_within(self._end_seconds)
        return None

    # Stopping.

    async def _stop_all(self) -> bool:
        """End all workers in time, and return whether all of them ended well and in time."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        workers = list(self._live)
        hurrying = asyncio.create_task(self._hurry(workers))
        went_well = await asyncio.gather(*(self._stop_one(each) for each in workers))
        hurrying.cancel()
        return all(went_well)

    async def _stop_one(self, worker: WorkerProcess) -> bool:
        was_ready = worker.is_ready
        worker.stop(is_final=True)
        is_in_time = await worker.end_within(self._end_seconds)
        ended_well = is_in_time and worker.ended_well
        # The kernel then spreads new connections over the sockets of those that are still draining. They also answer
        # what waits for a worker that has failed to.
        for place in self._places:
            if place.worker is worker and was_ready and ended_well:
                place.is_shut = True
        self._share_sockets()
        return ended_well

    async def _hurry(self, workers: Sequence[WorkerProcess]) -> None:
        """After a second signal, end all workers at once."""
        await self._hurried.wait()
        for worker in workers:
            worker.send_signal(signal.SIGKILL)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task until its end. An error in it ends the supervisor."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._end.done():
            self._end.set_exception(error)
