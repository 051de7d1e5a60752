"""Nothing is lost silently, in whatever order publishes, joins, cuts, stalls, resumes and filter changes come.

Each client is compared with a record of everything that was published. Either it received the log from its cursor, in
order and once, or a gap was reported with its count, and the state after the gap is the newest state of everything
published.
"""

import asyncio
import inspect
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.broadcast import ODDS_UPDATES, SCRAPE_PROGRESS, BroadcastRegistry, LogBounds, ResumePosition, Subscriber
from quart_odds.broadcast import flush as flush_module
from quart_odds.broadcast import subscriber as subscriber_module
from quart_odds.broadcast.framing import BLOCK, CHUNK, FRAME_WITH_CURSOR, TEXT_WITH_CURSOR, Framing
from tests.broadcast.listeners import Message, RecordingSink, gap_notice, read_messages

Key = tuple[Hashable, Hashable]
Topics = frozenset[str]


@dataclass(frozen=True)
class Told:
    """One published message. `key` is (run, platform) for progress, None for odds."""

    seq: int
    topic: str
    key: Key | None
    ends: bool


@dataclass
class Session:
    """One connection of a client: where it started, its filter changes and their positions, and what it was sent."""

    place: ResumePosition
    filters: list[tuple[int, Topics]]
    sink: RecordingSink
    subscriber: Subscriber
    cursor: str | None
    pings: list[int] = field(default_factory=list)

    def lets_through(self, published: Told) -> bool:
        """Return whether the filter at its position lets it through."""
        return published.topic in [topics for at, topics in self.filters if at <= published.seq][-1]

    @property
    def seqs(self) -> list[int]:
        """The sequence numbers of the entries received."""
        return [int(str(each.value["n"])) for each in self.received if each.value["type"] == "told"]

    @property
    def received(self) -> list[Message]:
        return read_messages(self.sink.received, self.subscriber.framing)


class Hub:
    """A registry, a record of everything published on it, and a few clients."""

    def __init__(self, bounds: LogBounds, framings: list[Framing]) -> None:
        self.registry = BroadcastRegistry(gap_notice=gap_notice, bounds=bounds)
        self.framings = framings
        self.published: list[Told] = []
        self.sessions: list[list[Session]] = [[] for _ in framings]
        self.runs = 0
        self.pings = 0

    def live(self, client: int) -> Session | None:
        """Return the client's connection; None if it has none."""
        sessions = self.sessions[client]
        return sessions[-1] if sessions and sessions[-1].sink.is_open else None

    def publish(self, platform: int) -> None:
        """Publish odds (0), the progress of a platform (1, 2), or the end of a run (3)."""
        seq = self.registry.log.next_seq
        topic = SCRAPE_PROGRESS if platform else ODDS_UPDATES
        key = (self.runs, platform % 3) if platform else None
        ends = platform == 3
        self.registry.broadcast({"type": "told", "n": seq}, topic, retain=key, ends=ends)
        self.published.append(Told(seq, topic, key, ends))
        self.runs += ends

    def join(self, client: int, topics: Topics, resumes: bool) -> None:
        """Connect a client that is not connected, either from its last cursor or as a new listener."""
        if self.live(client) is not None:
            return
        had = [each.cursor for session in self.sessions[client] for each in session.received]
        cursor = had[-1] if had and resumes else None
        place = self.registry.place(cursor, topics)
        sink = RecordingSink()
        subscriber = self.registry.connect(
            sink,
            self.framings[client],
            topics=topics,
            place=place,
            handshake=lambda _: {"type": "hello", "recovered": place.recovered, "missed": place.missed},
        )
        self.sessions[client].append(Session(place, [(0, topics)], sink, subscriber, cursor))

    def cut(self, client: int, read: int) -> None:
        """End a client's connection. The client still reads some of the bytes in transit."""
        if (session := self.live(client)) is not None:
            session.sink.read_on(read)
            session.sink.is_open = False
            self.registry.disconnect(session.subscriber)

    def stall(self, client: int) -> None:
        """Make a client stop reading."""
        if (session := self.live(client)) is not None:
            session.sink.stall()

    def read_on(self, client: int, count: int | None) -> None:
        """Make a client read everything again, or `count` bytes."""
        if (session := self.live(client)) is not None:
            session.sink.read_on(count)

    def ping(self, client: int) -> None:
        """Make a client send a ping, to be answered in order."""
        if (session := self.live(client)) is not None:
            self.pings += 1
            session.pings.append(self.pings)
            self.registry.send(session.subscriber, {"type": "pong", "p": self.pings})

    def refilter(self, client: int, topics: Topics) -> None:
        """Change what a client listens to."""
        if (session := self.live(client)) is not None:
            session.filters.append((self.registry.log.next_seq, topics))
            self.registry.reselect(session.subscriber, topics)

    def settle(self) -> None:
        """Let every connected client read everything."""
        for client in range(len(self.sessions)):
            self.read_on(client, None)
        for _ in range(1000):
            self.registry.flusher.flush()
            if not any(each.is_behind for each in self.registry.flusher.subscribers):
                return
        raise AssertionError("the flush does not come to an end")

    def visit(self) -> None:
        """Let a flush visit one more subscriber: the one on its way, or a new one."""
        flusher = self.registry.flusher
        if flusher._handle is not None:
            flusher._handle.cancel()
        work = flusher._work
        if inspect.isgenerator(work) and inspect.getgeneratorstate(work) == inspect.GEN_SUSPENDED:
            flusher._go_on()
        elif flusher.subscribers:
            flusher._flush()

    def tick(self) -> None:
        """Let the upkeep look after everyone."""
        self.registry.flusher.upkeep.tick()

    def newest(self, stop: int) -> dict[Key, Told]:
        """Return the newest message per key among all messages before `stop`."""
        return {
            published.key: published
            for published in self.published
            if published.key is not None and published.seq < stop
        }

    def snapshot(self, start: int, stop: int, topics: Topics) -> list[int]:
        """Return the newest per key before `stop`, from `start` on: what replaces missed messages."""
        return sorted(each.seq for each in self.newest(stop).values() if each.seq >= start and each.topic in topics)


def _check(hub: Hub, session: Session, *, is_settled: bool) -> None:
    """Check that a connection received exactly what it should."""
    received = session.received
    if not received:
        assert not is_settled
        return
    handshake, *rest = received
    assert handshake.value["recovered"] == session.place.recovered
    if session.cursor is not None:
        had = int(session.cursor.rpartition("-")[2])
        topics = session.filters[0][1]
        missed = sum(each.topic in topics for each in hub.published if had < each.seq < session.place.seq)
        assert (handshake.value["recovered"], handshake.value["missed"]) == (missed == 0, missed), (
            "counted by the filter"
        )
    pongs = [each.value["p"] for each in rest if each.value["type"] == "pong"]
    assert pongs == session.pings[: len(pongs)], "answers keep their order"
    assert not is_settled or pongs == session.pings, "every answer comes"

    parts: list[list[int]] = [[]]
    gaps: list[object] = []
    for each in rest:
        if each.value["type"] == "gap":
            gaps.append(each.value["missed"])
            parts.append([])
        elif each.value["type"] == "told":
            seq = each.value["n"]
            assert isinstance(seq, int)
            assert each.cursor == f"{hub.registry.log.epoch}-{seq}"
            parts[-1].append(seq)
    everything = [seq for part in parts for seq in part]
    assert everything == sorted(set(everything)), "in order, once"

    snapshot = [entry.seq for entry in session.place.snapshot if session.lets_through(hub.published[entry.seq - 1])]
    explained = _explains(hub, session, parts, gaps, is_settled, session.place.seq, snapshot)
    assert explained, (session.place, session.filters, parts, gaps, hub.published)


def _explains(
    hub: Hub,
    session: Session,
    parts: list[list[int]],
    gaps: list[object],
    is_settled: bool,
    position: int,
    snapshot: list[int],
) -> bool:
    """Return whether the parts can be explained.

    The first part has to be the newest state and then the log from `position`. The other parts have to be the same from
    wherever a gap with the reported count can have ended.
    """
    part, *others = parts
    may_be_short = bool(others) or not is_settled
    given = part[: len(snapshot)]
    live = part[len(snapshot) :]
    ahead = [
        published.seq for published in hub.published if published.seq >= position and session.lets_through(published)
    ]
    is_right = given == snapshot[: len(given)] and live == ahead[: len(live)]
    if not is_right or not (may_be_short or (given == snapshot and live == ahead)):
        return False
    if not others:
        return True
    position = live[-1] + 1 if live else position
    # Newest state that had not been sent when the next gap came is sent again after it.
    floor = position if given == snapshot else given[-1] + 1 if given else snapshot[0]
    for end in range(position, len(hub.published) + 2):
        lost = sum(session.lets_through(published) for published in hub.published if position <= published.seq < end)
        if gaps[0] != lost:
            continue
        for newest in _newest(hub, session, floor, end):
            if _explains(hub, session, others, gaps[1:], is_settled, end, newest):
                return True
    return False


def _newest(hub: Hub, session: Session, floor: int, end: int) -> Iterator[list[int]]:
    """Yield every newest state that may be sent at `end`.

    A filter change at that very position may come before or after it, and messages that a filter held back may be
    skipped.
    """
    before = [topics for at, topics in session.filters if at < end][-1]
    for topics in [before, *(topics for at, topics in session.filters if at == end)]:
        for start in range(floor, end + 1):
            yield hub.snapshot(start, end, topics)
            if start <= len(hub.published) and session.lets_through(hub.published[start - 1]):
                break


CLIENTS = st.integers(0, 2)
FILTERS = st.sampled_from(
    [
        frozenset({ODDS_UPDATES, SCRAPE_PROGRESS}),
        frozenset({ODDS_UPDATES}),
        frozenset({SCRAPE_PROGRESS}),
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 3)),
        st.tuples(st.just("publish"), st.integers(0, 2)),
        st.tuples(st.just("join"), CLIENTS, FILTERS, st.booleans()),
        st.tuples(st.just("cut"), CLIENTS, st.integers(0, 200)),
        st.tuples(st.just("stall"), CLIENTS),
        st.tuples(st.just("read_on"), CLIENTS, st.none() | st.integers(1, 200)),
        st.tuples(st.just("ping"), CLIENTS),
        st.tuples(st.just("refilter"), CLIENTS, FILTERS),
        st.tuples(st.just("flush")),
        st.tuples(st.just("visit")),
        st.tuples(st.just("visit")),
        st.tuples(st.just("tick")),
    ),
    min_size=10,
    max_size=120,
)
BOUNDS = st.builds(
    LogBounds,
    least_entries=st.integers(1, 12),
    least_bytes=st.just(0),
    least_seconds=st.just(0.0),
    most_entries=st.integers(1, 12),
    most_bytes=st.just(1 << 20),
)


def _play(hub: Hub, steps: list[tuple[object, ...]]) -> None:
    for name, *arguments in steps:
        if name == "flush":
            hub.registry.flusher.flush()
        else:
            getattr(hub, str(name))(*arguments)


@pytest.mark.parametrize("most_bytes", [150, 64 * 1024])
@settings(max_examples=150, deadline=None)
@given(steps=STEPS, bounds=BOUNDS)
def test_each_client_has_everything_or_gets_a_gap_notice(
    most_bytes: int, steps: list[tuple[object, ...]], bounds: LogBounds
) -> None:
    """A client gets the log from its cursor, in order and once, or a gap with its count, whatever happens."""

    async def play() -> None:
        hub = Hub(bounds, [FRAME_WITH_CURSOR, TEXT_WITH_CURSOR, CHUNK])
        _play(hub, steps)
        hub.settle()
        for sessions in hub.sessions:
            for session in sessions:
                _check(hub, session, is_settled=session.sink.is_open)
        hub.registry.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subscriber_module, "MAX_WRITE_BYTES", most_bytes)
        patch.setattr(flush_module, "FLUSH_SLICE", 1)
        asyncio.run(play())


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, bounds=BOUNDS)
def test_one_who_comes_back_has_everything_or_knows_that_it_has_not(
    steps: list[tuple[object, ...]], bounds: LogBounds
) -> None:
    """Over all its connections, a client has received what its cursor passes, or was told of the loss."""
    everything = frozenset({ODDS_UPDATES, SCRAPE_PROGRESS})

    async def play() -> None:
        hub = Hub(bounds, [FRAME_WITH_CURSOR, TEXT_WITH_CURSOR, BLOCK])
        plain = [
            ("join", step[1], everything, True) if step[0] == "join" else step
            for step in steps
            if step[0] != "refilter"
        ]
        _play(hub, [("join", 0, everything, True), *plain])
        for client in range(3):
            hub.join(client, everything, True)
        hub.settle()
        for sessions in hub.sessions:
            had: set[int] = set()
            begins, declared = 1, 0
            for session in sessions:
                if session.cursor is None:
                    had, begins, declared = set(), session.place.seq, 0
                for each in session.received:
                    value = each.value
                    if value["type"] == "told":
                        had.add(int(str(value["n"])))
                    elif value["type"] == "gap" or value.get("recovered") is False:
                        declared += int(str(value["missed"]))
                    # No cursor, on any message, may pass an entry that was neither received nor reported as missing.
                    passed = range(begins, int(each.cursor.rpartition("-")[2]) + 1)
                    assert len(passed) - len(had.intersection(passed)) <= declared, (each, begins, had, declared)
            # In the end, the client has the newest state of everything published since it first connected.
            for published in hub.newest(len(hub.published) + 1).values():
                assert published.seq in had or published.seq < begins, (published, had, begins)
        hub.registry.close()

    asyncio.run(play())


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, bounds=BOUNDS)
def test_both_lanes_send_the_same_messages(steps: list[tuple[object, ...]], bounds: LogBounds) -> None:
    """Two clients with the same history, one on each lane, read the same messages; so do two event streams."""

    async def play() -> None:
        hub = Hub(bounds, [FRAME_WITH_CURSOR, TEXT_WITH_CURSOR, CHUNK, BLOCK])
        for name, *arguments in steps:
            if name in ("publish", "flush", "visit", "tick"):
                _play(hub, [(name, *arguments)])
            elif (name not in ("ping", "cut") and arguments[1:] in ([], [None])) or name in ("join", "refilter"):
                _play(hub, [(name, client, *arguments[1:]) for client in range(4)])
        hub.settle()
        read = [[session.received for session in sessions] for sessions in hub.sessions]
        assert read[0] == read[1]
        assert read[2] == read[3]
        assert [each.value for session in read[0] for each in session] == [
            each.value for session in read[2] for each in session
        ]
        hub.registry.close()

    asyncio.run(play())
