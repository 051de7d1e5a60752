"""What became of a message at one connection, from what the hub knows anyway: nothing is recorded per delivery."""

from dataclasses import dataclass
from typing import Literal

from quart_odds.broadcast.connections import Connection
from quart_odds.broadcast.event_log import EventLog

Result = Literal[
    "delivered",
    "filtered_out",
    "missed",
    "pending",
    "undelivered",
    "not_published",
    "before_connection",
    "after_connection",
    "gone",
    "unknown",
]
"""What became of a message. The texts of `explain` say what each means."""

FILTERED = {
    "topic": "the connection did not listen to its topic",
    "event": "it is about other events and tournaments than the filter named",
    "filter": "the markets, bookmakers or min_move of the filter left it out",
    "nobody": "the entry has no message: it only marks a place in the log",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message, what filtered it out if that was so, and the same as a sentence."""

    result: Result
    reason: str
    by: str | None = None


def explain(connection: Connection, log: EventLog, seq: int) -> Verdict:
    """Return what became of the entry `seq` at a connection to this log. What is not known exactly is not claimed."""
    if connection.epoch != log.epoch:
        return Verdict("unknown", "the log was replaced by another one after the connection had ended")
    if seq >= log.next_seq:
        return Verdict("not_published", "no message has this number yet")
    if seq < connection.began_seq:
        return Verdict(
            "before_connection",
            "it was published before the place in the log where the connection began; what the connection got first, "
            "such as an image, may include it",
        )
    if connection.end_seq is not None and seq >= connection.end_seq:
        return Verdict("after_connection", "it was published after the connection had ended")
    if not connection.knows(seq):
        return Verdict("unknown", "the selection of the connection has changed too often since, or it had many gaps")
    kept_out = log.kept_from(seq, connection.selection_at(seq))
    if kept_out is None:
        return Verdict("gone", "the message is no longer in the log, and what is left of it does not tell")
    if kept_out:
        return Verdict("filtered_out", FILTERED[kept_out], kept_out)
    if connection.has_missed(seq):
        return Verdict("missed", "it is in a gap of which the connection was told; the newest state was sent instead")
    if seq >= connection.cursor:
        if connection.ending is None:
            return Verdict("pending", "it waits until the connection can take it")
        return Verdict("undelivered", "the connection ended before it could take it")
    if connection.ending == "failed":
        return Verdict("unknown", "writing to the connection failed, and how much was written before is not known")
    untaken = connection.untaken_bytes
    return Verdict(
        "delivered",
        "it was written to the connection"
        + (f"; of all that was written, the client has not taken the last {untaken} bytes" if untaken else ""),
    )
