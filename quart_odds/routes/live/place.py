"""A listener's place: one of the live connections that the limits count, and the events that it watches."""

from quart_odds.broadcast import Flusher, Subscriber
from quart_odds.odds.watched import NO_EVENTS
from quart_odds.routes.access.limits import Client
from quart_odds.services import Services


class LivePlace:
    """A place among the live connections, and the events watched from it, until `leave`.

    Raises TooManyConnectionsError if there is no place.
    """

    __slots__ = ("_is_left", "_limits", "_network", "_watched", "_watched_ids")

    def __init__(self, parts: Services, client: Client) -> None:
        self._limits = parts.limits
        self._network = parts.limits.enter(client)
        self._watched = parts.watched
        self._watched_ids = NO_EVENTS
        self._is_left = False

    def watch(self, event_ids: frozenset[int]) -> None:
        """Watch these events, instead of those before. A place that is left watches none."""
        if self._is_left or event_ids == self._watched_ids:
            return
        self._watched.add(event_ids)
        self._watched.discard(self._watched_ids)
        self._watched_ids = event_ids

    def leave(self) -> None:
        """Give the place back. Idempotent."""
        if not self._is_left:
            self.watch(NO_EVENTS)
            self._is_left = True
            self._limits.leave(self._network)


class Listening:
    """A subscriber and its place, for as long as the client is there."""

    __slots__ = ("_flusher", "_place", "_subscriber")

    def __init__(self, place: LivePlace) -> None:
        self._flusher: Flusher
        self._place = place
        self._subscriber: Subscriber | None = None

    def left(self) -> None:
        """Remove the subscriber, and give the place back."""
        subscriber = self._subscriber
        if subscriber is not None:
            self._flusher.remove(subscriber)
            # They refer to each other. Now both are freed at once, and not by the next full collection.
            subscriber.on_end = None
            self._subscriber = None
        self._place.leave()
