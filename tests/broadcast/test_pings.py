"""Heartbeats and pings: nobody is silent for longer than a proxy allows, and who does not answer is closed."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from quart_odds.broadcast import ODDS_UPDATES, BroadcastRegistry, Subscriber
from quart_odds.broadcast.framing import CHUNK, FRAME, FRAME_WITH_CURSOR, TEXT, TEXT_WITH_CURSOR, Framing
from quart_odds.broadcast.upkeep import CROWD, PING, PING_SECONDS, PONG_SECONDS, TICK_SECONDS, TICK_SLICE
from tests.broadcast.listeners import RecordingSink, gap_notice, message, read_chunks
from tests.virtual_time import in_virtual_time

HEARTBEAT_SECONDS = 15.0


class TimedSink(RecordingSink):
    """A sink that notes when it was written to, and whose peer may answer pings."""

    def __init__(self, *, answers: bool) -> None:
        super().__init__()
        self.answers = answers
        self.subscriber: Subscriber | None = None
        self.times: list[float] = []
        self.pings: list[float] = []

    def write(self, data: bytes) -> None:
        super().write(data)
        now = asyncio.get_running_loop().time()
        self.times.append(now)
        if data == PING:
            self.pings.append(now)
            if self.answers:
                asyncio.get_running_loop().call_later(0.1, self.answer)

    def answer(self) -> None:
        """Let the peer send something."""
        assert self.subscriber is not None
        self.subscriber.pinged_at = None

    def longest_silence(self, start: float, end: float) -> float:
        """Return the longest time between two writes."""
        times = [start, *self.times, end]
        return max(after - before for before, after in pairwise(times))


def _registry(write_timeout_seconds: float = 10.0) -> BroadcastRegistry:
    clock = asyncio.get_running_loop().time
    return BroadcastRegistry(
        gap_notice=gap_notice,
        clock=clock,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        write_timeout_seconds=write_timeout_seconds,
    )


def _connect(registry: BroadcastRegistry, framing: Framing = FRAME, *, answers: bool = True) -> TimedSink:
    sink = TimedSink(answers=answers)
    sink.subscriber = registry.connect(sink, framing)
    return sink


def _ended(sink: TimedSink) -> bool:
    assert sink.subscriber is not None
    return sink.subscriber.is_ended


@in_virtual_time
@pytest.mark.parametrize("framing", [FRAME, FRAME_WITH_CURSOR])
async def test_a_silent_websocket_is_pinged_and_lives_as_long_as_it_answers(framing: Framing) -> None:
    """Each ping follows a silence of the setting, less a tick at most, and nothing else is sent."""
    registry = _registry()
    sink = _connect(registry, framing)
    await asyncio.sleep(10 * PING_SECONDS)
    assert len(sink.pings) >= 10
    assert sink.writes == [PING] * len(sink.pings)
    assert sink.longest_silence(0.0, asyncio.get_running_loop().time()) <= PING_SECONDS
    assert min(after - before for before, after in pairwise(sink.pings)) >= (PING_SECONDS - 2 * TICK_SECONDS)
    assert not _ended(sink)
    assert registry.flusher.upkeep.unanswered_pings == 0
    registry.close()


@in_virtual_time
async def test_a_websocket_to_which_messages_flow_is_not_pinged() -> None:
    """The messages are enough for any proxy."""
    registry = _registry()
    sink = _connect(registry)
    for number in range(40):
        await asyncio.sleep(PING_SECONDS / 2)
        registry.broadcast(message(number), ODDS_UPDATES)
    await asyncio.sleep(1)
    assert sink.pings == []
    assert len(sink.writes) == 40
    registry.close()


@in_virtual_time
async def test_a_ping_without_an_answer_closes_with_1013() -> None:
    """After the time for the answer, and it is counted. Others are not concerned."""
    registry = _registry()
    deaf, alive = _connect(registry, answers=False), _connect(registry)
    subscriber = deaf.subscriber
    assert subscriber is not None
    ended: list[float] = []
    subscriber.on_end = lambda: ended.append(asyncio.get_running_loop().time())
    await asyncio.sleep(PING_SECONDS + PONG_SECONDS + 2 * TICK_SECONDS)
    [pinged] = deaf.pings
    assert PONG_SECONDS <= ended[0] - pinged <= PONG_SECONDS + TICK_SECONDS + 0.01
    assert (subscriber.close_code, subscriber.close_reason) == (1013, "no answer to a ping; resume with your cursor")
    assert not deaf.is_aborted
    assert registry.flusher.upkeep.unanswered_pings == 1
    assert registry.flusher.upkeep.cut_count == 0
    assert registry.active_count == 1
    await asyncio.sleep(10 * PING_SECONDS)
    assert registry.flusher.upkeep.unanswered_pings == 1
    assert not _ended(alive)
    registry.close()


@in_virtual_time
async def test_an_answer_just_in_time_is_one() -> None:
    """Whatever the peer sends, and it is then pinged only after another silence."""
    registry = _registry()
    sink = _connect(registry, answers=False)
    for count in (1, 2, 3):
        while len(sink.pings) < count:
            await asyncio.sleep(0.1)
        await asyncio.sleep(PONG_SECONDS - 0.5)
        assert len(sink.pings) == count
        sink.answer()
    assert not _ended(sink)
    await asyncio.sleep(2 * PING_SECONDS + PONG_SECONDS)
    assert registry.flusher.upkeep.unanswered_pings == 1
    registry.close()


@in_virtual_time
async def test_messages_do_not_answer_a_ping() -> None:
    """The kernel may take them for a long time although the peer is gone."""
    registry = _registry()
    sink = _connect(registry, answers=False)
    while not sink.pings:
        await asyncio.sleep(0.1)
    for number in range(int(PONG_SECONDS) + 2):
        registry.broadcast(message(number), ODDS_UPDATES)
        await asyncio.sleep(1)
    assert _ended(sink)
    assert registry.flusher.upkeep.unanswered_pings == 1
    registry.close()


@in_virtual_time
async def test_a_peer_that_takes_nothing_is_not_pinged_but_cut() -> None:
    """A ping could not reach it."""
    registry = _registry(write_timeout_seconds=100.0)
    sink = _connect(registry)
    sink.stall()
    registry.broadcast(message(1), ODDS_UPDATES)
    await asyncio.sleep(90)
    assert sink.pings == []
    assert not sink.is_aborted
    await asyncio.sleep(20)
    assert sink.is_aborted
    assert (registry.flusher.upkeep.cut_count, registry.flusher.upkeep.unanswered_pings) == (1, 0)
    registry.close()


@in_virtual_time
async def test_an_event_stream_gets_heartbeats_and_no_pings() -> None:
    """Nobody answers them."""
    registry = _registry()
    sink = _connect(registry, CHUNK, answers=False)
    await asyncio.sleep(20 * HEARTBEAT_SECONDS)
    assert not any(PING in data for data in sink.writes)
    beat = f"id: {registry.log.epoch}-0\n\n".encode()
    assert {read_chunks(data) for data in sink.writes} == {beat}
    assert sink.longest_silence(0.0, asyncio.get_running_loop().time()) <= HEARTBEAT_SECONDS
    assert not _ended(sink)
    assert registry.flusher.upkeep.unanswered_pings == 0
    registry.close()


@in_virtual_time
@pytest.mark.parametrize("framing", [TEXT, TEXT_WITH_CURSOR])
async def test_the_standard_lane_gets_neither(framing: Framing) -> None:
    """A control frame cannot be sent through ASGI, and a line of text would be a message."""
    registry = _registry()
    sink = _connect(registry, framing, answers=False)
    await asyncio.sleep(10 * PING_SECONDS)
    assert sink.writes == []
    assert not _ended(sink)
    registry.close()


@in_virtual_time
@pytest.mark.parametrize(
    ("framing", "seconds"), [(FRAME, PING_SECONDS), (CHUNK, HEARTBEAT_SECONDS)], ids=["pings", "heartbeats"]
)
async def test_a_crowd_is_never_silent_for_too_long_and_not_written_to_all_at_once(
    framing: Framing, seconds: float
) -> None:
    """A flush writes to all in the same moment. What they get after that is spread over several ticks."""
    count = 1000
    registry = _registry()
    sinks = [_connect(registry, framing) for _ in range(count)]
    registry.broadcast(message(1), ODDS_UPDATES)
    await asyncio.sleep(0.1)
    assert {tuple(sink.times) for sink in sinks} == {(sinks[0].times[0],)}
    await asyncio.sleep(6 * seconds)
    now = asyncio.get_running_loop().time()
    assert max(sink.longest_silence(0.0, now) for sink in sinks) <= seconds
    # They differ for good, and not only once.
    for place in (1, 2, 3):
        at_once = Counter(round(sink.times[place], 2) for sink in sinks)
        assert len(at_once) >= 4
        assert max(at_once.values()) <= count // 2
    assert all(len(sink.times) <= 1 + 6 / 0.7 for sink in sinks)
    assert registry.flusher.upkeep.unanswered_pings == 0
    registry.close()


@in_virtual_time
async def test_few_listeners_use_their_whole_time() -> None:
    """Only a crowd is spread."""
    registry = _registry()
    sinks = [_connect(registry) for _ in range(CROWD)]
    await asyncio.sleep(PING_SECONDS)
    assert {len(sink.pings) for sink in sinks} == {1}
    assert min(sink.pings[0] for sink in sinks) >= PING_SECONDS - 2 * TICK_SECONDS
    registry.close()


@in_virtual_time
async def test_others_have_their_turn_while_a_crowd_is_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick looks after TICK_SLICE listeners at a time. Here all are due in the same tick."""
    monkeypatch.setattr("quart_odds.broadcast.upkeep.SPREAD_SHARE", 0.0)
    loop = asyncio.get_running_loop()
    registry = _registry()
    seen: list[int] = []

    def pinged() -> int:
        return sum(len(sink.pings) for sink in sinks)

    def look() -> None:
        seen.append(pinged())
        if seen[-1] < len(sinks):
            loop.call_soon(look)

    class First(TimedSink):
        """Looks in each turn of the loop how many were pinged, from its own ping on."""

        def write(self, data: bytes) -> None:
            super().write(data)
            loop.call_soon(look)

    first = First(answers=True)
    first.subscriber = registry.connect(first, FRAME)
    sinks = [first, *(_connect(registry) for _ in range(4 * TICK_SLICE - 1))]
    await asyncio.sleep(PING_SECONDS)
    assert seen == [TICK_SLICE, 2 * TICK_SLICE, 3 * TICK_SLICE, 4 * TICK_SLICE]
    registry.close()


@in_virtual_time
async def test_those_who_leave_and_come_during_a_round_are_no_problem() -> None:
    """A round goes over those who were there when it began."""
    registry = _registry()
    loop = asyncio.get_running_loop()
    sinks = [_connect(registry) for _ in range(3 * TICK_SLICE)]
    added: list[TimedSink] = []

    class Leaving(TimedSink):
        """Has others leave and come when it is pinged."""

        then: Callable[[], None]

        def write(self, data: bytes) -> None:
            super().write(data)
            if data == PING and not added:
                self.then()

    def then() -> None:
        for sink in sinks[1::2]:
            assert sink.subscriber is not None
            registry.disconnect(sink.subscriber)
            sink.is_open = False
        added.append(_connect(registry))

    leaving = Leaving(answers=True)
    leaving.then = then
    leaving.subscriber = registry.connect(leaving, FRAME)
    await asyncio.sleep(6 * PING_SECONDS)
    [new] = added
    for sink in (*sinks[::2], leaving, new):
        assert sink.longest_silence(sink.times[0], loop.time()) <= PING_SECONDS
    assert registry.active_count == len(sinks) // 2 + 2
    registry.close()
