"""How the WebSocket and its SSE twin start: the requested topics, and the handshake message."""

from collections.abc import Callable

from quart_odds.broadcast import TOPICS, ResumePosition, Subscriber
from quart_odds.websocket.messages import Envelope, connection_ack_message


def split_topics(asked: str | None) -> tuple[frozenset[str], list[str]]:
    """Return the topics in a `?topics=a,b`, and the names that are not topics. Omitted or empty means all topics."""
    names = [name.strip() for name in (asked or "").split(",") if name.strip()]
    if not names:
        return TOPICS, []
    return TOPICS.intersection(names), [name for name in names if name not in TOPICS]


def handshake_message(topics: frozenset[str], place: ResumePosition) -> Callable[[Subscriber], Envelope]:
    """Return a function that makes the handshake of a connection: its topics, and its position in the log."""

    def make(subscriber: Subscriber) -> Envelope:
        message = connection_ack_message(topics)
        message["data"] |= {
            "epoch": subscriber.log.epoch,
            "recovered": place.recovered,
            "cursor": subscriber.log.cursor_at(place.seq),
        }
        if not place.recovered:
            message["data"]["missed"] = place.missed
        return message

    return make
