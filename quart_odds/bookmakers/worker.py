"""One decoding process, seen from its parent: its queue, its deadlines and its end.

Parent and process share a pair of sockets. The event loop writes tasks to it and reads results from it, without a
thread: with the queues and threads of a process pool, a body cost half a millisecond more.
"""

import asyncio
import pickle
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from quart_odds.bookmakers.decoding import nothing, serve_tasks
from quart_odds.errors import DecoderError

START_SECONDS = 30.0
"""How long a process may take to start. Half a second is normal, but the machine may be busy."""

CLOSE_SECONDS = 1.0
"""How long processes may take to exit before they are killed."""

Result = TypeVar("Result")
Argument = TypeVar("Argument")


class ProcessEndedError(RuntimeError):
    """The process died or was killed before a task was done."""


@dataclass(slots=True, eq=False)
class _Task:
    future: "asyncio.Future[Any]"
    argument: object
    seconds: float


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
        self._under_way: deque[_Task] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._pipe: asyncio.Transport | None = None
        self._process: SpawnProcess | None = None
        self._launching: asyncio.Task[None] | None = None
        self._starting = asyncio.create_task(self._start(), name="start-decoder")
        # Callers get the error from `started`, if there are any.
        self._starting.add_done_callback(_retrieve)

    @property
    def load(self) -> int:
        """The number of tasks, running and queued."""
        return self._waiting + len(self._under_way)

    async def started(self) -> None:
        """Wait until the process answers. Raises DecoderError if it does not start."""
        if not self._starting.done():
            await asyncio.wait([self._starting])
        if self._starting.cancelled():
            raise ProcessEndedError("the process was abandoned while it was starting")
        self._starting.result()

    async def run(self, function: Callable[[Argument], Result], argument: Argument, seconds: float) -> Result:
        """Run a function in the process and return its result.

        Raises ProcessEndedError if the process dies or is killed at the deadline of `seconds`.
        """
        self._waiting += 1
        try:
            await self.started()
        finally:
            self._waiting -= 1
        result: Result = await self._submit(function, argument, seconds).future
        return result

    async def answer(self, seconds: float) -> None:
        """Wait until the process completes something: its current task, or an empty one if it is idle."""
        await self.started()
        task = self._under_way[0] if self._under_way else self._submit(nothing, None, seconds)
        await asyncio.wait([task.future])
        if self.is_broken:
            raise ProcessEndedError(self.reason)

    def discard(self) -> None:
        """Abandon a broken process. Its remaining tasks raise ProcessEndedError."""
        self._starting.cancel()
        self.end("the process died")

    async def aclose(self) -> None:
        """Stop the process: immediately if it is idle, by force after CLOSE_SECONDS otherwise."""
        self.is_broken = True
        self._starting.cancel()
        self._end_tasks()
        if self._pipe is not None:
            self._pipe.abort()
        if self._launching is not None:
            await asyncio.wait([self._launching])
        if self._process is None or self._process.pid is None:
            return
        if not await self._has_exited(self._process):
            warn("decoder.killed", "a process did not exit by itself")
            self._process.kill()
            await self._has_exited(self._process)

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                # A process that is being launched cannot be stopped yet, so `_launch` runs to its end.
                self._launching = asyncio.create_task(self._launch(), name="launch-decoder")
                self._launching.add_done_callback(_retrieve)  # it may fail after the start was given up
                await asyncio.shield(self._launching)
                await self._submit(nothing, None, START_SECONDS).future
        except TimeoutError:
            self.end("the process did not start")
            raise DecoderError(f"a decoding process did not start within {START_SECONDS:g} s") from None
        except (RuntimeError, OSError) as error:
            self.end("the process did not start")
            raise DecoderError(f"a decoding process cannot be started: {error}") from error

    async def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        with Connection(theirs.detach()) as remote:
            # A daemon, so that an interpreter that exits ends it. Spawned, because forking a process with threads and a
            # running loop may hang.
            process = SpawnProcess(target=serve_tasks, args=(remote,), daemon=True)
            try:
                await asyncio.to_thread(process.start)
            except BaseException:
                ours.close()
                raise
        self._process = process
        self._pipe, _ = await self._loop.create_unix_connection(lambda: _Results(self), sock=ours)
        if self.is_broken:
            self._pipe.abort()
            process.kill()

    async def _has_exited(self, process: SpawnProcess) -> bool:
        await asyncio.to_thread(process.join, CLOSE_SECONDS)
        return process.exitcode is not None

    def _submit(self, function: Callable[[Argument], Result], argument: Argument, seconds: float) -> _Task:
        if self.is_broken or self._pipe is None:
            raise ProcessEndedError(self.reason)
        content = pickle.dumps((function, argument), pickle.HIGHEST_PROTOCOL)
        self._pipe.writelines((_LENGTH.pack(len(content)), content))
        task = _Task(self._loop.create_future(), argument, seconds)
        self._under_way.append(task)
        if len(self._under_way) == 1:
            self._start_timer()
        return task

    def done(self, result: object, error: BaseException | None) -> None:
        """Take the outcome of the current task. The process works on its tasks in order."""
        self._stop_timer()
        task = self._under_way.popleft()
        if self._under_way:
            self._start_timer()
        if task.future.done():
            return
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)

    def end(self, reason: str) -> None:
        """Mark the process as broken by its current task, and kill it."""
        if self.is_broken:
            return
        self.is_broken = True
        self.reason = reason
        argument = self._under_way[0].argument if self._under_way else None
        self.suspect = argument[1] if isinstance(argument, tuple) else None
        self._end_tasks()
        if self._pipe is not None:
            self._pipe.abort()
        # Even a stopped process.
        if self._process is not None:
            self._process.kill()

    def _end_tasks(self) -> None:
        self._stop_timer()
        tasks, self._under_way = self._under_way, deque()
        for task in tasks:
            if not task.future.done():
                task.future.set_exception(ProcessEndedError(self.reason))
                # Whoever waited for it may have been cancelled in this moment.
                task.future.exception()

    def _start_timer(self) -> None:
        task = self._under_way[0]
        self._timer = self._loop.call_later(task.seconds, self._overdue, task)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self, task: _Task) -> None:
        self.is_hung = True
        self.end(f"a body took over {task.seconds:g} s")


def _retrieve(task: "asyncio.Task[None]") -> None:
    """Take note of a task's error, of which asyncio would warn if nobody is there to get it."""
    if not task.cancelled():
        task.exception()


_LENGTH = struct.Struct("!i")
"""The length in front of each message, as `multiprocessing.connection.Connection` writes and reads it."""


class _Results(asyncio.Protocol):
    """Puts the messages of a process together. The end of the connection is the end of the process."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while len(received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
            if len(received) < end:
                return
            with memoryview(received) as view:
                result, error = pickle.loads(view[_LENGTH.size : end])  # noqa: S301 - from our own process
            del received[:end]
            self._worker.done(result, error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._worker.end("the process died")


def warn(event: str, reason: str) -> None:
    """Log a warning. Imports structlog here, because the decoding processes do not need it."""
    import structlog

    structlog.get_logger(__name__).warning(event, reason=reason)
