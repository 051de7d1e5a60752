"""What the WebSocket answers its clients, on either lane. docs/protocol.md is the contract."""

from collections.abc import Mapping

import orjson

from quart_odds.broadcast import ODDS, TOPICS, BroadcastRegistry, Subscriber
from quart_odds.broadcast.content import Filter
from quart_odds.odds.watched import NO_EVENTS
from quart_odds.routes.access.limits import TokenBucket
from quart_odds.routes.live.place import Listening, LivePlace
from quart_odds.websocket.messages import Envelope, error_message, pong_message, subscription_update_message
from quart_odds.websocket.odds_filter import FilterError, OddsFilter, filter_of_json, make_filter

MAX_MESSAGE_BYTES = 4096
MESSAGES_A_SECOND = 10.0
MESSAGES_AT_ONCE = 40.0
MOST_OFFENCES = 60
"""Approximate number of errors in a row before the connection is closed: each valid message cancels one."""
MOST_WAITING = 128
"""Maximum number of answers that a client has requested but not taken."""

POLICY = 1008


class Conversation(Listening):
    """One client's connection: its subscriber, its place, and the answers to its messages.

    On the fast lane it is the connection's listener, and all that is left of the route. `named` are the events that the
    client named when it connected. It watches them as long as it is connected, and those of its filter.
    """

    __slots__ = ("_named", "_offences", "_registry", "_tokens")

    def __init__(self, registry: BroadcastRegistry, place: LivePlace, named: frozenset[int]) -> None:
        super().__init__(place)
        self._registry = registry
        self._flusher = registry.flusher
        self._named = named
        self._offences = 0
        self._tokens: TokenBucket | None = None

    def begin(self, subscriber: Subscriber, unknown: list[str]) -> None:
        """Begin with a subscriber. `unknown` are the topics that the client named and that do not exist."""
        self._subscriber = subscriber
        self._place.hold(self._flusher, subscriber)
        self._watch(subscriber.wanted.filter)
        if unknown:
            subscriber.send(unknown_topics(unknown))
        self.catch_up(subscriber)

    def catch_up(self, subscriber: Subscriber) -> None:
        """Send the client what there is for it."""
        self._flusher.catch_up(subscriber)

    def take(self, message: str | bytes | None) -> None:
        """Process a message from the client. A client that sends nonsense for too long is closed with 1008."""
        subscriber = self._subscriber
        if subscriber is None:
            return
        answer = self._answer(subscriber, message)
        is_good = answer is None or answer["type"] != "error"
        self._offences = max(0, self._offences - 1) if is_good else self._offences + 1
        if self._offences > MOST_OFFENCES or subscriber.backlog > MOST_WAITING:
            self._flusher.remove(subscriber, "refused")
            subscriber.end(POLICY, "too many messages that make no sense")
        elif answer is not None:
            self._registry.send(subscriber, answer)

    def heard(self) -> None:
        """Note that the client is alive."""
        if self._subscriber is not None:
            self._subscriber.pinged_at = None

    def _watch(self, filtered: Filter | None) -> None:
        chosen = filtered.event_ids if isinstance(filtered, OddsFilter) else NO_EVENTS
        self._place.watch(self._named | chosen)

    def _answer(self, subscriber: Subscriber, message: str | bytes | None) -> Envelope | None:
        """Carry out what the client asks for. Returns the answer; None if it has been sent already."""
        if self._tokens is None:
            self._tokens = TokenBucket(MESSAGES_A_SECOND, MESSAGES_AT_ONCE)
        if not self._tokens.take():
            return error_message("rate_limited", f"more than {MESSAGES_A_SECOND:.0f} messages a second")
        if not isinstance(message, str):
            return error_message("invalid_message", "send text, not binary")
        if len(message) > MAX_MESSAGE_BYTES:
            return error_message("too_large", f"a message may have at most {MAX_MESSAGE_BYTES} characters")
        try:
            said = orjson.loads(message)
        except orjson.JSONDecodeError:
            return error_message("invalid_json", 'send a JSON object such as {"type": "ping"}')
        if not isinstance(said, dict) or not isinstance(said.get("type"), str):
            return error_message("invalid_message", 'send a JSON object with a "type"')
        match said["type"]:
            case "ping":
                return pong_message()
            case "subscribe":
                return self._reselect(subscriber, said, is_more=True)
            case "unsubscribe":
                return self._reselect(subscriber, said, is_more=False)
        return error_message("unknown_type", f"send ping, subscribe or unsubscribe, not {said['type'][:40]!r}")

    def _reselect(self, subscriber: Subscriber, said: Mapping[str, object], *, is_more: bool) -> Envelope | None:
        topics = said.get("topics")
        if not isinstance(topics, list) or not all(isinstance(each, str) for each in topics):
            return error_message("invalid_message", '"topics" is a list of names')
        known = [each for each in topics if each in TOPICS]
        unknown = [each for each in topics if each not in TOPICS]
        if unknown:
            if not known:
                return unknown_topics(unknown)
            self._registry.send(subscriber, unknown_topics(unknown))
        former = subscriber.wanted
        topics = subscriber.wanted_topics | set(known) if is_more else subscriber.wanted_topics - set(known)
        try:
            filtered = self._filter(said, topics, former.filter, is_more=is_more)
        except FilterError as error:
            return invalid_filter(error)
        answer = subscription_update_message(topics, filtered.as_json() if filtered is not None else None)
        self._registry.reselect(subscriber, topics, filtered, answer)
        if filtered is not former.filter:
            self._watch(filtered)
        return None

    def _filter(
        self, said: Mapping[str, object], topics: frozenset[str], former: Filter | None, *, is_more: bool
    ) -> OddsFilter | None:
        """Return the filter after a change of topics. Raises FilterError."""
        if is_more and "filter" in said:
            if ODDS not in topics:
                raise FilterError("filter", 'a filter is for the topic odds: add "odds" to "topics"')
            return filter_of_json(said["filter"])
        if ODDS not in topics:
            return None
        return former if isinstance(former, OddsFilter) else make_filter()


def invalid_filter(error: FilterError) -> Envelope:
    """Return the error for a filter that is not possible."""
    return error_message("invalid_filter", f"{error.field}: {error.reason}")


def unknown_topics(topics: list[str]) -> Envelope:
    """Return the error for topics that do not exist."""
    names = ", ".join(repr(each[:40]) for each in topics[:8])
    return error_message("invalid_topic", f"there is no topic {names}; there are {', '.join(sorted(TOPICS))}")
