"""Which quotes name one match by one id. A bookmaker that gives an id to many events says nothing by it."""

from quart_odds.domain.platforms import Platform
from quart_odds.odds.event_odds import EventOdds

MAX_CANDIDATES = 8
"""Events that one bookmaker may give one id at once: two are seen now and then, where an event is listed anew. With
more, matching would take longer the more there are, and could only guess."""

_Slot = tuple[Platform, bool]


class Candidates:
    """Quotes by the id that they name, each bookmaker's listed and absent ones apart.

    More than MAX_CLAIMS of one kind are a crowd: none of them is heard.
    """

    def __init__(self) -> None:
        self._slots: dict[str, dict[_Slot, dict[int, EventOdds]]] = {}
        self._places: dict[int, tuple[str, _Slot]] = {}
        self._unheard: dict[str, dict[int, EventOdds]] = {}

    def put(self, key: str, event_odds: EventOdds) -> str | None:
        """Note what a quote names, in place of what it named before, and whether it is listed; the key before."""
        slot = event_odds.header.platform, event_odds.is_absent
        before = self._places.get(event_odds.id)
        if before == (key, slot):
            return key
        self.drop(event_odds)
        odds = self._slots.setdefault(key, {}).setdefault(slot, {})
        odds[event_odds.id] = event_odds
        self._places[event_odds.id] = key, slot
        if len(odds) > MAX_CANDIDATES:
            newly = odds if len(odds) == MAX_CANDIDATES + 1 else {event_odds.id: event_odds}
            self._unheard.setdefault(key, {}).update(newly)
        return before[0] if before else None

    def drop(self, event_odds: EventOdds) -> None:
        """Forget what a quote names."""
        key, slot = self._places.pop(event_odds.id, (None, None))
        if key is None or slot is None:
            return
        slots = self._slots[key]
        del slots[slot][event_odds.id]
        if not slots[slot]:
            del slots[slot]
        if not slots:
            del self._slots[key]
        if (unheard := self._unheard.get(key)) is not None:
            unheard.pop(event_odds.id, None)

    def heard(self, key: str) -> list[EventOdds]:
        """The quotes that name this id, without crowds: a few at most."""
        slots = self._slots.get(key, {})
        return [event_odds for odds in slots.values() if len(odds) <= MAX_CANDIDATES for event_odds in odds.values()]

    def is_heard(self, event_odds: EventOdds) -> bool:
        """Whether a quote names something, and is not one of a crowd."""
        key, slot = self._places.get(event_odds.id, (None, None))
        return key is not None and slot is not None and len(self._slots[key][slot]) <= MAX_CANDIDATES

    def take_unheard(self, key: str) -> list[EventOdds]:
        """Those that have become part of a crowd since this was last asked, each once."""
        return list(self._unheard.pop(key, {}).values())
