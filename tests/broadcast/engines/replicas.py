"""Processes that share a log, each in miniature: a registry, and a state to which every operation adds a number."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from redis.asyncio import Redis

from quart_odds.broadcast import SCRAPE_PROGRESS, BroadcastRegistry
from quart_odds.broadcast.engines import OPERATION, LogKeys, LogTail, Record, StreamPublisher
from quart_odds.broadcast.engines.publisher import reload_record
from quart_odds.broadcast.engines.records import RetainedRecord
from quart_odds.broadcast.engines.snapshots import SnapshotOffice
from quart_odds.cluster import open_redis
from quart_odds.errors import ReplicationError
from quart_odds.websocket import gap_notice
from tests.redis_servers import TestRedis
from tests.sentinels import WatchedRedis

KEYS = LogKeys("test")
WAIT_SECONDS = 20.0


@dataclass
class Sum:
    """The state: the numbers that were added, and a registry whose log has a message for each."""

    registry: BroadcastRegistry = field(default_factory=lambda: BroadcastRegistry(gap_notice=gap_notice))
    numbers: list[int] = field(default_factory=list)
    replaced_count: int = 0

    async def decode(self, snapshot: bytes) -> object:
        """Return what a snapshot has."""
        return orjson.loads(snapshot)

    def restore(self, decoded: object) -> None:
        """Replace the state."""
        assert isinstance(decoded, list)
        self.numbers = decoded

    def begin(self, epoch: str, next_seq: int, retained: Sequence[RetainedRecord], earlier: Sequence[Record]) -> None:
        """Begin the local log."""
        self.registry.begin_anew(epoch, next_seq, retained, earlier)

    def message(self, seq: int, record: Record) -> None:
        """Deliver a message."""
        assert seq == self.registry.log.next_seq
        self.registry.deliver(record.payload, record.topic, name=record.name, retain=record.retain, ends=record.ends)

    def operation(self, record: Record) -> int:
        """Add numbers. Each makes an entry."""
        try:
            added = orjson.loads(record.payload)
        except orjson.JSONDecodeError as error:
            raise ReplicationError(str(error)) from error
        for number in added:
            self.numbers.append(number)
            self.registry.deliver(b'{"n":%d}' % number, SCRAPE_PROGRESS, name="added")
        return len(added)

    def skip(self, count: int) -> None:
        """Add entries for nobody."""
        self.registry.log.skip(count)

    def replaced(self) -> None:
        """Count."""
        self.replaced_count += 1


class Process:
    """A process with a tail, and a publisher that `write` opens."""

    def __init__(self, url: str, *, max_waiting_bytes: int = 1 << 20, silence_seconds: float = 4.0) -> None:
        self.state = Sum()
        self.written: list[int] = []
        """The state on the writing side."""
        self.refused = 0
        self.begun: list[bool] = []

        def connect() -> Redis:
            return open_redis(url, answer_seconds=3.0)

        self.tail = LogTail(connect, KEYS, self.state, silence_seconds=silence_seconds)
        self.publisher = StreamPublisher(
            connect,
            KEYS,
            on_begin=self._on_begin,
            on_refused=lambda _: self._on_refused(),
            on_wanted=lambda: self.office.wanted(),
            max_waiting_bytes=max_waiting_bytes,
        )
        self.office = SnapshotOffice(connect, KEYS, self.publisher, lambda: self._snapshot(list(self.written)))

    @staticmethod
    def _snapshot(numbers: list[int]) -> Callable[[], bytes]:
        return lambda: orjson.dumps(numbers)

    def _on_begin(self, is_new: bool) -> None:
        self.begun.append(is_new)
        self.publisher.append(reload_record())

    def _on_refused(self) -> None:
        self.refused += 1

    def add(self, *numbers: int) -> None:
        """Change the state, as the writer does."""
        self.written += numbers
        self.publisher.append(Record(OPERATION, len(numbers), orjson.dumps(numbers)))

    async def level(self) -> None:
        """Wait until this process has everything."""
        await until(lambda: self.tail.is_level)

    async def has(self, numbers: list[int]) -> None:
        """Wait until the state is this."""
        await until(lambda: self.state.numbers == numbers)

    async def close(self) -> None:
        """End it."""
        await self.publisher.close()
        await self.office.close()
        await self.tail.close()
        self.state.registry.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def processes(redis: TestRedis | WatchedRedis, count: int, **options: float) -> AsyncIterator[list[Process]]:
    """Run processes. The first one writes, in term 1."""
    opened = [Process(redis.url, **options) for _ in range(count)]  # type: ignore[arg-type]
    try:
        opened[0].publisher.begin(1)
        for each in opened:
            each.tail.open()
        for each in opened:
            await each.level()
        yield opened
    finally:
        for each in opened:
            await each.close()
