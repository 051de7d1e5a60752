"""How the WebSocket and its SSE twin start: topics and filter, the place in the log, and the handshake message."""

from collections.abc import Callable, Mapping

from structlog.contextvars import bind_contextvars

from quart_odds.broadcast import DEFAULT_TOPICS, ODDS, TOPICS, BroadcastRegistry, ResumePosition, Subscriber
from quart_odds.services import Services
from quart_odds.websocket.messages import Envelope, connection_ack_message
from quart_odds.websocket.odds_filter import FILTER_FIELDS, FilterError, OddsFilter, filter_of_query


def begin_connection(registry: BroadcastRegistry) -> tuple[int, str]:
    """Return the number and the id of a new connection. From here on, log lines of the current task have its id."""
    number = registry.figures.new_number()
    connection_id = registry.figures.id_of(number)
    bind_contextvars(connection_id=connection_id)
    return number, connection_id


async def until_reached(parts: Services, cursor: str | None) -> None:
    """Wait, within a bound, until this process is where the client with this cursor has been at another one."""
    if cursor and parts.shared_log is not None:
        await parts.shared_log.tail.reach(cursor)


def split_topics(asked: str | None) -> tuple[frozenset[str], list[str]]:
    """Return the topics in a `?topics=a,b`, and the names that are not topics.

    Omitted or empty means DEFAULT_TOPICS: other topics reach only those who name them.
    """
    names = [name.strip() for name in (asked or "").split(",") if name.strip()]
    if not names:
        return DEFAULT_TOPICS, []
    return TOPICS.intersection(names), [name for name in names if name not in TOPICS]


def asked_filter(topics: frozenset[str], query: Mapping[str, str]) -> OddsFilter | None:
    """Return the filter in a query string; None if the topic `odds` is not asked for. Raises FilterError."""
    if ODDS in topics:
        return filter_of_query(query)
    for field in FILTER_FIELDS:
        if query.get(field):
            raise FilterError(field, "a filter is for the topic odds: add topics=odds")
    return None


def handshake_message(
    topics: frozenset[str], place: ResumePosition, filtered: OddsFilter | None, connection_id: str
) -> Callable[[Subscriber], Envelope]:
    """Return a function that makes the handshake of a connection: what it selects, its position in the log, its id."""

    def make(subscriber: Subscriber) -> Envelope:
        message = connection_ack_message(topics)
        message["data"] |= {
            "epoch": subscriber.log.epoch,
            "recovered": place.recovered,
            "cursor": subscriber.position if filtered is not None else subscriber.log.cursor_at(place.seq),
            "connection_id": connection_id,
        }
        if filtered is not None:
            message["data"]["filter"] = filtered.as_json()
        if not place.recovered:
            message["data"]["missed"] = place.missed
        return message

    return make
