"""The events that somebody watches now: a page or another client names them for as long as it is connected."""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from heapq import nlargest

MOST_WATCHED = 100
"""Maximum number of events that one connection may name."""
NO_EVENTS: frozenset[int] = frozenset()
"""What most connections name. Python makes a new object of 216 bytes for each `frozenset()`."""

MOST_TOLD = 1000
"""Maximum number of watched events that a process tells others: more than any budget of requests could keep fresh."""


class WatchedEvents:
    """Counts for each event the connections that watch it. `elsewhere` returns those watched at other processes."""

    def __init__(self) -> None:
        self.elsewhere: Callable[[], Container[int]] = frozenset
        self._watchers: Counter[int] = Counter()

    def __contains__(self, event_id: object) -> bool:
        return event_id in self._watchers or event_id in self.elsewhere()

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, event_ids: frozenset[int]) -> None:
        """Count these events as watched once more."""
        self._watchers.update(event_ids)

    def discard(self, event_ids: frozenset[int]) -> None:
        """Count these events, which were added, as watched once less."""
        for event_id in event_ids:
            self._watchers[event_id] -= 1
            if not self._watchers[event_id]:
                del self._watchers[event_id]

    def here(self, event_ids: Iterable[int], most: int = MOST_TOLD) -> tuple[int, ...]:
        """Return which of these events are watched at this process, at most so many: those with the most watchers.

        Clients may name events that do not exist, so what is told to others is looked up from what does.
        """
        found = [event_id for event_id in event_ids if event_id in self._watchers]
        if len(found) > most:
            found = nlargest(most, found, key=self._watchers.__getitem__)
        return tuple(found)


def read_watched(text: str | None) -> frozenset[int]:
    """Return the event ids in a comma-separated text. Raises ValueError with what is allowed."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if len(names) > MOST_WATCHED or not all(name.isascii() and name.isdigit() and len(name) <= 10 for name in names):
        raise ValueError(f"give at most {MOST_WATCHED} event ids, comma-separated")
    return frozenset(map(int, names)) if names else NO_EVENTS
