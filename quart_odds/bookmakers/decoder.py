"""Decoding off the loop: a process pool that turns raw bodies into mapped events.

A full body costs some milliseconds of pure computing; in the server's own loop a scrape would delay every listener.
"""

import asyncio
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.bookmakers.bodies import RawBody, decompress
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError

_PARSERS = {
    Platform.BETPAWA: betpawa.parse_event,
    Platform.SPORTYBET: sportybet.parse_event,
    Platform.BET9JA: bet9ja.parse_event,
}


def decode(raw: RawBody) -> MappedEvent:
    """A raw body as prices: pure, and the same in any process. Raises BookmakerError naming the event, nothing else."""
    where = f"event {raw.header.external_id}"
    plain = decompress(raw.platform, raw.content, raw.content_encoding, raw.max_bytes, where)
    return _PARSERS[raw.platform](plain, raw.header)


class Decoder:
    """`decode` in `workers` processes, or in the loop where there are none.

    A process that dies takes all bodies under way with it; each of those is tried once more, by itself, so that only
    the one that kills processes fails.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._second: ProcessPoolExecutor | None = None
        self._one_by_one = asyncio.Lock()

    async def warm(self) -> None:
        """Start the processes now, off the loop: starting one takes half a second, which the first run would wait."""
        if self._workers:
            pool = self._pool = self._pool or _pool(self._workers)
            await asyncio.to_thread(lambda: pool.submit(os.getpid).result())

    async def decode(self, raw: RawBody) -> MappedEvent:
        """See `decode`. Also raises MalformedBodyError for a body whose decoding kills its process."""
        if not self._workers:
            return decode(raw)
        if self._pool is None:
            self._pool = _pool(self._workers)
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, decode, raw)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False)
        return await self._decode_again(raw)

    async def aclose(self) -> None:
        """End the processes; what they still had to do is given up."""
        pools, self._pool, self._second = (self._pool, self._second), None, None
        for pool in filter(None, pools):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    async def _decode_again(self, raw: RawBody) -> MappedEvent:
        async with self._one_by_one:
            if self._second is None:
                self._second = _pool(1)
            pool = self._second
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, decode, raw)
            except BrokenProcessPool as exc:
                self._second = None
                pool.shutdown(wait=False)
                where = f"event {raw.header.external_id}"
                raise MalformedBodyError(raw.platform, "a body whose decoding dies", where=where) from exc


def _pool(workers: int) -> ProcessPoolExecutor:
    # spawn, because a fork of a process with threads and a running loop may hang.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it even when it is killed: a worker alone would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if (parent := parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
