"""Every process's end of the stream: reads it with a connection of its own, and puts it on the local log.

A process joins with a snapshot of the odds at one place in the log, and applies the log from there. It is level once
it has everything that Redis has. Silence past a bound, or a log that is not what it was, is a reconnect; another epoch,
or entries that are missing, is a new beginning that every listener is told of.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import structlog

from quart_odds.broadcast.engines.clients import disconnect, end_tasks, no_answer
from quart_odds.broadcast.engines.keys import LogKeys
from quart_odds.broadcast.engines.publisher import Place
from quart_odds.broadcast.engines.records import (
    HEARTBEAT,
    MESSAGE,
    OPERATION,
    RELOAD,
    Record,
    RetainedRecord,
    read_record,
    read_retained,
)
from quart_odds.broadcast.engines.scripts import ATTACH
from quart_odds.broadcast.event_log import split_cursor
from quart_odds.errors import LogStalledError, ReplicationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

BLOCK_MS = 1000
READ_COUNT = 200
SILENCE_SECONDS = 4.0
"""After so long without an entry, not even a heartbeat, the connection is made anew."""

TURN_SECONDS = 0.005
"""How long entries are applied before other tasks run."""

WAIT_SECONDS = 0.05
MOST_WAIT_SECONDS = 1.0
SNAPSHOT_POLL_SECONDS = 0.05
WANTED_SECONDS = 5
"""How long a request for a snapshot stands."""

REACH_SECONDS = 5.0
"""How long a listener that has been ahead of this process, at another one, waits here."""

SNAPSHOT_SECONDS = 30
"""How long a snapshot stays in Redis, for further processes that join."""

log = structlog.get_logger(__name__)


class ReplicatedState(Protocol):
    """What the log keeps up to date in this process, and the log that its listeners read."""

    async def decode(self, snapshot: bytes) -> object:
        """Return what a snapshot has. Raises ReplicationError if it cannot be read."""

    def restore(self, decoded: object) -> None:
        """Replace the state by a snapshot, in one turn of the loop."""

    def begin(self, epoch: str, next_seq: int, retained: Sequence[RetainedRecord], earlier: Sequence[Record]) -> None:
        """Begin the local log at a place, in one turn of the loop. Listeners that there are learn of a gap.

        `earlier` are the records from that place to the state: of these, only the messages can be told.
        """

    def message(self, seq: int, record: Record) -> None:
        """Put a message on the local log."""

    def operation(self, record: Record) -> int:
        """Apply an operation, and put what it means for listeners on the local log. Returns how many entries that are.

        Raises ReplicationError if the operation cannot be read or applied.
        """

    def skip(self, count: int) -> None:
        """Put entries on the local log that nobody receives."""

    def replaced(self) -> None:
        """Send listeners the state anew, because `restore` has replaced it."""


@dataclass(frozen=True, slots=True)
class SnapshotAt:
    """A snapshot as it is in Redis: a line of JSON with its place, then its bytes."""

    epoch: str
    place: Place
    body: bytes

    def encode(self) -> bytes:
        """Return the value of the key."""
        head = {"epoch": self.epoch, "seq": self.place[0], "sub": self.place[1]}
        return orjson.dumps(head) + b"\n" + self.body

    @classmethod
    def read(cls, value: bytes) -> "SnapshotAt":
        """Return a snapshot. Raises ReplicationError if it is none."""
        try:
            head, _, body = value.partition(b"\n")
            said = orjson.loads(head)
            return cls(said["epoch"], (int(said["seq"]), int(said["sub"])), body)
        except (ValueError, KeyError, TypeError) as error:
            raise ReplicationError(f"the snapshot cannot be read: {error!r}") from error


class LogTail:
    """Follows the log in a task of its own, from `open` to `close`.

    `on_cut` is called with the reason when the process had everything and can no longer tell.
    """

    def __init__(
        self,
        connect: Callable[[], "Redis"],
        keys: LogKeys,
        state: ReplicatedState,
        *,
        on_cut: Callable[[str], object] = lambda _: None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.epoch: str | None = None
        self.place: Place = (0, 0)
        self.reason: str | None = "not yet connected to the log"
        """Why this process may lack entries; None while it is level."""
        self.began = 0
        """How often the local log has begun anew."""
        self._connect = connect
        self._keys = keys
        self._state = state
        self._on_cut = on_cut
        self._silence_seconds = silence_seconds
        self._heard_at = 0.0
        self._must_join = True
        self._moved = asyncio.Event()
        """For all who wait until this process is further. Set once, and replaced by another one."""
        self._failed_at: Place | None = None
        """An entry of this epoch that could not be applied. A snapshot has to be newer."""
        self._epochs_id: bytes = b"0-0"
        self._client: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_level(self) -> bool:
        """Whether this process has everything that Redis had a moment ago."""
        return self.reason is None

    def open(self) -> None:
        """Start to follow."""
        self._task = asyncio.create_task(self._follow(), name="log-tail")

    async def reach(self, cursor: str) -> None:
        """Wait for up to REACH_SECONDS until this process is where the holder of a cursor has been at another one.

        It may be a moment behind that one, or much, after it was suspended or cut off. If a listener began here before,
        it would get again what it has. A cursor of another epoch may be of a new one, unless this process is level.
        """
        place = split_cursor(cursor)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REACH_SECONDS):
                while place is not None and not self._has(*place):
                    await self._moved.wait()

    def _has(self, epoch: str, seq: int) -> bool:
        return self.place[0] >= seq if epoch == self.epoch else self.is_level

    def _wake_waiting(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def close(self) -> None:
        """Stop. Idempotent."""
        task, self._task = self._task, None
        await end_tasks(task)
        await self._disconnect()

    async def _follow(self) -> None:
        wait_seconds = WAIT_SECONDS
        while True:
            try:
                self._client = self._connect()
                await self._attach()
                while True:
                    await self._read()
                    wait_seconds = WAIT_SECONDS
            except ReplicationError as error:
                log.warning("log.begins_anew", reason=str(error))
                self._must_join = True
                self._cut(str(error))
            except LogStalledError as error:
                self._cut(str(error))
            except Exception as error:
                # redis-py raises more than its own errors when a peer has closed: TypeError, AttributeError.
                self._cut(no_answer(error))
            await self._disconnect()
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, MOST_WAIT_SECONDS)

    async def _attach(self) -> None:
        """Find the own place in the log again, or join it."""
        epoch, last, first, _ = await self._where()
        if epoch is None:
            raise ReplicationError("the log has not begun: no process writes")
        if not self._must_join:
            if epoch != self.epoch:
                raise ReplicationError("a new epoch has begun")
            if last < self.place:
                # The writer sends them again, or begins a new epoch. Only a new epoch may give others their numbers.
                raise LogStalledError("Redis lacks entries that this process has")
            if first is not None and self.place < last and first > _after(self.place):
                raise ReplicationError("the log no longer has the entries that this process lacks")
        else:
            await self._join(epoch)
        self._heard_at = time.monotonic()
        self._wake_waiting()

    async def _where(self) -> tuple[str | None, Place, Place | None, list[RetainedRecord]]:
        assert self._client is not None
        keys = [self._keys.epochs, self._keys.meta, self._keys.retained]
        answer = await self._client.eval(ATTACH, len(keys), *keys, self._keys.stream(""))
        epoch, last, sub, first, self._epochs_id, flat = answer
        retained = [read_retained(key, value) for key, value in zip(flat[::2], flat[1::2], strict=True)]
        return (
            None if epoch is None else epoch.decode(),
            (int(last or 0), int(sub or 0)),
            None if first is None else _place(first),
            retained,
        )

    async def _join(self, epoch: str) -> None:
        if epoch != self.epoch:
            self._failed_at = None
        snapshot = await self._snapshot(epoch, self._failed_at)
        decoded = await self._state.decode(snapshot.body)
        # The retained entries are read after the snapshot was taken. The newer ones come again.
        epoch_now, _, first, retained = await self._where()
        if epoch_now != epoch:
            raise ReplicationError("a new epoch has begun")
        if first is not None and first > _after(snapshot.place):
            await self._client.delete(self._keys.snapshot)
            raise ReplicationError("the snapshot is too old")
        earlier = await self._before(epoch, snapshot.place)
        next_seq = snapshot.place[0] + 1 - sum(each.count for each in earlier)
        self._state.restore(decoded)
        self._state.begin(epoch, next_seq, [each for each in retained if each.seq < next_seq], earlier)
        self.epoch, self.place = epoch, snapshot.place
        self._must_join = False
        self.began += 1

    async def _before(self, epoch: str, stop: Place) -> list[Record]:
        """Return the records up to a place, as far back as the stream has them: whoever resumes may be behind it."""
        assert self._client is not None
        stream, last = self._keys.stream(epoch), f"{stop[0]}-{stop[1]}"
        found: list[Record] = []
        place, start = (0, 0), "-"
        while entries := await self._client.xrange(stream, start, last, count=READ_COUNT):
            for entry_id, fields in entries:
                before, place = place, _place(entry_id)
                try:
                    record = read_record(fields)
                except ReplicationError:
                    found.clear()
                    continue
                if place != _following(before, record):
                    found.clear()  # what was before it has been trimmed in the meantime
                found.append(record)
            start = f"({place[0]}-{place[1]}"
        return found if place == stop else []

    async def _snapshot(self, epoch: str, after: Place | None) -> SnapshotAt:
        """Return a snapshot at or after a place. Asks the writer for one until it is there."""
        assert self._client is not None
        while True:
            value = await self._client.get(self._keys.snapshot)
            if value is not None:
                found = SnapshotAt.read(value)
                if found.epoch == epoch and (after is None or found.place >= after):
                    return found
            await self._client.set(self._keys.wanted, 1, ex=WANTED_SECONDS)
            await asyncio.sleep(SNAPSHOT_POLL_SECONDS)
            current = await self._client.hget(self._keys.meta, "epoch")
            if current is None or current.decode() != epoch:
                raise ReplicationError("a new epoch has begun")

    async def _read(self) -> None:
        assert self._client is not None
        assert self.epoch is not None
        stream, epochs = self._keys.stream(self.epoch), self._keys.epochs
        places = {stream: f"{self.place[0]}-{self.place[1]}", epochs: self._epochs_id}
        answer = dict(await self._client.xread(places, count=READ_COUNT, block=BLOCK_MS))
        if epochs.encode() in answer:
            raise ReplicationError("a new epoch has begun")
        now = time.monotonic()
        entries: list[tuple[bytes, Any]] = answer.get(stream.encode(), [])
        if not entries:
            if now - self._heard_at > self._silence_seconds:
                await self._look_around()
            return
        self._heard_at = now
        turn_ends = now + TURN_SECONDS
        for entry_id, fields in entries:
            place = _place(entry_id)
            if place <= self.place:
                continue  # the snapshot of a RELOAD before it, in the same answer, has it already
            try:
                await self._take(place, read_record(fields))
            except ReplicationError:
                self._failed_at = place
                raise
            if time.monotonic() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + TURN_SECONDS
        if len(entries) < READ_COUNT and self.reason is not None:
            self.reason = None
            log.info("log.level", epoch=self.epoch, seq=self.place[0])
        self._wake_waiting()

    async def _look_around(self) -> None:
        """Nothing came for too long: find out whether the log is still this one, and raise that the writer is silent.

        XREAD does not tell that a stream was deleted.
        """
        await self._attach()
        raise LogStalledError("the writer is silent")

    async def _take(self, place: Place, record: Record) -> None:
        """Apply one entry. There is no await before the place is set, except to fetch a snapshot."""
        if place != _following(self.place, record):
            raise ReplicationError(f"after entry {self.place} comes {place}")
        if record.kind == RELOAD:
            assert self.epoch is not None
            snapshot = await self._snapshot(self.epoch, place)
            decoded = await self._state.decode(snapshot.body)
            await self._skip_to(snapshot, decoded)
            return
        if record.kind == MESSAGE:
            self._state.message(place[0], record)
        elif record.kind == OPERATION:
            made = self._state.operation(record)
            if made != record.count:
                raise ReplicationError(f"an operation made {made} entries here, and {record.count} at the writer")
        else:
            assert record.kind == HEARTBEAT
        self.place = place

    async def _skip_to(self, snapshot: SnapshotAt, decoded: object) -> None:
        """Take a snapshot that replaces the state. Entries up to its place are messages, or already in it."""
        assert self._client is not None
        stop = f"{snapshot.place[0]}-{snapshot.place[1]}"
        start = f"({self.place[0]}-{self.place[1]}"
        assert self.epoch is not None
        between = await self._client.xrange(self._keys.stream(self.epoch), start, stop)
        self._state.restore(decoded)
        for entry_id, fields in between:
            record, place = read_record(fields), _place(entry_id)
            if record.kind == MESSAGE:
                self._state.message(place[0], record)
            else:
                self._state.skip(record.count)
            self.place = place
        self._state.replaced()
        if self.place != snapshot.place:
            raise ReplicationError("the log lacks entries before the snapshot")

    def _cut(self, reason: str) -> None:
        if self.reason is None:
            log.warning("log.cut", reason=reason)
            self._on_cut(reason)
        self.reason = reason

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        await disconnect(client)


def _place(entry_id: bytes) -> Place:
    seq, _, sub = entry_id.partition(b"-")
    return int(seq), int(sub)


def _following(place: Place, record: Record) -> Place:
    """Return the place of a record that follows this place."""
    return (place[0] + record.count, 0) if record.count else (place[0], place[1] + 1)


def _after(place: Place) -> Place:
    """Return the lowest place that an entry after this one can have, if it takes no number."""
    return place[0], place[1] + 1
