"""Which tournaments an event is in, or was in: a listener to a tournament keeps the events that leave it."""

from collections.abc import Iterable, Mapping

from quart_odds.odds.event import CachedEvent

MOST_MOVED = 10_000
"""Events whose former tournaments are remembered. Almost none ever changes its tournament."""


class Tournaments:
    """The tournaments of events, at all their bookmakers and since the start."""

    def __init__(self) -> None:
        self._former: dict[int, frozenset[int]] = {}

    def of(self, event: CachedEvent) -> frozenset[int]:
        """Return the ids of the tournaments that an event is in or was in."""
        own = frozenset(event_odds.competition_id for event_odds in event.odds.values())
        former = self._former.get(event.id)
        return own if former is None else own | former

    def former(self, event_id: int) -> frozenset[int]:
        """Return the tournaments that were noted for an event, which may no longer exist."""
        return self._former.get(event_id, frozenset())

    def state(self) -> dict[int, frozenset[int]]:
        """Return the tournaments that were noted, by event: what a snapshot of the odds has of them."""
        return dict(self._former)

    def adopt(self, state: Mapping[int, frozenset[int]]) -> None:
        """Replace all that were noted by those of a snapshot."""
        self._former = dict(state)

    def note(self, event: CachedEvent, tournament_ids: Iterable[int]) -> None:
        """Note that what happened to an event also concerns listeners to these tournaments, from now on."""
        known = self.of(event)
        every = known.union(tournament_ids)
        if every != known:
            self._former[event.id] = every
            if len(self._former) > MOST_MOVED:
                del self._former[next(iter(self._former))]
