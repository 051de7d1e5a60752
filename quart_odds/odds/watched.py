"""The events that somebody watches now: a page or another client names them for as long as it is connected."""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

MOST_WATCHED = 100
"""Maximum number of events that one connection may name."""


class WatchedEvents:
    """Counts for each event the connections that watch it."""

    def __init__(self) -> None:
        self._watchers: Counter[int] = Counter()

    def __contains__(self, event_id: object) -> bool:
        return event_id in self._watchers

    def __len__(self) -> int:
        return len(self._watchers)

    @contextmanager
    def watching(self, event_ids: Collection[int]) -> Iterator[None]:
        """Count these events as watched while the `with` body runs."""
        watched = frozenset(event_ids)
        self._watchers.update(watched)
        try:
            yield
        finally:
            for event_id in watched:
                self._watchers[event_id] -= 1
                if not self._watchers[event_id]:
                    del self._watchers[event_id]


def read_watched(text: str | None) -> frozenset[int]:
    """Return the event ids in a comma-separated text. Raises ValueError with what is allowed."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if len(names) > MOST_WATCHED or not all(name.isascii() and name.isdigit() and len(name) <= 10 for name in names):
        raise ValueError(f"give at most {MOST_WATCHED} event ids, comma-separated")
    return frozenset(map(int, names))
