"""Decoding off the loop: processes that read raw bodies, of events and of lists, each body within a deadline.

A full body costs some milliseconds of pure computing; in the server's own loop a scrape would delay every listener.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar, cast

from quart_odds.bookmakers import bet9ja, betpawa, lists, sportybet
from quart_odds.bookmakers.bodies import RawBody, decompress
from quart_odds.bookmakers.lists import RawList
from quart_odds.bookmakers.sites import Listings, Page
from quart_odds.bookmakers.turns import Turns
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, DecoderError, MalformedBodyError

DECODE_SECONDS = 3.0
"""A body takes milliseconds. A process that takes so long for one is replaced, and the body is tried once more."""

LAST_TRY_SECONDS = 15.0
"""How long the second try has, which nothing else can delay: what takes longer is taken to be endless."""

START_SECONDS = 30.0
"""How long a process has to start: half a second is usual, and a machine may be busy."""

ANSWER_SECONDS = 2.0
"""A process that has not answered for so long is reported by `check`."""

CLOSE_SECONDS = 1.0
"""How long processes have to end by themselves before they are killed."""

WORKER_BYTES = 2_000_000_000
"""Address space of a process: ten times what the costliest body that is let through takes."""

MAX_PRICES = 20_000
"""Prices of one event: real ones have up to 2,000."""

PLACES_PER_PROCESS = 2
"""Bodies that are with one process: the next one is there when it has done one."""

PR_SET_PDEATHSIG = 1

Result = TypeVar("Result")
Argument = TypeVar("Argument")
Raw = TypeVar("Raw", RawBody, RawList)

_PARSERS = {
    Platform.BETPAWA: betpawa.parse_event,
    Platform.SPORTYBET: sportybet.parse_event,
    Platform.BET9JA: bet9ja.parse_event,
}


def decode(raw: RawBody) -> MappedEvent:
    """A raw body as prices: pure, and the same in any process. Raises BookmakerError naming the event, nothing else."""
    where = f"event {raw.header.external_id}"
    plain = decompress(raw.platform, raw.content, raw.content_encoding, raw.max_bytes, where)
    mapped = _PARSERS[raw.platform](plain, raw.header)
    if len(mapped.prices) > MAX_PRICES:
        raise MalformedBodyError(raw.platform, f"{len(mapped.prices)} prices, more than {MAX_PRICES}", where=where)
    return mapped


class Decoder:
    """`decode`, and the reading of lists, in `workers` processes, or in the loop where there are none.

    A process that dies or hangs is replaced. The body that it was busy with is tried once more, alone, so that only a
    body that kills or stops processes fails; those that waited behind it go to the new process. Bookmakers share the
    processes by time, so that one whose bodies take long delays its own.
    """

    def __init__(self, workers: int) -> None:
        self._size = workers
        self._turns = Turns(PLACES_PER_PROCESS * workers)
        self._workers: list[_Worker] = []
        self._second: _Worker | None = None
        self._one_by_one = asyncio.Lock()
        self._is_closed = False

    async def warm(self) -> None:
        """Start the processes now, off the loop: starting one takes half a second, which the first run would wait.

        One that does not start is logged; `check` reports it, and the first body tries again.
        """
        for worker in self._all() if self._size else ():
            try:
                await worker.started()
            except DecoderError as error:
                _warn("decoder.not_started", str(error))

    async def decode(self, raw: RawBody) -> MappedEvent:
        """See `decode`. Also raises MalformedBodyError for a body whose decoding kills its process or does not end.

        Raises DecoderError where no process can be started, and once the decoder is closed.
        """
        return await self._do(decode, raw, f"event {raw.header.external_id}")

    async def read_root(self, raw: RawList) -> Listings:
        """See `lists.read_root`. Raises as `decode`."""
        return await self._do(lists.read_root, raw, raw.where)

    async def read_page(self, raw: RawList) -> Page:
        """See `lists.read_page`. Raises as `decode`."""
        return await self._do(lists.read_page, raw, raw.where)

    async def check(self) -> None:
        """Raises DecoderError where a process does not start, or has not answered for a while."""
        if not self._size or self._is_closed:
            return
        await asyncio.gather(*(self._check(worker) for worker in self._all()))

    async def aclose(self) -> None:
        """End the processes, by force where they do not end at once; what they still had to do is given up."""
        self._is_closed = True
        self._turns.open_all()
        workers = [*self._workers, *([self._second] if self._second else [])]
        self._workers, self._second = [], None
        await asyncio.gather(*(worker.aclose() for worker in workers))

    def _all(self) -> list["_Worker"]:
        """The processes, those that lack started now. Raises DecoderError once closed."""
        if self._is_closed:
            raise DecoderError("the decoder is closed")
        for worker in [each for each in self._workers if each.is_broken]:
            self._replace(worker)
        while len(self._workers) < self._size:
            self._workers.append(_Worker())
        return self._workers

    def _replace(self, worker: "_Worker") -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            worker.discard()
            _warn("decoder.replaced", worker.reason)

    async def _check(self, worker: "_Worker") -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await worker.answer()
        except TimeoutError:
            raise DecoderError(f"a decoding process has not answered for {ANSWER_SECONDS:g} s") from None
        except BrokenProcessPool:
            self._replace(worker)
            raise DecoderError("a decoding process died; it is being replaced") from None

    async def _do(self, function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
        if not self._size:
            return _guarded(function, raw, where)
        while True:
            async with self._turns.turn(raw.platform):
                worker = min(self._all(), key=lambda each: each.load)
                began = time.monotonic()
                try:
                    done = await worker.run(_timed, (function, raw, where), DECODE_SECONDS)
                except BrokenProcessPool:
                    self._turns.use(raw.platform, time.monotonic() - began)
                    self._replace(worker)
                    if worker.suspect is not raw:
                        continue
                else:
                    self._turns.use(raw.platform, done[0])
                    return _result(done)
            return await self._do_again(function, raw, where)

    async def _do_again(self, function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
        async with self._one_by_one:
            if self._is_closed:
                raise DecoderError("the decoder is closed")
            if self._second is None or self._second.is_broken:
                self._second = _Worker()
            worker = self._second
            try:
                return _result(await worker.run(_timed, (function, raw, where), LAST_TRY_SECONDS))
            except BrokenProcessPool:
                if self._second is worker:
                    self._second = None
                worker.discard()
            reason = "does not end" if worker.is_hung else "dies"
            raise MalformedBodyError(raw.platform, f"a body whose decoding {reason}", where=where)


_Done = tuple[float, Result | None, BookmakerError | None]
"""What came of a body, after how many seconds. An error travels as a value: it has no traceback then."""


def _timed(task: tuple[Callable[[Raw], Result], Raw, str]) -> _Done[Result]:
    """What a process does with a body."""
    began = time.perf_counter()
    value, error = None, None
    try:
        value = _guarded(*task)
    except BookmakerError as exc:
        error = exc.bare()
    return time.perf_counter() - began, value, error


def _result(done: _Done[Result]) -> Result:
    _, value, error = done
    if error is not None:
        raise error
    return cast(Result, value)


def _guarded(function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
    """The result, or a BookmakerError that holds nothing of the body, also for one that is too costly to read."""
    try:
        return function(raw)
    except BookmakerError as exc:
        fault = exc.bare()
    except (MemoryError, RecursionError) as exc:
        fault = MalformedBodyError(raw.platform, f"a body too costly to read ({type(exc).__name__})", where=where)
    raise fault


class _Worker:
    """One process, what it has to do in turn, and the deadline of what it does now: waiting in turn costs no time."""

    def __init__(self) -> None:
        self.suspect: object = None
        self.is_hung = False
        self.is_broken = False
        self.reason = "the process was ended"
        self._loop = asyncio.get_running_loop()
        # spawn, because a fork of a process with threads and a running loop may hang.
        self._context = _Spawning()
        self._pool = ProcessPoolExecutor(1, mp_context=self._context, initializer=_start_worker)
        self._under_way: deque[tuple[Future[Any], object, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._starting = asyncio.create_task(self._start(), name="start-decoder")
        # Whoever needs the process gets the error; where nobody does, nobody has to hear of it.
        self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def load(self) -> int:
        """How much it has to do."""
        return self._waiting + len(self._under_way)

    async def started(self) -> None:
        """Returns once the process answers. Raises DecoderError when it does not start."""
        if not self._starting.done():
            await asyncio.wait([self._starting])
        if self._starting.cancelled():
            raise BrokenProcessPool("the process was given up while it started")
        self._starting.result()

    async def run(self, function: Callable[[Argument], Result], argument: Argument, seconds: float) -> Result:
        """The function's result. Raises BrokenProcessPool when the process dies first, or is killed at the deadline."""
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

    async def answer(self) -> None:
        """Returns when the process has done something: what it is at, or nothing at all where it is idle."""
        await self.started()
        future = self._under_way[0][0] if self._under_way else self._submit(_nothing, None, DECODE_SECONDS)
        answered = asyncio.Event()
        future.add_done_callback(lambda _: self._tell(answered.set))
        await answered.wait()
        if self.is_broken:
            raise BrokenProcessPool(self.reason)

    def discard(self) -> None:
        """Let go of a process that is broken; what waited for it is told so."""
        if not self.is_broken:
            self._break("the process died")
        self._starting.cancel()
        self._pool.shutdown(wait=False)

    async def aclose(self) -> None:
        """End the process: at once when it is idle, after CLOSE_SECONDS by force, stopped or not."""
        self.is_broken = True
        self._starting.cancel()
        self._stop_timer()
        ending = asyncio.create_task(asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True))
        done, _ = await asyncio.wait([ending], timeout=CLOSE_SECONDS)
        if not done:
            _warn("decoder.killed", "a process did not end by itself")
            self._kill()
            done, _ = await asyncio.wait([ending], timeout=CLOSE_SECONDS)
        for task in done:
            task.result()

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                future = await asyncio.to_thread(self._pool.submit, _nothing, None)
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
        """Have the loop do something, from the pool's thread; a loop that has ended needs no word."""
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
        """What it was at is what broke it."""
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
        """SIGKILL ends a stopped process too; the pool then tells all that waited that it is broken."""
        for process in self._context.made:
            if process.is_alive():
                process.kill()


class _Spawning(SpawnContext):
    """A way to start processes that remembers them: a pool can end its processes only when they answer."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process, remembered."""
        process = SpawnProcess(*args, **kwargs)
        self.made.append(process)
        return process


def _warn(event: str, reason: str) -> None:
    """Log; the logger is imported here, because the processes need none."""
    import structlog

    structlog.get_logger(__name__).warning(event, reason=reason)


def _nothing(_: None) -> None:
    """What a process does to show that it is there."""


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends: a worker alone would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        import ctypes
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY or most > WORKER_BYTES:
            resource.setrlimit(resource.RLIMIT_AS, (WORKER_BYTES, WORKER_BYTES))
        # The kernel kills a worker that is stopped, or in a loop that lets no thread run.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:
            os._exit(1)
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
