"""The logs of runs in Redis, one stream each, so that every process can serve the progress of every run.

The process that scrapes appends each progress with the number that it has in the run's own log. Any other process reads
the stream into a log of its own, with the same cursors, when somebody first asks. A stream expires an hour after the
end of its run.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from quart_odds.broadcast import Entry
from quart_odds.broadcast.engines import LogKeys
from quart_odds.broadcast.engines.clients import disconnect, end_tasks, no_answer, words_of
from quart_odds.domain.runs import RunMode
from quart_odds.errors import ReplicationError
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.schemas import ScrapeProgress

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEEP_SECONDS = 3600
"""How long the stream of a run stays after its end, or after the last progress if its process died."""

MAX_WAITING = 20_000
"""Progress that may wait for Redis. If more comes, the oldest is dropped: readers notice the missing numbers."""

BATCH = 200
RETRY_SECONDS = 0.5
BLOCK_MS = 1000
OPEN_SECONDS = 2.0
"""How long it may take to find a run's stream."""

CLOSE_SECONDS = 1.0

APPEND = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local seq, epoch = tonumber(ARGV[1]), ARGV[2]
if last then
    local had = {}
    for at = 1, #last[2], 2 do
        had[last[2][at]] = last[2][at + 1]
    end
    local newest = tonumber(string.match(last[1], '%d+'))
    if had.x == '1' or (had.e == epoch and seq <= newest) then
        return 0
    end
    if had.e ~= epoch then
        seq, epoch = newest + 1, had.e
    end
end
redis.call('XADD', KEYS[1], string.format('%.0f-0', seq), 'e', epoch, 'm', ARGV[3], 'p', ARGV[4], 'x', ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[6])
return 1
"""
"""Append progress. Key: the run's stream. Arguments: number, epoch, mode, JSON, whether it ends, seconds to keep.

Changes nothing if the number is there already, because an earlier attempt has arrived and only its answer was lost, or
if the run has ended. Another process that ends the run of a dead one goes on with the numbers of that one.
"""

log = structlog.get_logger(__name__)

MakeBroadcaster = Callable[[int, RunMode, str], ProgressBroadcaster]
"""Makes a broadcaster from the run's id, its mode, and the epoch of its log."""


@dataclass(frozen=True, slots=True)
class _Progress:
    run_id: int
    seq: int
    epoch: str
    mode: RunMode
    payload: bytes
    ends: bool


class RunLogs:
    """Writes the logs of this process's runs, and reads those of others."""

    def __init__(self, connect: Callable[[], "Redis"], keys: LogKeys, make: MakeBroadcaster) -> None:
        self.dropped = 0
        self._connect = connect
        self._keys = keys
        self._make = make
        self._waiting: deque[_Progress] = deque()
        self._news = asyncio.Event()
        self._is_closing = False
        self._writing: asyncio.Task[None] | None = None
        self._reading: dict[int, asyncio.Task[None]] = {}
        self._opening: dict[int, asyncio.Future[ProgressBroadcaster | None]] = {}

    def mirror(self, broadcaster: ProgressBroadcaster) -> None:
        """Append to Redis whatever a broadcaster publishes from now on. Never waits."""
        run_id, mode = broadcaster.scrape_run_id, broadcaster.mode
        epoch = broadcaster.log.epoch.rpartition("-")[2]

        def append(entry: Entry, ends: bool) -> None:
            self._waiting.append(_Progress(run_id, entry.seq, epoch, mode, entry.payload, ends))
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._news.set()

        broadcaster.on_publish = append
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="run-logs")

    async def open(self, run_id: int) -> ProgressBroadcaster | None:
        """Return a broadcaster that follows the run's stream; None if there is none.

        Raises ReplicationError if Redis does not answer in time.
        """
        opening = self._opening.get(run_id)
        if opening is None:
            opening = self._opening[run_id] = asyncio.ensure_future(self._open(run_id))
            opening.add_done_callback(lambda _: self._opening.pop(run_id, None))
        return await asyncio.shield(opening)

    async def close(self) -> None:
        """Stop. Redis has a moment to take what waits, if anything does."""
        self._is_closing = True
        self._news.set()
        if self._waiting and self._writing is not None:
            await asyncio.wait([self._writing], timeout=CLOSE_SECONDS)
        await end_tasks(self._writing, *self._reading.values())

    async def _write(self) -> None:
        """Append what waits, until the end. Once closing, end when nothing waits."""
        client: Any = None
        try:
            while self._waiting or not self._is_closing:
                if not self._waiting:
                    self._news.clear()
                    await self._news.wait()
                    continue
                batch = [self._waiting[place] for place in range(min(BATCH, len(self._waiting)))]
                try:
                    client = client or self._connect()
                    await self._append(client, batch)
                except Exception as error:
                    # redis-py raises more than its own errors when a peer has closed: TypeError, AttributeError.
                    log.debug("run_logs.waits", reason=words_of(error))
                    await disconnect(client)
                    client = None
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for each in batch:
                    if self._waiting and self._waiting[0] is each:
                        self._waiting.popleft()
        finally:
            await disconnect(client)

    async def _append(self, client: Any, batch: list[_Progress]) -> None:
        async with client.pipeline(transaction=False) as pipeline:
            for each in batch:
                arguments = [each.seq, each.epoch, str(each.mode), each.payload, int(each.ends), KEEP_SECONDS]
                pipeline.eval(APPEND, 1, self._keys.run(each.run_id), *arguments)
            await pipeline.execute()

    async def _open(self, run_id: int) -> ProgressBroadcaster | None:
        client: Any = self._connect()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                entries = await client.xrange(self._keys.run(run_id))
        except Exception as error:
            await disconnect(client)
            raise ReplicationError(no_answer(error)) from error
        if not entries:
            await disconnect(client)
            return None
        first = entries[0][1]
        broadcaster = self._make(run_id, RunMode(first[b"m"].decode()), first[b"e"].decode())
        for entry_id, fields in entries:
            _take(broadcaster, entry_id, fields)
        if broadcaster.is_completed:
            await disconnect(client)
        else:
            task = asyncio.create_task(self._read(client, broadcaster, entries[-1][0]), name=f"run-log-{run_id}")
            self._reading[run_id] = task
            task.add_done_callback(lambda _: self._reading.pop(run_id, None))
        return broadcaster

    async def _read(self, client: Any, broadcaster: ProgressBroadcaster, last: bytes) -> None:
        key = self._keys.run(broadcaster.scrape_run_id)
        try:
            while not broadcaster.is_completed:
                try:
                    client = client or self._connect()
                    answer = await client.xread({key: last}, count=BATCH, block=BLOCK_MS)
                    entries = answer[0][1] if answer else await client.xrevrange(key, count=1)
                    if not entries:
                        log.warning("run_logs.gone", scrape_run_id=broadcaster.scrape_run_id)
                        broadcaster.close()
                        return
                except Exception as error:
                    log.debug("run_logs.waits", reason=words_of(error))
                    await disconnect(client)
                    client = None
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if not answer and not _is_end_before(entries[0], last):
                    continue
                for entry_id, fields in entries:
                    last = entry_id
                    _take(broadcaster, entry_id, fields)
        except ReplicationError as error:
            log.warning("run_logs.unreadable", scrape_run_id=broadcaster.scrape_run_id, reason=str(error))
            broadcaster.close()
        finally:
            await disconnect(client)


def _is_end_before(entry: tuple[bytes, dict[bytes, bytes]], last: bytes) -> bool:
    """Return whether an entry is the end of its run, though it has a lower number than the last one that was read.

    Redis has lost entries, and another process has ended the run after those that were left.
    """
    entry_id, fields = entry
    return fields.get(b"x") == b"1" and _seq(entry_id) < _seq(last)


def _seq(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


def _take(broadcaster: ProgressBroadcaster, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    """Publish an entry of the stream. Raises ReplicationError if it is none."""
    try:
        progress = ScrapeProgress.model_validate_json(fields[b"p"])
        seq = _seq(entry_id)
    except (KeyError, ValueError, ValidationError) as error:
        raise ReplicationError(f"the log of a run has an entry that cannot be read: {error!r}") from error
    broadcaster.publish_at(seq, progress)
