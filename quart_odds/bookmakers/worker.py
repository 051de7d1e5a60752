"""One decoding process, seen from its parent: its queue, its deadlines and its end."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from quart_odds.bookmakers.decoding import nothing, start_worker
from quart_odds.errors import DecoderError

START_SECONDS = 30.0
"""How long a process may take to start. Half a second is normal, but the machine may be busy."""

CLOSE_SECONDS = 1.0
"""How long processes may take to exit before they are killed."""

Result = TypeVar("Result")
Argument = TypeVar("Argument")


class Worker:
    """One process, its queue, and the deadline of its current task. Time in the queue does not count.

    If the process breaks, `suspect` is the body that it was working on and `reason` says what happened.
    """

    def __init__(self) -> None:
        self.suspect: object = None
        self.is_hung = False
        self.is_broken = False
        self.reason = "the process was ended"
        self._loop = asyncio.get_running_loop()
        # spawn, because forking a process with threads and a running loop may hang.
        self._context = _Spawning()
        self._pool = ProcessPoolExecutor(1, mp_context=self._context, initializer=start_worker)
        self._under_way: deque[tuple[Future[Any], object, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._starting = asyncio.create_task(self._start(), name="start-decoder")
        # Callers get the error from `started`. Retrieving it here avoids asyncio's warning if there are none.
        self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def load(self) -> int:
        """The number of tasks, running and queued."""
        return self._waiting + len(self._under_way)

    async def started(self) -> None:
        """Wait until the process answers. Raises DecoderError if it does not start."""
        if not self._starting.done():
            await asyncio.wait([self._starting])
        if self._starting.cancelled():
            raise BrokenProcessPool("the process was abandoned while it was starting")
        self._starting.result()

    async def run(self, function: Callable[[Argument], Result], argument: Argument, seconds: float) -> Result:
        """Run a function in the process and return its result.

        Raises BrokenProcessPool if the process dies or is killed at the deadline of `seconds`.
        """
        self._waiting += 1
        try:
            await self.started()
        finally:
            self._waiting -= 1
        future = asyncio.wrap_future(self._submit(function, argument, seconds))
        try:
            return await future
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.is_broken and task is not None and not task.cancelling():
                raise BrokenProcessPool("the process was ended") from None
            raise

    async def answer(self, seconds: float) -> None:
        """Wait until the process completes something: its current task, or an empty one if it is idle."""
        await self.started()
        future = self._under_way[0][0] if self._under_way else self._submit(nothing, None, seconds)
        answered = asyncio.Event()
        future.add_done_callback(lambda _: self._tell(answered.set))
        await answered.wait()
        if self.is_broken:
            raise BrokenProcessPool(self.reason)

    def discard(self) -> None:
        """Abandon a broken process. Its remaining tasks raise BrokenProcessPool."""
        if not self.is_broken:
            self._break("the process died")
        self._starting.cancel()
        self._pool.shutdown(wait=False)

    async def aclose(self) -> None:
        """Stop the process: immediately if it is idle, by force after CLOSE_SECONDS otherwise."""
        self.is_broken = True
        self._starting.cancel()
        self._stop_timer()
        ending = asyncio.create_task(asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True))
        done, _ = await asyncio.wait([ending], timeout=CLOSE_SECONDS)
        if not done:
            warn("decoder.killed", "a process did not exit by itself")
            self._kill()
            done, _ = await asyncio.wait([ending], timeout=CLOSE_SECONDS)
        for task in done:
            task.result()

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                future = await asyncio.to_thread(self._pool.submit, nothing, None)
                await asyncio.wrap_future(future)
        except TimeoutError:
            self._break("the process did not start")
            raise DecoderError(f"a decoding process did not start within {START_SECONDS:g} s") from None
        except (RuntimeError, OSError) as error:
            self._break("the process did not start")
            raise DecoderError(f"a decoding process cannot be started: {error}") from error

    def _submit(self, function: Callable[[Argument], Result], argument: Argument, seconds: float) -> "Future[Result]":
        if self.is_broken:
            raise BrokenProcessPool(self.reason)
        future = self._pool.submit(function, argument)
        self._under_way.append((future, argument, seconds))
        if len(self._under_way) == 1:
            self._start_timer()
        future.add_done_callback(lambda _: self._tell(self._done, future))
        return future

    def _tell(self, act: Callable[..., object], *arguments: object) -> None:
        """Call a function in the event loop from the pool's thread, or do nothing if the loop is closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act, *arguments)

    def _done(self, future: "Future[Any]") -> None:
        is_dead = not future.cancelled() and isinstance(future.exception(), BrokenProcessPool)
        if is_dead and not self.is_broken:
            self._break("the process died")
        is_first = bool(self._under_way) and self._under_way[0][0] is future
        self._under_way = deque(each for each in self._under_way if each[0] is not future)
        if is_first and not self.is_broken:
            self._stop_timer()
            if self._under_way:
                self._start_timer()

    def _break(self, reason: str) -> None:
        """Mark the process as broken by its current task, and kill it."""
        self.is_broken = True
        self.reason = reason
        task = self._under_way[0][1] if self._under_way else None
        self.suspect = task[1] if isinstance(task, tuple) else None
        self._stop_timer()
        self._kill()

    def _start_timer(self) -> None:
        _, _, seconds = self._under_way[0]
        self._timer = self._loop.call_later(seconds, self._overdue, self._under_way[0][0], seconds)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self, future: "Future[Any]", seconds: float) -> None:
        if future.done() or self.is_broken:
            return
        self.is_hung = True
        self._break(f"a body took over {seconds:g} s")

    def _kill(self) -> None:
        """Kill the process, even a stopped one. All its tasks then raise BrokenProcessPool."""
        for process in self._context.made:
            if process.is_alive():
                process.kill()


class _Spawning(SpawnContext):
    """A spawn context that remembers its processes: a pool can only end processes that still respond."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """Create a process and remember it."""
        process = SpawnProcess(*args, **kwargs)
        self.made.append(process)
        return process


def warn(event: str, reason: str) -> None:
    """Log a warning. Imports structlog here, because the decoding processes do not need it."""
    import structlog

    structlog.get_logger(__name__).warning(event, reason=reason)
