"""Decoding outside the event loop: a pool of processes that parse the bodies of events and lists under a deadline.

A full body takes several milliseconds of computation. In the server's own loop, a scrape would delay every listener.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from quart_odds import tracing
from quart_odds.bookmakers import lists
from quart_odds.bookmakers.bodies import RawBody
from quart_odds.bookmakers.decoding import decode, guarded, timed, unwrap
from quart_odds.bookmakers.lists import RawList
from quart_odds.bookmakers.site import Listings, Page
from quart_odds.bookmakers.turns import Turns
from quart_odds.bookmakers.worker import ProcessEndedError, Worker, warn
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import DecoderError, MalformedBodyError

DECODE_SECONDS = 3.0
"""The deadline of the first attempt; a body normally takes milliseconds. A slower process is replaced."""

LAST_TRY_SECONDS = 15.0
"""The deadline of the second attempt, which runs alone. A body that takes longer is considered endless."""

ANSWER_SECONDS = 2.0
"""`check` reports a process that does not answer within this time."""

PLACES_PER_PROCESS = 4
"""Bodies handed to one process at a time. The loop takes longer to hand over the next one than a small body takes."""

Result = TypeVar("Result")
Raw = TypeVar("Raw", RawBody, RawList)


class Decoder:
    """Decodes events and parses lists in `workers` processes, or in the event loop if `workers` is 0.

    A process that dies or hangs is replaced. The body that it was working on is tried again alone, so only bodies that
    really kill or block a process fail. Bodies queued behind it go to the new process. Bookmakers share the processes
    by time used, and so do the lists and the events of each: those that take long delay only their own kind.

    `concurrency` is how many requests a bookmaker may get at once. One that may get few gets more of the time: each of
    its bodies holds up a request, where others have many fetched ahead.
    """

    def __init__(self, workers: int, concurrency: Callable[[Platform], int] = lambda _: 1) -> None:
        self._size = workers
        self._concurrency = concurrency
        self._turns = Turns(PLACES_PER_PROCESS * workers)
        self._workers: list[Worker] = []
        self._second: Worker | None = None
        self._one_by_one = asyncio.Lock()
        self._is_closed = False

    @property
    def pending(self) -> int:
        """The number of bodies and lists that wait for a process or are in one."""
        return self._turns.count

    async def warm(self) -> None:
        """Start the processes in advance. Otherwise the first run would wait half a second for each.

        A process that fails to start is logged and reported by `check`. The first body tries to start it again.
        """
        for worker in self._all() if self._size else ():
            try:
                await worker.started()
            except DecoderError as error:
                warn("decoder.not_started", str(error))

    async def decode(self, raw: RawBody) -> MappedEvent:
        """Decode an event, see `decoding.decode`.

        Also raises MalformedBodyError for a body that kills the process or never finishes, and DecoderError if no
        process can be started or the decoder is closed.
        """
        return await self._do(decode, raw, f"event {raw.header.external_id}")

    async def read_root(self, raw: RawList) -> Listings:
        """Parse a list of competitions, see `lists.read_root`. Raises the same errors as `decode`."""
        return await self._do(lists.read_root, raw, raw.where)

    async def read_page(self, raw: RawList) -> Page:
        """Parse a page of events, see `lists.read_page`. Raises the same errors as `decode`."""
        return await self._do(lists.read_page, raw, raw.where)

    async def check(self) -> None:
        """Raise DecoderError if a process does not start, or has not answered within ANSWER_SECONDS."""
        if not self._size or self._is_closed:
            return
        await asyncio.gather(*(self._check(worker) for worker in self._all()))

    async def aclose(self) -> None:
        """Stop the processes, by force if necessary. Unfinished work is abandoned."""
        self._is_closed = True
        self._turns.open_all()
        workers = [*self._workers, *([self._second] if self._second else [])]
        self._workers, self._second = [], None
        await asyncio.gather(*(worker.aclose() for worker in workers))

    def _all(self) -> list[Worker]:
        """Return all processes after starting missing ones. Raises DecoderError once closed."""
        if self._is_closed:
            raise DecoderError("the decoder is closed")
        for worker in [each for each in self._workers if each.is_broken]:
            self._replace(worker)
        while len(self._workers) < self._size:
            self._workers.append(Worker())
        return self._workers

    def _replace(self, worker: Worker) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            worker.discard()
            warn("decoder.replaced", worker.reason)

    async def _check(self, worker: Worker) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await worker.answer(DECODE_SECONDS)
        except TimeoutError:
            raise DecoderError(f"a decoding process has not answered for {ANSWER_SECONDS:g} s") from None
        except ProcessEndedError:
            self._replace(worker)
            raise DecoderError("a decoding process died; it is being replaced") from None

    async def _do(self, function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
        if not self._size:
            return guarded(function, raw, where)
        # Bodies do not wait for the lists of their bookmaker, which take many times as long. Otherwise nothing would be
        # fetched before all its lists are read.
        user = raw.platform, type(raw)
        while True:
            async with self._turns.turn(user):
                worker = min(self._all(), key=lambda each: each.load)
                began = time.monotonic()
                try:
                    done = await worker.run(timed, (function, raw, where), DECODE_SECONDS)
                except ProcessEndedError:
                    self._use(user, time.monotonic() - began)
                    self._replace(worker)
                    if worker.suspect is not raw:
                        continue
                else:
                    self._use(user, done[0])
                    # The process has no collector of its own. It tells how long it worked.
                    tracing.add_span("decode.process", done[0])
                    return unwrap(done)
            return await self._do_again(function, raw, where)

    def _use(self, user: tuple[Platform, type], seconds: float) -> None:
        self._turns.use(user, seconds * self._concurrency(user[0]))

    async def _do_again(self, function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
        async with self._one_by_one:
            if self._is_closed:
                raise DecoderError("the decoder is closed")
            if self._second is None or self._second.is_broken:
                self._second = Worker()
            worker = self._second
            try:
                return unwrap(await worker.run(timed, (function, raw, where), LAST_TRY_SECONDS))
            except ProcessEndedError:
                if self._second is worker:
                    self._second = None
                worker.discard()
            reason = "does not end" if worker.is_hung else "dies"
            raise MalformedBodyError(raw.platform, f"a body whose decoding {reason}", where=where)
