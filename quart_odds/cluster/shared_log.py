"""The log that several processes share: what the writer puts on it, and what each process makes of it.

Odds take one way: the writer's odds service applies an operation to its own cache and appends it here. Every process,
the writer's too, reads the log and applies the operation to a replica, which is what it serves. The messages that this
means for listeners are made by each process, from its replica, in the same turn: so the replica is always at the place
of the log where the process is.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from quart_odds.broadcast import ODDS, BroadcastRegistry
from quart_odds.broadcast.content import Content
from quart_odds.broadcast.engines import MESSAGE, OPERATION, LogKeys, LogTail, Record, StreamPublisher
from quart_odds.broadcast.engines.publisher import reload_record
from quart_odds.broadcast.engines.records import RetainedRecord
from quart_odds.broadcast.engines.snapshots import SnapshotOffice
from quart_odds.domain.clock import of_micros, to_micros, utc_now
from quart_odds.errors import NotWriterError, ReplicationError
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.operation_codec import decode, encode
from quart_odds.odds.operations import Operation, Recalled, carry_out
from quart_odds.odds.served import ServedOdds
from quart_odds.odds.service import OddsService
from quart_odds.odds.snapshots import Snapshot, decode_snapshot, take
from quart_odds.websocket.messages import degraded_message
from quart_odds.websocket.odds_feed import OddsFeed

if TYPE_CHECKING:
    from redis.asyncio import Redis

PAUSE_SHARE = 0.75
"""Of the duration of a flush, for a pause that lets more messages come before the next one.

A message that comes through Redis needs the loop several times. Flushes to many listeners that follow each other
closely leave it no time, so that each carries little: a burst takes twice as long.
"""

PRESSED_SHARE = 1.0
"""The same in a burst, where a message that waits a little longer is not the one that decides how long it takes."""

_MOMENT = struct.Struct(">q")

log = structlog.get_logger(__name__)


class OddsReplica:
    """The odds of this process, and the local log of its listeners, as the shared log says. A ReplicatedState."""

    def __init__(self, served: ServedOdds, registry: BroadcastRegistry) -> None:
        self.feed = OddsFeed(self._publish, served.cache, lambda: self._at)
        self.on_applied: Callable[[EventChange], object] | None = None
        """Called with every change of the odds, right after they took it."""
        self._served = served
        self._registry = registry
        self._at = utc_now()

    async def decode(self, snapshot: bytes) -> Snapshot:
        """Return what a snapshot has. Raises ReplicationError if it cannot be read."""
        return await asyncio.to_thread(decode_snapshot, snapshot)

    def restore(self, decoded: object) -> None:
        """Replace the odds by those of a snapshot."""
        assert isinstance(decoded, Snapshot)
        decoded.restore(self._served.cache)
        self.feed.adopt(decoded.former_tournaments)

    def begin(self, epoch: str, next_seq: int, retained: Sequence[RetainedRecord], earlier: Sequence[Record]) -> None:
        """Begin the local log at a place. Listeners that there are learn of a gap."""
        self._registry.begin_anew(epoch, next_seq, retained, earlier)

    def message(self, seq: int, record: Record) -> None:
        """Deliver a message."""
        self._registry.deliver(record.payload, record.topic, name=record.name, retain=record.retain, ends=record.ends)

    def operation(self, record: Record) -> int:
        """Apply an operation, and return how many entries it made. Raises ReplicationError."""
        before = self._registry.log.next_seq
        operation, self._at = _read(record.payload)
        try:
            changes = carry_out(self._served.cache, operation)
        except Exception as error:
            raise ReplicationError(f"an operation cannot be applied here: {error!r}") from error
        _tell(self.feed, self._served.cache, operation, changes)
        if self.on_applied is not None:
            for change in changes:
                self.on_applied(change)
        return self._registry.log.next_seq - before

    def skip(self, count: int) -> None:
        """Put entries on the local log that nobody receives."""
        self._registry.log.skip(count)

    def replaced(self) -> None:
        """Send listeners the odds anew."""
        self._registry.reload_images(ODDS, has_entry=True)

    def _publish(self, content: Content) -> None:
        self._registry.publish(content, ODDS)


class SharedLog:
    """This process's part in the shared log. It reads from `open` to `close`, and writes while it is the writer."""

    def __init__(
        self, connect: Callable[[], "Redis"], keys: LogKeys, registry: BroadcastRegistry, odds_service: OddsService
    ) -> None:
        self.served = ServedOdds(odds_service.store, OddsCache())
        self.replica = OddsReplica(self.served, registry)
        self.tail = LogTail(connect, keys, self.replica, on_cut=lambda _: registry.broadcast_all(degraded_message()))
        self.publisher = StreamPublisher(
            connect, keys, on_begin=self._on_begin, on_refused=odds_service.refuse, on_wanted=self._on_wanted
        )
        self._snapshots = SnapshotOffice(connect, keys, self.publisher, self._take)
        self.on_begun: Callable[[], object] = lambda: None
        """Called when a term or an epoch has begun in which this process writes."""
        registry.flusher.pause_share, registry.flusher.pressed_share = PAUSE_SHARE, PRESSED_SHARE
        self._registry = registry
        self._odds_service = odds_service
        self._counted = 0
        self._at = utc_now()
        self._counting = OddsFeed(self._count, odds_service.cache, lambda: self._at)

    def open(self) -> None:
        """Start to read, and to write whatever the odds service does."""
        self._registry.append_elsewhere = self._append_message
        self._odds_service.on_operation = self._append_operation
        self._odds_service.on_reloaded = self._on_reloaded
        self._odds_service.on_term = self._on_term
        self._on_term(self._odds_service.term if self._odds_service.is_writer else None)
        self.tail.open()

    async def close(self) -> None:
        """Let Redis take what waits, and stop."""
        await self.publisher.close()
        await self._snapshots.close()
        await self.tail.close()

    def oldest_told(self) -> int | None:
        """Return the oldest run of which the log retains messages, as this process writes it; None if there is none."""
        return min((int(each.retain[0]) for each in self.publisher.retained() if each.retain is not None), default=None)

    def is_end_told(self, run_id: int) -> bool:
        """Return whether the log has the end of a run, as this process writes it."""
        return self.publisher.has_ended(str(run_id))

    def _on_term(self, term: int | None) -> None:
        """Begin to write in a term; None: another process writes."""
        if term is None:
            self.publisher.end()
        else:
            self.publisher.begin(term)

    def _append_message(self, record: Record) -> None:
        try:
            self.publisher.append(record)
        except NotWriterError:
            # Such as the end of a run that lost its right to write: the new writer publishes that.
            log.debug("log.not_appended", name=record.name)

    def _append_operation(self, operation: Operation, changes: Sequence[EventChange]) -> None:
        self._at, self._counted = utc_now(), 0
        _tell(self._counting, self._odds_service.cache, operation, changes)
        moment = _MOMENT.pack(to_micros(self._at))
        self._append_message(Record(OPERATION, self._counted, moment + encode(operation)))

    def _on_reloaded(self) -> None:
        if self.publisher.is_open:
            self.publisher.append(reload_record())

    def _on_begin(self, is_new_epoch: bool) -> None:
        self.publisher.append(reload_record())
        if is_new_epoch:
            for (group, member), entry, ends in self._registry.log.retained():
                key = (str(group), str(member or ""))
                self.publisher.append(Record(MESSAGE, 1, entry.payload, entry.topic, entry.name, key, ends))
        asyncio.get_running_loop().call_soon(self.on_begun)

    def _on_wanted(self) -> None:
        self._snapshots.wanted()

    def _take(self) -> Callable[[], bytes]:
        return take(self._odds_service.cache, self._counting.tournaments.state()).encode

    def _count(self, content: Content) -> None:
        self._counted += 1


def _tell(feed: OddsFeed, cache: OddsCache, operation: Operation, changes: Sequence[EventChange]) -> None:
    """Let a feed publish what an operation means, in the order of the changes."""
    for change in changes:
        feed(change)
    if isinstance(operation, Recalled) and operation.stored is not None:
        event = cache.get(operation.event_id)
        if event is not None:
            feed.recalled(event)


def _read(payload: bytes) -> tuple[Operation, datetime]:
    """Return an operation and when the writer carried it out. Raises ReplicationError."""
    if len(payload) < _MOMENT.size:
        raise ReplicationError("an operation has no time")
    (microseconds,) = _MOMENT.unpack_from(payload)
    try:
        at = of_micros(microseconds)
    except OverflowError:
        raise ReplicationError("an operation has a time that there is not") from None
    return decode(payload[_MOMENT.size :]), at
