"""The flush: who is written to and when, and what happens to clients that take nothing."""

import asyncio
import inspect
from collections.abc import Callable
from contextvars import Context

import pytest

from quart_odds.broadcast import ODDS_UPDATES, BroadcastRegistry, Flusher, ResumePosition, Subscriber
from quart_odds.broadcast import subscriber as subscriber_module
from quart_odds.broadcast.flush import FLUSH_PAUSE_SECONDS, FLUSH_SLICE, MOST_PAUSE_SECONDS, PRESSED_ENTRIES
from quart_odds.broadcast.framing import CHUNK, FRAME, Framing
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from tests.broadcast.listeners import (
    SMALL,
    BrokenSink,
    ManualClock,
    RecordingSink,
    gap_notice,
    make_registry,
    message,
    numbers,
    read_chunks,
    read_messages,
)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def _connect(registry: BroadcastRegistry, sink: RecordingSink | None = None, framing: Framing = FRAME) -> RecordingSink:
    sink = sink or RecordingSink()
    registry.connect(sink, framing)
    return sink


def _say(registry: BroadcastRegistry, *published: int) -> None:
    for number in published:
        registry.broadcast(message(number), ODDS_UPDATES)


def _read(sink: RecordingSink, framing: Framing = FRAME) -> list[object]:
    return numbers(read_messages(sink.received, framing))


def test_publishing_is_no_coroutine() -> None:
    """Publishing functions are plain functions, so a stalled listener cannot block them."""
    for function in (
        BroadcastRegistry.broadcast,
        BroadcastRegistry.broadcast_all,
        BroadcastRegistry.send,
        ProgressBroadcaster.publish,
        Flusher.schedule,
        Flusher.flush,
    ):
        assert not inspect.iscoroutinefunction(function)
        assert not inspect.isgeneratorfunction(function)


async def test_publishing_takes_no_turn_of_the_loop() -> None:
    """Ten thousand messages are published to a stalled and a ready client before the loop runs anything else."""
    registry = make_registry()
    stalled, free = _connect(registry), _connect(registry)
    stalled.stall()
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1

    asyncio.get_running_loop().call_soon(turn)
    for number in range(10_000):
        registry.broadcast(message(number), ODDS_UPDATES)
    assert (turns, free.writes) == (0, [])
    await _until(lambda: len(_read(free)) == 10_000)
    registry.close()


async def test_publishing_works_where_no_loop_runs() -> None:
    """Without listeners there is nothing to schedule, so a tool may publish outside any loop."""
    registry = make_registry()
    await asyncio.to_thread(_say, registry, 1)
    assert registry.log.next_seq == 2


async def test_first_flush_comes_at_once_and_many_messages_go_in_one_write() -> None:
    """When idle, a message is written in the next loop iteration; messages published together share a write."""
    registry = make_registry()
    sink = _connect(registry)
    _say(registry, 1, 2, 3)
    await asyncio.sleep(0)
    assert _read(sink) == [1, 2, 3]
    assert len(sink.writes) == 1
    registry.close()


async def test_next_flush_waits_until_a_moment_after_the_last_one_ended() -> None:
    """Under load, messages are batched: the pause counts from the end of the last flush, however long that took."""
    clock = ManualClock()
    registry = make_registry(clock=clock)

    class SlowSink(RecordingSink):
        def write(self, data: bytes) -> None:
            super().write(data)
            clock.advance(5.0)

    sink = _connect(registry, SlowSink())
    _say(registry, 1)
    await asyncio.sleep(0)
    assert _read(sink) == [1]
    _say(registry, 2)
    await asyncio.sleep(0)
    _say(registry, 3)
    assert _read(sink) == [1]
    await _until(lambda: _read(sink) == [1, 2, 3])
    assert len(sink.writes) == 2
    registry.close()


class SlowFlushes:
    """A registry whose flushes take 10 ms each, by a clock that stands still otherwise, and how long it then pauses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **shares: float) -> None:
        self.clock = clock = ManualClock()
        self.registry = make_registry(clock=clock)
        for name, share in shares.items():
            setattr(self.registry.flusher, name, share)
        self.pauses: list[float] = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def watched(
            delay: float, callback: Callable[..., object], *arguments: object, context: Context | None = None
        ) -> asyncio.TimerHandle:
            if callback == self.registry.flusher._flush:
                self.pauses.append(round(delay, 6))
            return call_later(delay, callback, *arguments, context=context)

        monkeypatch.setattr(loop, "call_later", watched)

        class SlowSink(RecordingSink):
            def write(self, data: bytes) -> None:
                super().write(data)
                clock.advance(0.01)

        self.sink = _connect(self.registry, SlowSink())

    async def pause_after(self, count: int) -> float:
        """Publish so many messages at once, then one more, and return for how long the flush of that one waits."""
        await self._until_flushed()
        self.clock.advance(1)
        _say(self.registry, *[1] * count)
        await self._until_flushed()
        self.pauses.clear()
        _say(self.registry, 2)
        await self._until_flushed()
        [pause] = self.pauses
        return pause

    async def _until_flushed(self) -> None:
        await _until(lambda: len(_read(self.sink)) == self.registry.log.next_seq - 1)


async def test_a_pause_may_be_a_share_of_the_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """So other tasks of the loop have their turn. A flush that takes long does not make the pause longer and longer."""
    flushes = SlowFlushes(monkeypatch, pause_share=0.75)
    assert await flushes.pause_after(1) == 0.0075
    flushes.registry.flusher.pause_share = 100.0
    assert await flushes.pause_after(1) == MOST_PAUSE_SECONDS
    flushes.registry.flusher.pause_share = 0.0
    assert await flushes.pause_after(1) == FLUSH_PAUSE_SECONDS
    flushes.registry.close()


async def test_the_pause_is_longer_in_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then more messages gather for each flush."""
    flushes = SlowFlushes(monkeypatch, pause_share=0.5, pressed_share=1.0)
    pauses = [await flushes.pause_after(count) for count in (1, PRESSED_ENTRIES, 1)]
    assert pauses == [0.005, 0.01, 0.005]
    flushes.registry.close()


async def test_failing_client_costs_nobody_else_anything() -> None:
    """A flush reaches all clients even if writing to one of them fails, and cutting it fails as well."""
    registry = make_registry()
    sinks = [_connect(registry) for _ in range(3)]
    broken = registry.connect(BrokenSink(), FRAME)
    sinks += [_connect(registry) for _ in range(3)]
    ends: list[int | None] = []
    broken.on_end = lambda: ends.append(broken.close_code)
    for number in range(8):
        _say(registry, number)
        registry.flusher.flush()
    assert all(_read(sink) == list(range(8)) for sink in sinks)
    assert registry.active_count == 6
    assert ends == [1011]
    registry.close()


async def test_failing_heartbeat_costs_nobody_else_theirs() -> None:
    """The watchdog continues past a client that fails."""
    clock = ManualClock()
    registry = make_registry(clock=clock, heartbeat_seconds=0.04)
    registry.connect(BrokenSink(), CHUNK)
    sink = _connect(registry, framing=CHUNK)
    clock.advance(1.0)
    await _until(lambda: sink.writes)
    assert registry.active_count == 1
    registry.close()


async def test_closed_client_is_forgotten() -> None:
    """A client whose connection is closed is dropped by the next flush, without a close code."""
    registry = make_registry()
    sink = RecordingSink()
    subscriber = registry.connect(sink, FRAME)
    sink.is_open = False
    _say(registry, 1)
    registry.flusher.flush()
    assert (registry.active_count, subscriber.is_ended, subscriber.close_code) == (0, True, None)
    assert sink.writes == []


async def test_no_client_is_always_last() -> None:
    """Each flush starts with a different client."""
    registry = make_registry()
    order: list[int] = []

    class NotingSink(RecordingSink):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def write(self, data: bytes) -> None:
            order.append(self.number)

    for number in range(4):
        registry.connect(NotingSink(number), FRAME)
    for number in range(8):
        _say(registry, number)
        registry.flusher.flush()
    rounds = [order[at : at + 4] for at in range(0, len(order), 4)]
    assert all(sorted(each) == [0, 1, 2, 3] for each in rounds)
    assert sorted(each[-1] for each in rounds) == [0, 0, 1, 1, 2, 2, 3, 3]
    registry.close()


async def test_stalled_client_is_passed_over_and_catches_up() -> None:
    """A stalled client gets no more writes until it has taken what it was sent. Then it gets everything else."""
    registry = make_registry()
    slow, quick = _connect(registry), _connect(registry)
    slow.stall()
    for number in range(50):
        _say(registry, number)
        registry.flusher.flush()
    assert len(slow.writes) == 1
    assert _read(quick) == list(range(50))
    slow.read_on()
    await _until(lambda: _read(slow) == list(range(50)))
    registry.close()


async def test_what_waits_for_a_stalled_client_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stalled client holds only one write, however much is published meanwhile."""
    monkeypatch.setattr(subscriber_module, "MAX_WRITE_BYTES", 500)
    registry = make_registry()
    sink = _connect(registry)
    sink.stall()
    _say(registry, *range(1000))
    for _ in range(20):
        registry.flusher.flush()
    assert 0 < sink.pending() < 600
    registry.close()


async def test_client_that_fell_out_gets_a_gap_notice() -> None:
    """After the gap notice, a client gets everything that is published from then on."""
    registry = make_registry(SMALL)
    sink = _connect(registry)
    sink.stall()
    _say(registry, 0)
    registry.flusher.flush()
    _say(registry, *range(1, 30))
    sink.read_on()
    registry.flusher.flush()
    _say(registry, 30)
    registry.flusher.flush()
    assert _read(sink) == [0, "gap", 30]
    registry.close()


async def test_one_that_takes_nothing_for_too_long_is_cut() -> None:
    """The watchdog cuts a client that takes nothing, with code 1013, but not one that takes a little."""
    clock = ManualClock()
    registry = make_registry(clock=clock, write_timeout_seconds=0.04)
    stalled, slow = RecordingSink(), RecordingSink()
    cut = registry.connect(stalled, FRAME)
    registry.connect(slow, FRAME)
    stalled.stall()
    slow.stall()
    _say(registry, *range(20))
    registry.flusher.flush()
    for _ in range(10):
        await asyncio.sleep(0.012)
        clock.advance(0.02)
        slow.read_on(1)
    await _until(lambda: stalled.is_aborted)
    assert (cut.close_code, cut.is_ended) == (1013, True)
    assert not slow.is_aborted
    assert registry.flusher.upkeep.cut_count == 1
    registry.close()


async def test_heartbeat_of_a_client_that_was_slow_once_does_not_cut_it() -> None:
    """What was pending in one round of the watchdog, and taken since, does not count against a later write."""
    clock = ManualClock()
    registry = make_registry(clock=clock, heartbeat_seconds=0.04, write_timeout_seconds=5.0)
    sink = _connect(registry, framing=CHUNK)
    sink.stall()
    for _ in range(3):
        clock.advance(1.0)
        await _until(lambda: sink.pending())
        # The heartbeat is pending during one round. It is taken, and the next one has the same length.
        await asyncio.sleep(0.03)
        sink.read_on()
        sink.stall()
        clock.advance(9.0)
    assert not sink.is_aborted
    registry.close()


async def test_silent_stream_gets_a_block_of_nothing_but_its_cursor() -> None:
    """It is sent on SSE only, fires no event in a browser, and advances Last-Event-ID past filtered entries."""
    clock = ManualClock()
    registry = make_registry(clock=clock, heartbeat_seconds=0.04)
    stream, socket = RecordingSink(), RecordingSink()
    registry.connect(stream, CHUNK, topics={"scrape_progress"})
    registry.connect(socket, FRAME)
    _say(registry, 1, 2)
    registry.flusher.flush()
    assert stream.writes == []
    clock.advance(1.0)
    await _until(lambda: stream.writes)
    assert read_chunks(stream.writes[0]) == f"id: {registry.log.epoch}-2\n\n".encode()
    assert _read(socket) == [1, 2]
    registry.close()


async def test_stream_that_is_busy_gets_no_heartbeat() -> None:
    """Heartbeats are only sent when there is nothing else to send."""
    clock = ManualClock()
    registry = make_registry(clock=clock, heartbeat_seconds=0.04)
    sink = _connect(registry, framing=CHUNK)
    for number in range(5):
        _say(registry, number)
        registry.flusher.flush()
        await asyncio.sleep(0.012)
    assert b"id: %b\n\n" % registry.log.epoch.encode() not in read_chunks(sink.received)
    assert len(sink.writes) == 5
    registry.close()


async def test_closed_log_ends_each_listener_once_it_has_everything() -> None:
    """The end of a run ends its streams after the last message, for slow listeners as well."""
    broadcaster = ProgressBroadcaster(1)
    quick, slow = RecordingSink(), RecordingSink()
    slow.stall()
    subscribers = [
        Subscriber(broadcaster.log, sink, CHUNK, place=ResumePosition(1), gap_notice=gap_notice)
        for sink in (quick, slow)
    ]
    for subscriber in subscribers:
        broadcaster.flusher.add(subscriber)
    broadcaster.log.append(b'{"type":"x","n":1}')
    broadcaster.flusher.flush()
    broadcaster.log.append(b'{"type":"x","n":2}')
    broadcaster.close()
    broadcaster.flusher.flush()
    assert [each.is_ended for each in subscribers] == [True, False]
    slow.read_on()
    await _until(lambda: subscribers[1].is_ended)
    assert _read(slow, CHUNK) == _read(quick, CHUNK) == [1, 2]
    assert subscribers[1].close_code == 1000


async def test_nothing_is_written_to_one_who_has_left() -> None:
    """Neither a flush nor a sink that becomes free too late writes to a client that has left."""
    registry = make_registry()
    sink = RecordingSink()
    subscriber = registry.connect(sink, FRAME)
    registry.disconnect(subscriber)
    registry.disconnect(subscriber)
    _say(registry, 1)
    registry.flusher.catch_up(subscriber)
    registry.flusher.flush()
    assert sink.writes == []


async def test_closing_ends_who_is_left_and_stops_the_timers() -> None:
    """Waiting streams are ended, and no timer outlives the registry."""
    registry = make_registry(heartbeat_seconds=0.01)
    subscriber = registry.connect(RecordingSink(), CHUNK)
    registry.close()
    assert subscriber.is_ended
    assert registry.active_count == 0
    registry.close()


async def test_answer_of_one_client_goes_with_what_is_sent_to_all() -> None:
    """A queued answer does not delay the entries behind it until another flush."""
    registry = make_registry()
    sink = RecordingSink()
    subscriber = registry.connect(sink, FRAME)
    subscriber.send({"type": "pong"})
    _say(registry, 1)
    registry.flusher.flush()
    assert _read(sink) == ["pong", 1]
    assert len(sink.writes) == 1
    registry.close()


async def test_others_get_a_turn_while_a_crowd_is_written_to() -> None:
    """A flush to thousands goes on in slices. What is published in between comes next, in order and once."""
    registry = make_registry()
    sinks = [_connect(registry) for _ in range(4 * FLUSH_SLICE)]
    registry.flusher.flush()
    seen: set[int] = set()

    def look() -> None:
        had = sum(bool(sink.received) for sink in sinks)
        if had not in seen:
            seen.add(had)
            if 0 < had < len(sinks):
                _say(registry, 100 + had)
        if had < len(sinks):
            loop.call_soon(look)

    loop = asyncio.get_running_loop()
    _say(registry, 1)
    loop.call_soon(look)
    expected = [1, *(100 + FLUSH_SLICE * number for number in range(1, 4))]
    await _until(lambda: all(_read(sink) == expected for sink in sinks[:: FLUSH_SLICE // 2]))
    assert seen - {0} == {FLUSH_SLICE * number for number in range(1, 5)}
    assert all(_read(sink) == expected for sink in sinks)
    registry.close()


async def test_a_flush_that_must_be_complete_takes_over_what_is_on_its_way() -> None:
    """A drain tells everyone everything before it says goodbye, also in the middle of a flush."""
    registry = make_registry()
    sinks = [_connect(registry) for _ in range(2 * FLUSH_SLICE)]
    registry.flusher.flush()
    _say(registry, 1)
    while not sinks[FLUSH_SLICE // 2].received and not sinks[-1].received:
        await asyncio.sleep(0)
    assert not all(sink.received for sink in sinks)
    _say(registry, 2)
    registry.flusher.flush()
    assert all(_read(sink) == [1, 2] for sink in sinks)
    registry.close()


async def test_a_client_that_is_cut_is_not_ended_in_order_first() -> None:
    """Otherwise a stream would get its final chunk, and look complete."""
    registry = make_registry()
    sink = RecordingSink()
    subscriber = registry.connect(sink, CHUNK)
    was_cut: list[bool] = []
    subscriber.on_end = lambda: was_cut.append(sink.is_aborted)
    registry.flusher.cut(subscriber, 1011, "internal error")
    assert (was_cut, subscriber.close_code) == ([True], 1011)
    registry.close()
