"""The events in memory, and which bookmakers' event odds belong to each of them.

Event odds move between events as bookmakers' ids and kick-offs come and change; `matching.agreeing` decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypedDict

from quart_odds.domain.platforms import Platform
from quart_odds.odds.candidates import Candidates
from quart_odds.odds.competitions import Competitions
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.matching import PLATFORM_ORDER, Candidate, agreeing, genius_key, lone_key, match_key
from quart_odds.odds.states import CacheState, CandidatesState, EventState


@dataclass(slots=True)
class Placement:
    """What matching moved: event odds, the events that they left and joined, and those that ceased to exist."""

    moved: set[int] = field(default_factory=set)
    also: set[int] = field(default_factory=set)
    emptied: set[int] = field(default_factory=set)
    left: list[int] = field(default_factory=list)

    def moves(self, event_id: int) -> "Moves":
        """The fields of an EventChange of this event."""
        return {
            "moved": tuple(sorted(self.moved)),
            "also": tuple(sorted(self.also - {event_id})),
            "emptied": tuple(sorted(self.emptied)),
        }


class Moves(TypedDict):
    """Fields of an EventChange: ids of moved event odds, of other events concerned, and of events that are gone."""

    moved: tuple[int, ...]
    also: tuple[int, ...]
    emptied: tuple[int, ...]


class MatchedEvents:
    """Events by id and by key. Ids are positive and ascend."""

    def __init__(self) -> None:
        self.last_id = 0
        self._events: dict[int, CachedEvent] = {}
        self._by_key: dict[str, CachedEvent] = {}
        self._by_match = Candidates()
        self._by_genius_id = Candidates()
        self._by_kickoff: list[CachedEvent] | None = None
        self._competitions: Competitions | None = None

    @property
    def all(self) -> Mapping[int, CachedEvent]:
        """Every event by its id."""
        return MappingProxyType(self._events)

    def get(self, event_id: int) -> CachedEvent | None:
        """The event with this id."""
        return self._events.get(event_id)

    def find(self, sportradar_id: str) -> CachedEvent | None:
        """The event with this SportRadar id."""
        return self._by_key.get(match_key(sportradar_id))

    def by_kickoff(self) -> list[CachedEvent]:
        """Every event, ordered by kick-off, name and id. The list is kept until an event comes, goes or moves."""
        if self._by_kickoff is None:
            self._by_kickoff = sorted(
                self._events.values(), key=lambda event: (event.header.kickoff, event.header.name, event.id)
            )
        return self._by_kickoff

    def competitions(self) -> Competitions:
        """Which competitions are the same one. Kept until an event comes, goes or moves, or its header changes."""
        events = self.by_kickoff()
        if self._competitions is None or self._competitions.events is not events:
            self._competitions = Competitions(events)
        return self._competitions

    def vetoed(self) -> Iterator[tuple[CachedEvent, CachedEvent | None]]:
        """Events that stand alone although they have a SportRadar id, each with the event that has that id."""
        for event in self._events.values():
            named = event.header.sportradar_id
            if event.sportradar_id is None and named:
                yield event, self.find(named)

    def restore(self, event: CachedEvent, odds: Sequence[EventOdds]) -> None:
        """Put back an event that was stored, with its event odds in PLATFORM_ORDER, as it was."""
        self._events[event.id] = self._by_key[event.key] = event
        event.odds = {event_odds.header.platform: event_odds for event_odds in odds}
        for event_odds in odds:
            event_odds.event_id = event.id
            self._note_genius_id(event_odds)
        for event_odds in odds:
            self._note_match(event_odds)
        self.last_id = max(self.last_id, event.id)
        self._by_kickoff = None

    def forget(self, event_id: int) -> CachedEvent | None:
        """Remove an event and its event odds; None if there is no such event."""
        event = self._events.pop(event_id, None)
        if event is None:
            return None
        del self._by_key[event.key]
        for event_odds in event.odds.values():
            self._by_match.drop(event_odds)
            self._by_genius_id.drop(event_odds)
        self._by_kickoff = None
        return event

    def states(self) -> tuple[EventState, ...]:
        """Return the state of every event."""
        return tuple(map(EventState.of, self._events.values()))

    def candidates(self) -> tuple[CandidatesState, CandidatesState]:
        """Return which event odds name each match, and which name each Genius id."""
        return self._by_match.state(), self._by_genius_id.state()

    def adopt(self, state: CacheState, odds: Mapping[int, EventOdds], version: int) -> None:
        """Replace everything. `odds` are the event odds by their ids, `version` becomes that of each event."""
        self.last_id = state.last_event_id
        self._events = {
            each.id: CachedEvent(
                each.id,
                each.key,
                each.created_at,
                each.changed_at,
                {odds[odds_id].header.platform: odds[odds_id] for odds_id in each.odds_ids},
                each.revision,
                version,
            )
            for each in state.events
        }
        self._by_key = {event.key: event for event in self._events.values()}
        self._by_match.adopt(state.matches, odds)
        self._by_genius_id.adopt(state.genius_ids, odds)
        self._by_kickoff = None

    def place(self, event_odds: EventOdds, at: datetime, former_genius_id: str | None = None) -> Placement:
        """Put event odds into the event that their ids name, and move others that this concerns."""
        placement = Placement()
        self._by_kickoff = None
        concerned: dict[str, None] = {}
        # A bookmaker that names the match by its Genius id alone may have learned, or lost, its SportRadar id.
        for other in self._note_genius_id(event_odds, former_genius_id):
            concerned |= dict.fromkeys(self._note_match(other))
        for key in concerned:
            self._arrange(key, placement, at)
        for event_id in placement.left:
            event = self._events.get(event_id)
            if event is not None and not self._has_odds(event):
                del self._events[event_id], self._by_key[event.key]
                placement.emptied.add(event_id)
        placement.also -= placement.emptied
        placement.moved.discard(event_odds.id)
        return placement

    def _note_genius_id(self, event_odds: EventOdds, former_genius_id: str | None = None) -> list[EventOdds]:
        """Note the Genius id of event odds. Returns the event odds whose match that may change, these first: a few."""
        genius_id = event_odds.header.genius_id
        if genius_id:
            self._by_genius_id.put(genius_id, event_odds)
        else:
            self._by_genius_id.drop(event_odds)
        fellows = {event_odds.id: event_odds}
        for each in dict.fromkeys((genius_id, former_genius_id)):
            if each:
                fellows |= {other.id: other for other in self._by_genius_id.take_ignored(each)}
                fellows |= {other.id: other for other in self._by_genius_id.considered(each)}
        return list(fellows.values())

    def _note_match(self, event_odds: EventOdds) -> list[str]:
        """Note which match event odds belong to by their ids. Returns the keys of that match and of the former one."""
        key = self._match_of(event_odds)
        before = self._by_match.put(key, event_odds)
        return [key] if before in (None, key) else [key, before]

    def _match_of(self, event_odds: EventOdds) -> str:
        """The key of the match: by SportRadar id, by Genius Sports id, or of an event that stands alone."""
        header = event_odds.header
        if header.sportradar_id:
            return match_key(header.sportradar_id)
        if header.genius_id and self._by_genius_id.is_considered(event_odds):
            known = {
                other.header.sportradar_id
                for other in self._by_genius_id.considered(header.genius_id)
                if other.header.sportradar_id
            }
            # With two SportRadar ids for one Genius id, one of them is wrong, and nobody knows which.
            return match_key(known.pop()) if len(known) == 1 else genius_key(header.genius_id)
        return lone_key(header.platform, header.external_id)

    def _arrange(self, key: str, placement: Placement, at: datetime) -> None:
        """Put the candidates for one match into the events that `matching.agreeing` says."""
        odds = {event_odds.id: event_odds for event_odds in self._by_match.considered(key)}
        together = agreeing(
            Candidate(each.id, each.header.platform, each.header.kickoff, each.is_absent) for each in odds.values()
        )
        for event_odds in (*self._by_match.take_ignored(key), *odds.values()):
            if event_odds.id not in together:  # first out, then in: an event has the odds of a bookmaker once
                self._move(
                    event_odds, lone_key(event_odds.header.platform, event_odds.header.external_id), placement, at
                )
        for odds_id in together:
            self._move(odds[odds_id], key, placement, at)

    def _move(self, event_odds: EventOdds, key: str, placement: Placement, at: datetime) -> None:
        here = self._events.get(event_odds.event_id)
        if here is not None and here.key == key:
            return
        there = self._by_key.get(key)
        if there is None:
            self.last_id += 1
            there = CachedEvent(self.last_id, key, created_at=at, changed_at=at)
            self._events[there.id] = self._by_key[key] = there
        event_odds.event_id = there.id
        if here is not None:
            left = {platform: other for platform, other in here.odds.items() if other is not event_odds}
            # An event that ceases to exist keeps its last odds, for readers that still hold it.
            here.odds = left or here.odds
            placement.left.append(here.id)
            placement.also.add(here.id)
        odds = {**(there.odds if self._has_odds(there) else {}), event_odds.header.platform: event_odds}
        there.odds = {platform: odds[platform] for platform in Platform if platform in odds}
        placement.moved.add(event_odds.id)
        placement.also.add(there.id)

    @staticmethod
    def _has_odds(event: CachedEvent) -> bool:
        """Whether any of the event odds of an event are still its own."""
        return any(event_odds.event_id == event.id for event_odds in event.odds.values())


def in_platform_order(odds: Sequence[EventOdds]) -> list[EventOdds]:
    """Event odds in the order in which their bookmakers name an event."""
    return sorted(odds, key=lambda event_odds: PLATFORM_ORDER[event_odds.header.platform])
