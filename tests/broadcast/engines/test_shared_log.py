"""Several processes on one log in a real Redis."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from quart_odds.broadcast import SCRAPE_PROGRESS, TOPICS
from quart_odds.broadcast.engines import MESSAGE, OPERATION, Record
from quart_odds.broadcast.engines.clients import end_tasks
from quart_odds.broadcast.engines.records import RetainedRecord
from quart_odds.broadcast.event_log import ResumePosition
from quart_odds.broadcast.framing import TEXT_WITH_CURSOR
from quart_odds.broadcast.selection import select
from quart_odds.cluster import open_redis
from quart_odds.websocket.odds_filter import make_filter
from tests.broadcast.engines.replicas import KEYS, WAIT_SECONDS, Process, processes, until
from tests.broadcast.listeners import RecordingSink
from tests.redis_servers import TestRedis, running_redis


@pytest.fixture
def redis() -> Iterator[TestRedis]:
    """A Redis server of the test's own."""
    with running_redis() as server:
        yield server


def entries(process: Process) -> list[tuple[str, bytes]]:
    """Return the entries of a process's log, with their cursors."""
    log = process.state.registry.log
    return [(each.cursor.decode(), each.payload) for each in log.read(0, log.next_seq)]


async def test_every_process_has_the_same_entries_with_the_same_cursors(redis: TestRedis) -> None:
    """Messages, operations that make several entries, and operations that make none."""
    async with processes(redis, 3) as (writer, *others):
        for number in range(300):
            writer.add(*range(number % 4))
            if number % 10 == 0:
                writer.state.registry.append_elsewhere = writer.publisher.append
                writer.state.registry.broadcast({"type": "scrape_progress", "n": number}, SCRAPE_PROGRESS)
        for each in (writer, *others):
            await each.has(writer.written)
        first, *rest = [entries(each)[-400:] for each in (writer, *others)]
        assert len(first) == 400
        assert all(each == first for each in rest)


async def test_a_process_that_joins_late_gets_the_state_and_the_retained_messages(redis: TestRedis) -> None:
    """A snapshot, and then the log."""
    async with processes(redis, 1) as (writer,):
        writer.state.registry.append_elsewhere = writer.publisher.append
        writer.add(1, 2, 3)
        for platform in ("a", "b", "a"):
            writer.state.registry.broadcast(
                {"type": "scrape_progress", "platform": platform}, SCRAPE_PROGRESS, retain=(7, platform)
            )
        await writer.has([1, 2, 3])
        async with joined(redis) as late:
            writer.add(4)
            await late.has([1, 2, 3, 4])
            there, here = (
                [(each.seq, each.payload) for each in process.state.registry.log.latest()] for process in (writer, late)
            )
            assert here == there
            assert len(here) == 2
            assert entries(late)[-1] == entries(writer)[-1]


async def test_a_process_that_joins_late_has_the_messages_from_before(redis: TestRedis) -> None:
    """A listener that comes from another process resumes with the next message. Only what the odds were is unknown."""
    async with processes(redis, 1) as (writer,):
        for run_id in range(1, 4):
            writer.publisher.append(end_of(run_id))
        await until(lambda: entries(writer)[-1:] != [] and entries(writer)[-1][1] == end_of(3).payload)
        writer.add(1, 2, 3)
        await writer.has([1, 2, 3])
        async with joined(redis) as late:
            log = late.state.registry.log
            told = [(cursor, payload) for cursor, payload in entries(writer) if b"run" in payload]
            assert [each for each in entries(late) if each[1]] == told
            assert (log.first_seq, log.next_seq) == (1, writer.state.registry.log.next_seq)
            [first, *_] = told
            assert log.place(first[0]) == ResumePosition(int(first[0].rpartition("-")[2]) + 1)
            odds = select(frozenset(TOPICS), make_filter())
            assert not log.place(first[0], odds).recovered
            assert log.place(log.cursor_at(log.next_seq), odds).recovered
            assert [each.payload for _, each, _ in log.retained()] == [payload for _, payload in told]


async def test_a_process_that_joins_late_has_what_the_stream_still_has(redis: TestRedis) -> None:
    """From the last entry on that is missing. What was retained before is known all the same."""
    async with processes(redis, 1) as (writer,), aclosing(open_redis(redis.url)) as client:
        for run_id in range(1, 6):
            writer.publisher.append(end_of(run_id))
        await until(lambda: entries(writer)[-1:] != [] and entries(writer)[-1][1] == end_of(5).payload)
        stream = KEYS.stream(str(writer.tail.epoch))
        found: Any = await client.xrange(stream)
        ids = [entry_id for entry_id, fields in found if fields[b"k"] == MESSAGE]
        await client.xdel(stream, ids[2])
        async with joined(redis) as late:
            log = late.state.registry.log
            assert [payload for _, payload in entries(late) if payload] == [end_of(4).payload, end_of(5).payload]
            assert log.first_seq == _seq(ids[3])
            assert log.place(log.cursor_at(_seq(ids[2]))).missed is None
            assert len(log.retained()) == 5


async def test_a_process_that_joins_late_begins_after_what_it_cannot_read(redis: TestRedis) -> None:
    """As a process of another version may have written it. It is no reason not to join."""
    async with processes(redis, 1) as (writer,):
        writer.publisher.append(end_of(1))
        writer.publisher.append(Record(b"?", 1))
        writer.publisher.append(end_of(2))
        await until(lambda: any(payload == end_of(2).payload for _, payload in entries(writer)))
        async with joined(redis) as late:
            assert [payload for _, payload in entries(late) if payload] == [end_of(2).payload]
            assert late.state.registry.log.next_seq == writer.state.registry.log.next_seq


def _seq(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


@asynccontextmanager
async def joined(redis: TestRedis) -> AsyncIterator[Process]:
    """Run a process that joins with a new snapshot, and is level."""
    async with aclosing(open_redis(redis.url)) as client:
        await client.delete(KEYS.snapshot)
    process = Process(redis.url)
    process.tail.open()
    try:
        await process.level()
        yield process
    finally:
        await process.close()


async def test_a_listener_that_moves_to_another_process_resumes_exactly(redis: TestRedis) -> None:
    """Its cursor is good there."""
    async with processes(redis, 2) as (writer, other):
        sink = RecordingSink()
        listener = writer.state.registry.connect(sink, TEXT_WITH_CURSOR)
        writer.add(1, 2)
        await writer.has([1, 2])
        await until(lambda: listener.cursor == writer.state.registry.log.next_seq)
        cursor = listener.position
        writer.state.registry.disconnect(listener)
        writer.add(3)
        await other.has([1, 2, 3])
        place = other.state.registry.place(cursor)
        assert place.recovered
        assert [each.payload for each in other.state.registry.log.read(place.seq, 1 << 40)] == [b'{"n":3}']


async def test_a_listener_waits_at_a_process_that_is_behind_the_one_it_comes_from(redis: TestRedis) -> None:
    """It would get again what it has. Cursors that are not ahead wait for nothing."""
    async with processes(redis, 2) as (writer, other):
        writer.add(1)
        await other.has([1])
        cursor = other.state.registry.log.cursor_at(other.state.registry.log.next_seq)
        await other.tail.close()
        writer.add(2)
        await writer.has([1, 2])
        ahead = writer.state.registry.log.cursor_at(writer.state.registry.log.next_seq)
        assert not other.state.registry.place(ahead).recovered
        for each in (cursor, "another-5", "none"):
            async with asyncio.timeout(WAIT_SECONDS):
                await other.tail.reach(each)
        waiting = asyncio.create_task(other.tail.reach(ahead))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        other.tail.open()
        async with asyncio.timeout(WAIT_SECONDS):
            await waiting
        assert other.state.registry.place(ahead).recovered


async def test_what_is_published_while_redis_is_away_arrives_once(redis: TestRedis) -> None:
    """Stopped and continued: nobody sees a new epoch, and nothing is missing or doubled."""
    async with processes(redis, 2, silence_seconds=1.5) as (writer, other):
        epoch = other.tail.epoch
        os.kill(redis.pid, signal.SIGSTOP)
        for number in range(50):
            writer.add(number)
        await until(lambda: other.tail.reason is not None and writer.publisher.failure is not None)
        writer.add(50)
        os.kill(redis.pid, signal.SIGCONT)
        await other.has(list(range(51)))
        await writer.has(list(range(51)))
        await other.level()
        assert other.tail.epoch == epoch
        assert entries(other)[-51:] == entries(writer)[-51:]


async def test_a_redis_that_lost_everything_is_a_new_epoch_for_everyone(redis: TestRedis) -> None:
    """The state is whole, cursors from before are a gap, and listeners that stayed are told."""
    async with processes(redis, 2) as (writer, other):
        writer.add(1, 2)
        await other.has([1, 2])
        epoch, cursor = other.tail.epoch, other.state.registry.log.cursor_at(2)
        sink = RecordingSink()
        other.state.registry.connect(sink, TEXT_WITH_CURSOR)
        redis.kill()
        await until(lambda: other.tail.reason is not None)
        writer.add(3)
        redis.start()
        await other.has([1, 2, 3])
        await writer.has([1, 2, 3])
        await other.level()
        assert other.tail.epoch != epoch
        assert other.tail.epoch == writer.tail.epoch
        assert not other.state.registry.place(cursor).recovered
        await until(lambda: b'"gap"' in sink.received)
        writer.add(4)
        await until(lambda: b'"n":4' in sink.received)


async def test_too_much_for_the_wait_is_a_new_epoch(redis: TestRedis) -> None:
    """What was dropped is in the state, and nobody is left to think that nothing is missing."""
    async with processes(redis, 2, max_waiting_bytes=10_000, silence_seconds=1.5) as (writer, other):
        epoch = other.tail.epoch
        os.kill(redis.pid, signal.SIGSTOP)
        for number in range(500):
            writer.add(number)
        assert writer.publisher.dropped > 0
        os.kill(redis.pid, signal.SIGCONT)
        await other.has(list(range(500)))
        await other.level()
        assert other.tail.epoch != epoch


def end_of(run_id: int) -> Record:
    """The message that a run has ended."""
    return Record(MESSAGE, 1, b'{"run":%d}' % run_id, SCRAPE_PROGRESS, "scrape_progress", (str(run_id), ""), True)


async def test_the_newest_state_goes_to_a_redis_that_lost_it_or_never_had_it(redis: TestRedis) -> None:
    """In order, and an end is the last that is told of its run."""
    async with processes(redis, 2) as (writer, other):
        began, ended = replace(end_of(1), payload=b'{"run":1,"began":1}', ends=False), end_of(1)
        writer.publisher.append(began)
        await until(lambda: len(other.state.registry.log.latest()) == 1)
        redis.kill()
        await until(lambda: other.tail.reason is not None)
        for each in (end_of(2), ended, began):
            writer.publisher.append(each)
        redis.start()
        await until(lambda: len(other.state.registry.log.retained()) == 2)
        retained = [each.payload for _, each, _ in other.state.registry.log.retained()]
        assert retained == [end_of(2).payload, ended.payload]


async def test_messages_from_before_a_term_has_begun_follow_in_it(redis: TestRedis) -> None:
    """The epoch goes on, so nobody misses anything. Too many of them make a new epoch, with the newest state."""
    async with processes(redis, 3, max_waiting_bytes=100_000) as (former, later, last):
        epoch = last.tail.epoch
        later.written = []
        former.publisher.end()
        later.publisher.begin(2)
        later.publisher.append(end_of(1))
        await until(lambda: any(payload == end_of(1).payload for _, payload in entries(last)))
        assert (last.tail.epoch, later.begun) == (epoch, [False])
        later.publisher.end()
        os.kill(redis.pid, signal.SIGSTOP)
        last.publisher.begin(3)
        for run_id in range(2, 1000):
            last.publisher.append(end_of(run_id))
        os.kill(redis.pid, signal.SIGCONT)
        await until(lambda: later.tail.epoch not in (None, epoch))
        newest = end_of(999).payload
        await until(lambda: any(each.payload == newest for _, each, _ in later.state.registry.log.retained()))
        assert last.begun == [True]


async def test_what_follows_a_reload_at_once_is_no_reason_to_begin_anew(redis: TestRedis) -> None:
    """A snapshot may have it already. Nobody is told of a gap."""
    async with processes(redis, 2) as (former, later):
        former.publisher.end()
        began = former.tail.began
        later.publisher.begin(2)
        for run_id in range(1, 50):
            later.publisher.append(end_of(run_id))
        await until(lambda: any(payload == end_of(49).payload for _, payload in entries(former)))
        assert former.tail.began == began
        payloads = [payload for _, payload in entries(former) if b"run" in payload]
        assert payloads == [end_of(run_id).payload for run_id in range(1, 50)]


async def test_a_connected_listener_is_told_the_ends_of_runs_that_a_new_epoch_may_hide() -> None:
    """As one that connects with a cursor of the former epoch is."""
    registry = Process("redis://127.0.0.1:1").state.registry
    sink = RecordingSink()
    registry.connect(sink, TEXT_WITH_CURSOR)
    end = end_of(1)
    registry.begin_anew("later", 9, [RetainedRecord(5, ("1", ""), end.topic, end.name, end.payload, True)])
    await until(lambda: b'{"run":1,"id":"later-5"}' in sink.received)
    registry.close()


async def test_a_task_ends_though_its_client_ignores_the_first_cancellation() -> None:
    """As `asyncio.wait_for` does on Python 3.11 if the command was sent in that moment."""
    ignored = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ignored.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(WAIT_SECONDS):
        await end_tasks(task)
    assert ignored.is_set()
    assert task.cancelled()


async def test_the_writer_of_a_later_term_is_the_only_one(redis: TestRedis) -> None:
    """The former one is refused, and what it appended is on no log."""
    async with processes(redis, 2) as (former, later):
        epoch = former.tail.epoch
        former.add(1)
        await later.has([1])
        later.written = list(later.state.numbers)
        later.publisher.begin(2)
        await until(lambda: later.begun == [False])
        former.add(66)
        await until(lambda: former.refused == 1)
        later.add(2)
        await former.has([1, 2])
        await later.has([1, 2])
        assert former.tail.epoch == epoch
        assert former.state.replaced_count >= 1


async def test_a_writer_that_has_stepped_down_is_not_refused(redis: TestRedis) -> None:
    """It appends nothing more, no heartbeat either, so nobody is told that another process has taken over."""
    async with processes(redis, 1) as (writer,):
        writer.publisher.end()
        await until(lambda: "log-publisher" not in {task.get_name() for task in asyncio.all_tasks()})
        assert writer.refused == 0


async def test_a_process_that_differs_from_the_writer_joins_anew(redis: TestRedis) -> None:
    """An operation that makes another number of entries than at the writer is noticed."""
    async with processes(redis, 2) as (writer, other):
        began = other.tail.began
        real = other.state.operation
        other.state.operation = lambda record: real(record) - 1  # type: ignore[method-assign]
        writer.add(1)
        await until(lambda: other.tail.reason is not None)
        other.state.operation = real  # type: ignore[method-assign]
        await other.level()
        assert other.tail.began == began + 1
        await other.has([1])


async def test_an_entry_that_makes_no_sense_is_no_reason_to_stop(redis: TestRedis) -> None:
    """It is passed by with a snapshot."""
    async with processes(redis, 2) as (writer, other):
        writer.add(1)
        writer.publisher.append(Record(OPERATION, 1, b"\xff"))
        writer.add(2)
        await other.has([1, 2])
        await other.level()


async def test_the_stream_is_bounded(redis: TestRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old entries are trimmed, and a process that joins still gets everything."""
    monkeypatch.setattr("quart_odds.broadcast.engines.publisher.KEPT_BYTES", 20_000)
    async with processes(redis, 1) as (writer,):
        for number in range(2000):
            writer.add(number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await writer.has(list(range(2000)))
        client = open_redis(redis.url)
        async with asyncio.timeout(WAIT_SECONDS):
            # It is trimmed with the next batch, such as that of a heartbeat.
            while int(await client.xlen(KEYS.stream(writer.publisher.epoch))) >= 1000:
                await asyncio.sleep(0.05)
        await client.aclose()
        late = Process(redis.url)
        late.tail.open()
        try:
            await late.has(list(range(2000)))
        finally:
            await late.close()
