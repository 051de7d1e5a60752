"""Decoding off the loop: processes that read raw bodies, of events and of lists, each body within a deadline.

A full body costs some milliseconds of pure computing; in the server's own loop a scrape would delay every listener.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from quart_odds.bookmakers import lists
from quart_odds.bookmakers.bodies import RawBody
from quart_odds.bookmakers.decoding import decode, guarded, timed, unwrap
from quart_odds.bookmakers.lists import RawList
from quart_odds.bookmakers.sites import Listings, Page
from quart_odds.bookmakers.turns import Turns
from quart_odds.bookmakers.worker import Worker, warn
from quart_odds.domain.odds import MappedEvent
from quart_odds.errors import DecoderError, MalformedBodyError

DECODE_SECONDS = 3.0
"""A body takes milliseconds. A process that takes so long for one is replaced, and the body is tried once more."""

LAST_TRY_SECONDS = 15.0
"""How long the second try has, which nothing else can delay: what takes longer is taken to be endless."""

ANSWER_SECONDS = 2.0
"""A process that has not answered for so long is reported by `check`."""

PLACES_PER_PROCESS = 2
"""Bodies that are with one process: the next one is there when it has done one."""

Result = TypeVar("Result")
Raw = TypeVar("Raw", RawBody, RawList)


class Decoder:
    """`decode`, and the reading of lists, in `workers` processes, or in the loop where there are none.

    A process that dies or hangs is replaced. The body that it was busy with is tried once more, alone, so that only a
    body that kills or stops processes fails; those that waited behind it go to the new process. Bookmakers share the
    processes by time, so that one whose bodies take long delays its own.
    """

    def __init__(self, workers: int) -> None:
        self._size = workers
        self._turns = Turns(PLACES_PER_PROCESS * workers)
        self._workers: list[Worker] = []
        self._second: Worker | None = None
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
                warn("decoder.not_started", str(error))

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

    def _all(self) -> list[Worker]:
        """The processes, those that lack started now. Raises DecoderError once closed."""
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
        except BrokenProcessPool:
            self._replace(worker)
            raise DecoderError("a decoding process died; it is being replaced") from None

    async def _do(self, function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
        if not self._size:
            return guarded(function, raw, where)
        while True:
            async with self._turns.turn(raw.platform):
                worker = min(self._all(), key=lambda each: each.load)
                began = time.monotonic()
                try:
                    done = await worker.run(timed, (function, raw, where), DECODE_SECONDS)
                except BrokenProcessPool:
                    self._turns.use(raw.platform, time.monotonic() - began)
                    self._replace(worker)
                    if worker.suspect is not raw:
                        continue
                else:
                    self._turns.use(raw.platform, done[0])
                    return unwrap(done)
            return await self._do_again(function, raw, where)

    async def _do_again(self, function: Callable[[Raw], Result], raw: Raw, where: str) -> Result:
        async with self._one_by_one:
            if self._is_closed:
                raise DecoderError("the decoder is closed")
            if self._second is None or self._second.is_broken:
                self._second = Worker()
            worker = self._second
            try:
                return unwrap(await worker.run(timed, (function, raw, where), LAST_TRY_SECONDS))
            except BrokenProcessPool:
                if self._second is worker:
                    self._second = None
                worker.discard()
            reason = "does not end" if worker.is_hung else "dies"
            raise MalformedBodyError(raw.platform, f"a body whose decoding {reason}", where=where)
