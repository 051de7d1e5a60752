"""Connections as operators see them: a listener at one moment, or at its end."""

from dataclasses import dataclass
from typing import Literal

from quart_odds.broadcast.selection import Selection
from quart_odds.broadcast.subscriber import Subscriber
from quart_odds.broadcast.trail import Trail

Ending = Literal["closed", "completed", "drained", "failed", "ping", "refused", "revoked", "stalled"]
"""Why a connection ended.

closed      the client left, its network failed, or the server cut it for what it sent (`peer.refused` in the log)
completed   a run's stream, after the run's end
drained     the server stopped, or was restarted
failed      writing to it raised an error
ping        a WebSocket that did not answer a ping
refused     a WebSocket whose messages made no sense for too long
revoked     its token was revoked or has expired, or its session has ended
stalled     it took nothing of what was written for too long
"""

State = Literal["waiting", "behind", "opening", "stalled", "ended"]
"""waiting: it has everything; behind: not everything was written, or taken; opening: it waits for a page of its image;
stalled: it was seen twice not to take anything of what was written."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A listener at the moment `at` of the hub's clock, as its other times are.

    `began_seq` is the first entry that was for it, `cursor` the next one. `selection` applies from the cursor on, and
    each of `later` from its entry on. `position` is the cursor from which the client may resume. `untaken_bytes` were
    written and not taken yet. `end_seq` is the end of the log when it ended.
    """

    number: int
    epoch: str
    transport: str
    lane: str
    selection: Selection
    later: tuple[tuple[int, Selection], ...]
    trail: Trail | None
    began_at: float
    began_seq: int
    cursor: int
    position: str
    state: State
    stalled_since: float | None
    untaken_bytes: int
    at: float
    ending: Ending | None = None
    end_seq: int | None = None

    @property
    def wanted(self) -> Selection:
        """What the client asked for last."""
        return self.later[-1][1] if self.later else self.selection

    def knows(self, seq: int) -> bool:
        """Return whether what happened at an entry is still known."""
        return self.trail is None or seq >= self.trail.known_from

    def selection_at(self, seq: int) -> Selection:
        """Return the selection that applies to an entry."""
        if seq < self.cursor:
            return self.selection if self.trail is None else self.trail.selection_at(seq, self.selection)
        return next((each for start, each in reversed(self.later) if start <= seq), self.selection)

    def has_missed(self, seq: int) -> bool:
        """Return whether an entry is in a gap."""
        return self.trail is not None and self.trail.is_missed(seq)


def connection_of(subscriber: Subscriber, at: float, ending: Ending | None = None) -> Connection:
    """Return a listener as it is now, or at its end."""
    sink = subscriber.sink
    pending = sink.pending() if sink.is_open else 0
    return Connection(
        number=subscriber.number,
        epoch=subscriber.log.epoch,
        transport=subscriber.framing.transport,
        lane=subscriber.framing.lane,
        selection=subscriber.selection,
        later=subscriber.later_selections,
        trail=subscriber.trail,
        began_at=subscriber.began_at,
        began_seq=subscriber.began_seq,
        cursor=subscriber.cursor,
        position=subscriber.position,
        state="ended" if ending is not None else _state(subscriber, pending),
        stalled_since=subscriber.stalled_since if pending else None,
        untaken_bytes=pending,
        at=at,
        ending=ending,
        end_seq=None if ending is None else subscriber.log.next_seq,
    )


def _state(subscriber: Subscriber, pending: int) -> State:
    if pending:
        return "behind" if subscriber.stalled_since is None else "stalled"
    if subscriber.is_opening:
        return "opening"
    return "behind" if subscriber.is_behind and not subscriber.is_current else "waiting"
