"""What the cache holds, as plain values that share nothing modifiable with it: what a snapshot is made of.

Of the cache itself, `OddsCache.state` takes them and `OddsCache.adopt` puts them back. What only saves time is not
among them: unpacked arrays, shared texts, versions. Neither is what only the writer of the database needs.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from quart_odds.domain.odds import EventHeader, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.offer_times import Listed, SourceTimes


class OddsState(NamedTuple):
    """All of a bookmaker's event odds (`EventOdds`, which explains the fields) but `noted_at` and `recent`.

    `packed` has `length` prices, compressed (`Columns`), `chances` their probabilities (`odds.chances`). `fetched` is
    the digest of the newest body, or empty.
    """

    id: int
    header: EventHeader
    competition_id: int
    first_seen_at: datetime
    seen_at: datetime
    event_id: int
    gone_at: datetime | None
    missed_at: datetime | None
    promotions: tuple[str, ...]
    last_seen: dict[int, int]
    last_moment: int
    is_detailed: bool
    listed: Listed
    listed_at: datetime | None
    source_times: SourceTimes
    sighted_at: datetime | None
    set_version: int
    packed: bytes
    chances: bytes
    fetched: bytes
    length: int

    @classmethod
    def of(cls, event_odds: EventOdds) -> "OddsState":
        """Return the state of event odds. Takes 1 µs: all parts are replaced and never modified."""
        return cls._make(_ODDS_FIELDS(event_odds))

    def made(self) -> EventOdds:
        """Return new event odds in this state."""
        fields: dict[str, Any] = dict(zip(_NAMES, self, strict=True))
        return EventOdds(**fields)


_NAMED = {"packed": "_packed", "chances": "packed_chances", "fetched": "_fetched", "length": "_count"}
_NAMES = tuple(_NAMED.get(name, name) for name in OddsState._fields)
_ODDS_FIELDS = attrgetter(*_NAMES)


class EventState(NamedTuple):
    """One match (`CachedEvent`). `odds_ids` are those of its event odds, in their order."""

    id: int
    key: str
    created_at: datetime
    changed_at: datetime
    revision: int
    odds_ids: tuple[int, ...]

    @classmethod
    def of(cls, event: CachedEvent) -> "EventState":
        """Return the state of an event."""
        odds_ids = tuple([event_odds.id for event_odds in event.odds.values()])
        return cls(event.id, event.key, event.created_at, event.changed_at, event.revision, odds_ids)


@dataclass(frozen=True, slots=True)
class CandidatesState:
    """The event odds that name each id (`Candidates`), in the order in which they are considered.

    `named` has the id of event odds and whether they are listed as absent, `ignored` those that have become part of a
    crowd and were not moved yet.
    """

    named: Mapping[str, tuple[tuple[int, bool], ...]]
    ignored: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class UnmappedState:
    """The markets that the catalogue does not have (`UnmappedMarkets`): each by its number, and those of event odds."""

    kinds: Mapping[int, tuple[Platform, UnmappedMarket]]
    by_odds_id: Mapping[int, "array[int]"]


@dataclass(frozen=True, slots=True)
class CacheState:
    """Everything in a cache. Events and event odds are in the cache's order, on which the ids of new events depend."""

    epoch: str
    revision: int
    last_event_id: int
    last_odds_id: int
    last_competition_id: int
    competitions: Mapping[tuple[Platform, str], int]
    events: tuple[EventState, ...]
    odds: tuple[OddsState, ...]
    matches: CandidatesState
    genius_ids: CandidatesState
    archived: Mapping[str, int]
    unmapped: UnmappedState
