"""A listener's place: one of the live connections that the limits count, and the events that it watches."""

from quart_odds.access.values import Grant
from quart_odds.broadcast import Flusher, Subscriber
from quart_odds.domain.scopes import Scope
from quart_odds.odds.watched import NO_EVENTS
from quart_odds.routes.access.limits import Client
from quart_odds.services import Services

TOKEN_OVER = 4401
"""The close code of a WebSocket whose token was revoked or has expired, or whose session has ended."""


class LivePlace:
    """A place among the live connections, and the events watched from it, until `leave`.

    It ends the listener when what its request was granted is over. Raises TooManyConnectionsError if there is no place.
    """

    __slots__ = (
        "_flusher",
        "_grant",
        "_is_left",
        "_limits",
        "_network",
        "_subscriber",
        "_ties",
        "_watched",
        "_watched_ids",
    )

    def __init__(self, parts: Services, client: Client, grant: Grant) -> None:
        self._limits = parts.limits
        self._network = parts.limits.enter(client)
        self._watched = parts.watched
        self._watched_ids = NO_EVENTS
        self._is_left = False
        self._grant = grant
        self._ties = parts.ties
        self._flusher: Flusher | None = None
        self._subscriber: Subscriber | None = None

    def watch(self, event_ids: frozenset[int]) -> None:
        """Watch these events, instead of those before. A place that is left watches none.

        Watching costs requests to bookmakers, so a listener that may only read does not.
        """
        if self._is_left or not self._grant.scope.includes(Scope.RUN):
            return
        self._watch(event_ids)

    def hold(self, flusher: Flusher, subscriber: Subscriber) -> None:
        """Note who listens from here."""
        self._flusher, self._subscriber = flusher, subscriber
        self._ties.add(self._grant, self)

    def end(self) -> None:
        """End the listener: what its request was granted is over."""
        flusher, subscriber = self._flusher, self._subscriber
        if flusher is not None and subscriber is not None:
            flusher.remove(subscriber, "revoked")
            subscriber.end(TOKEN_OVER, "the token is over")

    def leave(self) -> None:
        """Give the place back. Idempotent."""
        if not self._is_left:
            self._watch(NO_EVENTS)
            self._is_left = True
            self._limits.leave(self._network)
            self._ties.discard(self._grant, self)
            self._flusher = self._subscriber = None

    def _watch(self, event_ids: frozenset[int]) -> None:
        if event_ids != self._watched_ids:
            self._watched.add(event_ids)
            self._watched.discard(self._watched_ids)
            self._watched_ids = event_ids


class Listening:
    """A subscriber and its place, for as long as the client is there."""

    __slots__ = ("_flusher", "_place", "_subscriber")

    def __init__(self, place: LivePlace) -> None:
        self._flusher: Flusher
        self._place = place
        self._subscriber: Subscriber | None = None

    @property
    def connection_id(self) -> str:
        """The id of the connection, for log lines; empty before it begins and after its end."""
        subscriber = self._subscriber
        return "" if subscriber is None else self._flusher.figures.id_of(subscriber.number)

    def left(self) -> None:
        """Remove the subscriber, and give the place back."""
        subscriber = self._subscriber
        if subscriber is not None:
            self._flusher.remove(subscriber)
            # They refer to each other. Now both are freed at once, and not by the next full collection.
            subscriber.on_end = None
            self._subscriber = None
        self._place.leave()
