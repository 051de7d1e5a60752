"""Which event odds name the same id. An id that one bookmaker gives to many events identifies none of them."""

from collections.abc import Mapping

from quart_odds.domain.platforms import Platform
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.states import CandidatesState

MAX_CANDIDATES = 8
"""Maximum number of a bookmaker's events that may have the same id at once. Two occur now and then, when an event is
listed again. With many more, matching would take ever longer and could only guess."""

_Slot = tuple[Platform, bool]


class Candidates:
    """The event odds that name each id, separated by bookmaker and by whether they are listed or absent.

    More than MAX_CANDIDATES of the same bookmaker and kind are a crowd: none of them takes part in matching.
    """

    def __init__(self) -> None:
        self._slots: dict[str, dict[_Slot, dict[int, EventOdds]]] = {}
        self._places: dict[int, tuple[str, _Slot]] = {}
        self._ignored: dict[str, dict[int, EventOdds]] = {}

    def put(self, key: str, event_odds: EventOdds) -> str | None:
        """Note which id event odds name and whether they are listed. Returns the key that they had before."""
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
            self._ignored.setdefault(key, {}).update(newly)
        return before[0] if before else None

    def drop(self, event_odds: EventOdds) -> None:
        """Forget which id event odds name."""
        key, slot = self._places.pop(event_odds.id, (None, None))
        if key is None or slot is None:
            return
        slots = self._slots[key]
        del slots[slot][event_odds.id]
        if not slots[slot]:
            del slots[slot]
        if not slots:
            del self._slots[key]
        if (ignored := self._ignored.get(key)) is not None:
            ignored.pop(event_odds.id, None)
            if not ignored:
                del self._ignored[key]

    def considered(self, key: str) -> list[EventOdds]:
        """Return the event odds that name this id, without crowds: a few at most."""
        slots = self._slots.get(key, {})
        return [event_odds for odds in slots.values() if len(odds) <= MAX_CANDIDATES for event_odds in odds.values()]

    def is_considered(self, event_odds: EventOdds) -> bool:
        """Whether event odds name an id and are not part of a crowd."""
        key, slot = self._places.get(event_odds.id, (None, None))
        return key is not None and slot is not None and len(self._slots[key][slot]) <= MAX_CANDIDATES

    def take_ignored(self, key: str) -> list[EventOdds]:
        """Return the event odds that have become part of a crowd since the last call, each once."""
        return list(self._ignored.pop(key, {}).values())

    def state(self) -> CandidatesState:
        """Return which event odds name each id. Takes some 1 µs an id."""
        return CandidatesState(
            {
                key: tuple([(odds_id, is_absent) for (_, is_absent), odds in slots.items() for odds_id in odds])
                for key, slots in self._slots.items()
            },
            {key: tuple(odds) for key, odds in self._ignored.items()},
        )

    def adopt(self, state: CandidatesState, odds: Mapping[int, EventOdds]) -> None:
        """Replace everything. `odds` are the event odds by their ids."""
        self._slots, self._places, self._ignored = {}, {}, {}
        for key, named in state.named.items():
            slots = self._slots[key] = {}
            for odds_id, is_absent in named:
                slot = odds[odds_id].header.platform, is_absent
                slots.setdefault(slot, {})[odds_id] = odds[odds_id]
                self._places[odds_id] = key, slot
        for key, ignored in state.ignored.items():
            self._ignored[key] = {odds_id: odds[odds_id] for odds_id in ignored}
