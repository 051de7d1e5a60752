"""A primary of Redis that ends, and a replica that takes its place: level with it, or lacking what was written last."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from quart_odds.broadcast.framing import TEXT_WITH_CURSOR
from tests.broadcast.engines.replicas import Process, processes, until
from tests.broadcast.listeners import RecordingSink
from tests.sentinels import WatchedRedis, watched_redis


@pytest.fixture(scope="module")
def servers() -> Iterator[WatchedRedis]:
    """Return a primary and a replica for the tests of this module, whichever way round."""
    with watched_redis() as watched:
        yield watched


@pytest.fixture(autouse=True)
def both_run_without_a_log(servers: WatchedRedis) -> None:
    """Begin each test with two servers that have nothing, whatever the one before has left."""
    servers.mend()
    with servers.primary.client() as client:
        client.flushall()


async def write_what_the_replica_lacks(servers: WatchedRedis, writer: Process, *others: Process) -> None:
    """Add 1 at both servers, and 2 to 9 at the primary alone. Every process has them."""
    writer.add(1)
    for each in (writer, *others):
        await each.has([1])
    await asyncio.to_thread(servers.level)
    await asyncio.to_thread(servers.let_replica_lag)
    writer.add(*range(2, 10))
    for each in (writer, *others):
        await each.has(list(range(1, 10)))


async def test_a_failover_to_a_level_replica_is_no_gap(servers: WatchedRedis) -> None:
    """The log goes on with the same cursors, and nothing is missing or doubled."""
    async with processes(servers, 2) as (writer, other):
        epoch = writer.tail.epoch
        writer.add(1, 2)
        await other.has([1, 2])
        cursor = other.state.registry.log.cursor_at(other.state.registry.log.next_seq)
        await asyncio.to_thread(servers.fail_over, signal.SIGTERM)
        writer.add(3)
        for each in (writer, other):
            await each.has([1, 2, 3])
            await each.level()
            assert (each.tail.epoch, each.tail.began) == (epoch, 1)
            place = each.state.registry.place(cursor)
            assert place.recovered
            assert [entry.payload for entry in each.state.registry.log.read(place.seq, 1 << 40)] == [b'{"n":3}']


async def test_a_failover_to_a_replica_that_lags_is_a_new_epoch_for_everyone(servers: WatchedRedis) -> None:
    """Nobody begins the old epoch again: its numbers after those of the replica stay what they were."""
    async with processes(servers, 2) as (writer, other):
        await write_what_the_replica_lacks(servers, writer, other)
        epoch, log = other.tail.epoch, other.state.registry.log
        cursors = [log.cursor_at(seq) for seq in range(1, log.next_seq + 1)]
        sink = RecordingSink()
        other.state.registry.connect(sink, TEXT_WITH_CURSOR)
        begun: list[str] = []
        begin = other.state.begin
        other.state.begin = lambda epoch, *more: (begun.append(epoch), begin(epoch, *more))[1]  # type: ignore[func-returns-value, method-assign]
        await asyncio.to_thread(servers.fail_over)
        writer.add(10)
        for each in (writer, other):
            await each.has(list(range(1, 11)))
            await each.level()
        assert begun == [writer.tail.epoch]
        assert begun != [epoch]
        assert not any(other.state.registry.place(each).recovered for each in cursors)
        await until(lambda: sink.received.count(b'"gap"') == 1)
        assert sink.received.count(b'"n":2}') == 0


async def test_a_writer_that_begins_after_a_failover_begins_a_new_epoch(servers: WatchedRedis) -> None:
    """It cannot know what others have read of the end of the log, which went down with the former writer."""
    async with processes(servers, 3) as (former, later, other):
        await write_what_the_replica_lacks(servers, former, later, other)
        epoch = other.tail.epoch
        former.publisher.end()
        await asyncio.to_thread(servers.fail_over)
        later.written = list(later.state.numbers)
        later.publisher.begin(2)
        await until(lambda: later.begun == [True])
        later.add(*range(10, 30))  # more than were lost
        for each in (later, other):
            await each.has(list(range(1, 30)))
            await each.level()
            assert each.tail.epoch != epoch


async def test_a_writer_whose_term_went_down_with_the_primary_is_not_refused(servers: WatchedRedis) -> None:
    """Its term is later than the one that the replica knows, so nobody else can be the writer."""
    async with processes(servers, 2) as (former, later):
        former.add(1)
        await later.has([1])
        await asyncio.to_thread(servers.level)
        await asyncio.to_thread(servers.let_replica_lag)
        former.publisher.end()
        later.written = list(later.state.numbers)
        later.publisher.begin(2)
        await until(lambda: later.begun == [False])
        await asyncio.to_thread(servers.fail_over)
        later.add(2)
        for each in (former, later):
            await each.has([1, 2])
            await each.level()
        assert later.refused == 0
        assert later.begun == [False, True]


async def test_a_log_that_lacks_entries_is_told_as_that(servers: WatchedRedis) -> None:
    """While no writer says what became of them, a process keeps what it has, and knows that it is not level."""
    async with processes(servers, 2) as (writer, other):
        await write_what_the_replica_lacks(servers, writer, other)
        writer.publisher.end()
        await asyncio.to_thread(servers.fail_over)
        await until(lambda: "lacks entries" in str(other.tail.reason))
        assert other.state.numbers == list(range(1, 10))
        assert other.tail.began == 1


async def test_a_writer_that_is_silent_is_not_taken_for_a_redis_that_is(servers: WatchedRedis) -> None:
    """Redis answers, and the reason says so."""
    async with processes(servers, 2, silence_seconds=0.5) as (writer, other):
        writer.publisher.end()
        await until(lambda: other.tail.reason is not None)
        assert other.tail.reason == "the writer is silent"
