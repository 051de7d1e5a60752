"""Which events only the database still has, and by which keys they are found when a bookmaker lists them again."""

from collections.abc import Mapping

from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.odds.matching import genius_key, lone_key, match_key


class ArchivedEvents:
    """The ids of archived events by every key that a bookmaker's header may name them by."""

    def __init__(self) -> None:
        self._event_ids: dict[str, int] = {}

    def add(self, event_id: int, key: str, platform: Platform, external_id: str, genius_id: str | None) -> None:
        """Note one bookmaker's listing of an archived event."""
        self._event_ids[key] = self._event_ids[lone_key(platform, external_id)] = event_id
        if genius_id:
            self._event_ids[genius_key(genius_id)] = event_id

    def find(self, header: EventHeader) -> int | None:
        """The id of the archived event that a header belongs to; None if there is none."""
        if not self._event_ids:
            return None
        keys = [lone_key(header.platform, header.external_id)]
        if header.sportradar_id:
            keys.append(match_key(header.sportradar_id))
        if header.genius_id:
            keys.append(genius_key(header.genius_id))
        return next((self._event_ids[key] for key in keys if key in self._event_ids), None)

    def __contains__(self, event_id: object) -> bool:
        """Whether an event is archived."""
        return event_id in self._event_ids.values()

    def discard(self, event_id: int) -> None:
        """Forget an event that is in memory again."""
        self._event_ids = {key: other for key, other in self._event_ids.items() if other != event_id}

    def state(self) -> dict[str, int]:
        """Return the ids of all archived events by their keys."""
        return dict(self._event_ids)

    def adopt(self, state: Mapping[str, int]) -> None:
        """Replace all of them."""
        self._event_ids = dict(state)

    def clear(self) -> None:
        """Forget all of them."""
        self._event_ids.clear()
