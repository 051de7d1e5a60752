"""All events and current odds in memory: what a scrape changes, what the API reads, what the writer stores.

The cache belongs to the event loop: `apply` and `mark_missing` are plain quick functions, called from it alone.
"""

import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypedDict

from quart_odds.domain.catalogue import plain_key, promoted_key, promotion_of
from quart_odds.domain.odds import Competition, EventHeader, ListedCompetitions, MappedEvent, Prices
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import KNOWN, MAX_WORDS, promotion_name, promotion_number
from quart_odds.errors import CacheFullError
from quart_odds.odds.candidates import Candidates
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import EventOdds, PriceChange, RecentColumns
from quart_odds.odds.matching import PLATFORM_ORDER, Candidate, agreeing, genius_key, lone_key, match_key

MAX_QUOTES = 30_000
"""Events of one bookmaker that are known at once: the largest lists some 1,500, and those of a few days stay."""

EVERY_COMPETITION = ListedCompetitions(is_tree_whole=True)
"""A discovery that listed everything there is."""


class OddsCache:
    """Events by id and by key, quotes by id and by bookmaker's id. Ids are positive, ascending, and kept by storage."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.revision = 0
        self.version = 0
        self._events: dict[int, CachedEvent] = {}
        self._by_key: dict[str, CachedEvent] = {}
        self._odds: dict[int, EventOdds] = {}
        self._recent = RecentColumns()
        self._by_external_id: dict[tuple[Platform, str], EventOdds] = {}
        self._counts = dict.fromkeys(Platform, 0)
        self._candidates = Candidates()
        self._genius = Candidates()
        self._competitions: dict[tuple[Platform, str], int] = {}
        self._competition_values: dict[Competition, Competition] = {}
        self._last_event_id = self._last_odds_id = self._last_competition_id = 0
        self._by_kickoff: list[CachedEvent] | None = None

    # What a scrape does.

    def apply(self, mapped: MappedEvent, seen_at: datetime) -> EventChange:
        """Takes one healthy fetch into the cache and tells what it changed. About 20 µs where nothing did.

        Prices fetched after the kick-off never follow pre-match prices: those stay as they were when last fetched.
        Raises CacheFullError for a new event of a bookmaker that has too many.
        """
        header = self._shared(mapped.header)
        event_odds = self._by_external_id.get((header.platform, header.external_id))
        is_new = event_odds is None
        if event_odds is None:
            if self._counts[header.platform] >= MAX_QUOTES:
                raise CacheFullError(header.platform, f"{MAX_QUOTES} events are known, and no more are taken in")
            event_odds = self._open(header, seen_at)
        is_header_changed = event_odds.header != header
        is_back = event_odds.gone_at is not None
        was_absent = event_odds.is_absent
        redated_after = int(seen_at.timestamp()) if event_odds.heed_clock(seen_at) else 0
        former_genius_id = event_odds.header.genius_id
        if is_header_changed:
            event_odds.header = header
            event_odds.competition_id = self.competition_id(header.platform, header.competition)
        event_odds.gone_at = event_odds.missed_at = None
        changed: tuple[PriceChange, ...] = ()
        if is_new or not event_odds.seen_at < header.kickoff <= seen_at:
            changed = event_odds.take(
                _with_words_of(event_odds, mapped) if mapped.promotions else mapped.prices, seen_at
            )
        if is_back and not changed:
            event_odds.next_moment(seen_at)
        is_moved = is_new or is_header_changed or was_absent
        placing = self._place(event_odds, seen_at, former_genius_id) if is_moved else _Placing()
        change = EventChange(
            event_odds.event_id,
            header.platform,
            event_odds.id,
            is_new=is_new,
            changed=changed,
            is_available=True if is_back else None,
            is_header_changed=is_header_changed,
            moment=event_odds.last_moment,
            is_miss_noted=was_absent and not is_back,
            redated_after=redated_after,
            **placing.told(event_odds.event_id),
        )
        self._touch(change, seen_at)
        return change

    def mark_missing(
        self,
        platform: Platform,
        seen_external_ids: Iterable[str],
        at: datetime,
        *,
        listed: ListedCompetitions = EVERY_COMPETITION,
        believe_after: timedelta = timedelta(0),
    ) -> list[EventChange]:
        """Takes a discovery: an event that lists lack which should have it is missed, then gone.

        It is gone when a later list lacks it too, `believe_after` or more after the first; a list that has it again
        ends that. Only competitions that `listed` covers prove anything.
        """
        seen = frozenset(seen_external_ids)
        changes = []
        for (where, external_id), event_odds in list(self._by_external_id.items()):
            if where is not platform:
                continue
            if external_id in seen:
                if event_odds.missed_at is not None and event_odds.gone_at is None:
                    event_odds.missed_at = None
                    changes.append(self._note_miss(event_odds, at))
            elif event_odds.gone_at is None and listed.covers(event_odds.header.competition.external_id):
                if event_odds.missed_at is None or event_odds.missed_at > at:
                    event_odds.missed_at = at
                    if believe_after:
                        changes.append(self._note_miss(event_odds, at))
                if at - event_odds.missed_at >= believe_after:
                    changes.append(self._leave(event_odds, at))
        return changes

    def withdraw(self, platform: Platform, external_id: str, at: datetime) -> EventChange | None:
        """Marks an event gone at once: its bookmaker says that there is no such event, or that it is in play.

        None where nothing changed: it is not known, or gone already.
        """
        event_odds = self._by_external_id.get((platform, external_id))
        if event_odds is None or event_odds.gone_at is not None:
            return None
        return self._leave(event_odds, at)

    def _note_miss(self, event_odds: EventOdds, at: datetime) -> EventChange:
        placing = self._place(event_odds, at)
        change = EventChange(
            event_odds.event_id,
            event_odds.header.platform,
            event_odds.id,
            is_missed=event_odds.missed_at is not None,
            is_miss_noted=True,
            **placing.told(event_odds.event_id),
        )
        self._touch(change, at)
        return change

    def _leave(self, event_odds: EventOdds, at: datetime) -> EventChange:
        redated_after = int(at.timestamp()) if event_odds.heed_clock(at) else 0
        event_odds.gone_at = at
        moment = event_odds.next_moment(at)
        placing = self._place(event_odds, at)
        change = EventChange(
            event_odds.event_id,
            event_odds.header.platform,
            event_odds.id,
            is_available=False,
            moment=moment,
            redated_after=redated_after,
            **placing.told(event_odds.event_id),
        )
        self._touch(change, at)
        return change

    # What the API, the notices and the writer ask.

    @property
    def events(self) -> Mapping[int, CachedEvent]:
        """Every event by its id."""
        return MappingProxyType(self._events)

    def get(self, event_id: int) -> CachedEvent | None:
        """The event with this id."""
        return self._events.get(event_id)

    def find(self, sportradar_id: str) -> CachedEvent | None:
        """The event with this SportRadar id."""
        return self._by_key.get(match_key(sportradar_id))

    def event_odds(self, odds_id: int) -> EventOdds | None:
        """The quote with this id."""
        return self._odds.get(odds_id)

    def by_kickoff(self) -> list[CachedEvent]:
        """Every event, ordered by kick-off, then name, then id. Kept until an event comes, goes or moves."""
        if self._by_kickoff is None:
            self._by_kickoff = sorted(
                self._events.values(), key=lambda event: (event.header.kickoff, event.header.name, event.id)
            )
        return self._by_kickoff

    def vetoed(self) -> Iterator[tuple[CachedEvent, CachedEvent | None]]:
        """Events that stand alone though they name a SportRadar id, and the event that has that id."""
        for event in self._events.values():
            named = event.header.sportradar_id
            if event.sportradar_id is None and named:
                yield event, self.find(named)

    def competition_id(self, platform: Platform, competition: Competition) -> int:
        """The id of a bookmaker's competition; a new one gets the next."""
        key = (platform, competition.external_id)
        known = self._competitions.get(key)
        if known is None:
            self._last_competition_id += 1
            known = self._competitions[key] = self._last_competition_id
        return known

    # What storage does at start and in between.

    def restore(self, event: CachedEvent, odds: Iterable[EventOdds]) -> None:
        """Puts back an event that storage kept, with its quotes, as it was.

        Its version is a new one: what was encoded of an event of this id before is not taken for it.
        """
        self._events[event.id] = self._by_key[event.key] = event
        ordered = sorted(odds, key=lambda event_odds: PLATFORM_ORDER[event_odds.header.platform])
        event.odds = {event_odds.header.platform: event_odds for event_odds in ordered}
        for event_odds in ordered:
            event_odds.event_id = event.id
            event_odds.recent = self._recent
            self._odds[event_odds.id] = event_odds
            self._by_external_id[event_odds.header.platform, event_odds.header.external_id] = event_odds
            self._counts[event_odds.header.platform] += 1
            self._name(event_odds)
        for event_odds in ordered:
            self._nominate(event_odds)
        self.start_ids_after(event.id, max((event_odds.id for event_odds in ordered), default=0))
        self.version += 1
        self.revision += 1
        event.version, event.revision = self.version, self.revision
        self._by_kickoff = None

    def restore_competition(self, competition_id: int, platform: Platform, external_id: str) -> None:
        """Puts back the id of a competition that storage kept."""
        self._competitions[platform, external_id] = competition_id
        self._last_competition_id = max(self._last_competition_id, competition_id)

    def start_ids_after(self, event_id: int, odds_id: int) -> None:
        """Sees to it that new ids are above these."""
        self._last_event_id = max(self._last_event_id, event_id)
        self._last_odds_id = max(self._last_odds_id, odds_id)

    def clear(self) -> None:
        """Forgets everything, ids included, to be filled anew. Cursors of before are worth nothing then."""
        for kept in (self._events, self._by_key, self._odds, self._by_external_id, self._competitions):
            kept.clear()
        self._counts = dict.fromkeys(Platform, 0)
        self._candidates.clear()
        self._genius.clear()
        self._last_event_id = self._last_odds_id = self._last_competition_id = 0
        self._recent = RecentColumns()
        self._by_kickoff = None
        self.epoch = secrets.token_hex(4)
        self.version += 1

    def forget(self, event_id: int) -> None:
        """Takes an event out of memory; storage may still have it."""
        event = self._events.pop(event_id, None)
        if event is None:
            return
        del self._by_key[event.key]
        for event_odds in event.odds.values():
            del (
                self._odds[event_odds.id],
                self._by_external_id[event_odds.header.platform, event_odds.header.external_id],
            )
            self._counts[event_odds.header.platform] -= 1
            self._candidates.drop(event_odds)
            self._genius.drop(event_odds)
        self._by_kickoff = None
        self.version += 1

    def _shared(self, header: EventHeader) -> EventHeader:
        """The same header, made of the parts that are here already: they come apart from the decoding process."""
        known = self._by_external_id.get((header.platform, header.external_id))
        if known is not None and known.header == header:
            return known.header
        competition = self._competition_values.setdefault(header.competition, header.competition)
        return replace(
            header,
            home_team=sys.intern(header.home_team),
            away_team=sys.intern(header.away_team),
            sportradar_id=header.sportradar_id and sys.intern(header.sportradar_id),
            competition=competition,
        )

    # Which event a quote belongs to.

    def _open(self, header: EventHeader, at: datetime) -> EventOdds:
        self._last_odds_id += 1
        event_odds = EventOdds(
            id=self._last_odds_id,
            header=header,
            competition_id=self.competition_id(header.platform, header.competition),
            first_seen_at=at,
            seen_at=at,
            recent=self._recent,
        )
        self._odds[event_odds.id] = self._by_external_id[header.platform, header.external_id] = event_odds
        self._counts[header.platform] += 1
        return event_odds

    def _place(self, event_odds: EventOdds, at: datetime, former_genius_id: str | None = None) -> "_Placing":
        """Puts a quote where its ids say, and others that this concerns."""
        placing = _Placing()
        self._by_kickoff = None
        concerned: dict[str, None] = {}
        # Whoever names the match by its Genius id alone may have learned, or lost, its SportRadar id.
        for other in self._name(event_odds, former_genius_id):
            concerned |= dict.fromkeys(self._nominate(other))
        for key in concerned:
            self._arrange(key, placing, at)
        for event_id in placing.left:
            event = self._events.get(event_id)
            if event is not None and not self._holds(event):
                del self._events[event_id], self._by_key[event.key]
                placing.emptied.add(event_id)
        placing.also -= placing.emptied
        placing.moved.discard(event_odds.id)
        return placing

    def _name(self, event_odds: EventOdds, former_genius_id: str | None = None) -> list[EventOdds]:
        """Notes a quote's Genius id; the quotes whose match that may change, itself the first. A few at most."""
        genius_id = event_odds.header.genius_id
        if genius_id:
            self._genius.put(genius_id, event_odds)
        else:
            self._genius.drop(event_odds)
        fellows = {event_odds.id: event_odds}
        for each in dict.fromkeys((genius_id, former_genius_id)):
            if each:
                fellows |= {other.id: other for other in self._genius.take_unheard(each)}
                fellows |= {other.id: other for other in self._genius.heard(each)}
        return list(fellows.values())

    def _nominate(self, event_odds: EventOdds) -> list[str]:
        """Notes which match a quote claims to be; the keys of the matches that it claims and no longer claims."""
        key = self._identity(event_odds)
        before = self._candidates.put(key, event_odds)
        return [key] if before in (None, key) else [key, before]

    def _identity(self, event_odds: EventOdds) -> str:
        """The key of the match: by SportRadar's id, by Genius Sports' id, or of an event that stands alone."""
        header = event_odds.header
        if header.sportradar_id:
            return match_key(header.sportradar_id)
        if header.genius_id and self._genius.is_heard(event_odds):
            known = {
                other.header.sportradar_id
                for other in self._genius.heard(header.genius_id)
                if other.header.sportradar_id
            }
            # Two SportRadar ids for one Genius id: one of them is wrong, and nobody knows which.
            return match_key(known.pop()) if len(known) == 1 else genius_key(header.genius_id)
        return lone_key(header.platform, header.external_id)

    def _arrange(self, key: str, placing: "_Placing", at: datetime) -> None:
        """Puts the quotes that claim to be one match where `matching.agreeing` says."""
        odds = {event_odds.id: event_odds for event_odds in self._candidates.heard(key)}
        together = agreeing(
            Candidate(event_odds.id, event_odds.header.platform, event_odds.header.kickoff, event_odds.is_absent)
            for event_odds in odds.values()
        )
        for event_odds in (*self._candidates.take_unheard(key), *odds.values()):
            if event_odds.id not in together:  # first out, then in: one event has one quote of a bookmaker
                self._move(event_odds, lone_key(event_odds.header.platform, event_odds.header.external_id), placing, at)
        for odds_id in together:
            self._move(odds[odds_id], key, placing, at)

    def _move(self, event_odds: EventOdds, key: str, placing: "_Placing", at: datetime) -> None:
        here = self._events.get(event_odds.event_id)
        if here is not None and here.key == key:
            return
        there = self._by_key.get(key)
        if there is None:
            self._last_event_id += 1
            there = CachedEvent(self._last_event_id, key, created_at=at, changed_at=at)
            self._events[there.id] = self._by_key[key] = there
        event_odds.event_id = there.id
        if here is not None:
            left = {platform: other for platform, other in here.odds.items() if other is not event_odds}
            # An event that ceases to be keeps its last quotes, for those who read it still.
            here.odds = left or here.odds
            placing.left.append(here.id)
            placing.also.add(here.id)
        odds = {**(there.odds if self._holds(there) else {}), event_odds.header.platform: event_odds}
        there.odds = {platform: odds[platform] for platform in Platform if platform in odds}
        placing.moved.add(event_odds.id)
        placing.also.add(there.id)

    @staticmethod
    def _holds(event: CachedEvent) -> bool:
        """Whether any of an event's quotes is still its own."""
        return any(event_odds.event_id == event.id for event_odds in event.odds.values())

    def _touch(self, change: EventChange, at: datetime) -> None:
        self.version += 1
        is_real = change.is_change or change.is_header_changed or bool(change.moved or change.emptied)
        self.revision += is_real
        for event_id in change.event_ids:
            event = self._events[event_id]
            event.version = self.version
            if is_real:
                event.revision, event.changed_at = self.revision, at


@dataclass(slots=True)
class _Placing:
    """What matching moved: quotes, the events that they left and joined, and those that ceased to be."""

    moved: set[int] = field(default_factory=set)
    also: set[int] = field(default_factory=set)
    emptied: set[int] = field(default_factory=set)
    left: list[int] = field(default_factory=list)

    def told(self, event_id: int) -> "_Moves":
        """The fields of an EventChange of this event."""
        return {
            "moved": tuple(self.moved),
            "also": tuple(sorted(self.also - {event_id})),
            "emptied": tuple(self.emptied),
        }


class _Moves(TypedDict):
    moved: tuple[int, ...]
    also: tuple[int, ...]
    emptied: tuple[int, ...]


def _with_words_of(event_odds: EventOdds, mapped: MappedEvent) -> Prices:
    """A fetch's prices with the promotions numbered by the quote's words, which get those that are new."""
    words = event_odds.promotions
    new = [word for word in mapped.promotions if word not in words and word not in KNOWN]
    event_odds.promotions = (*words, *new)[:MAX_WORDS]
    if event_odds.promotions == mapped.promotions:
        return mapped.prices
    return Prices.from_pairs(
        (
            promoted_key(
                plain_key(key),
                promotion_number(promotion_name(promotion, mapped.promotions) or "", event_odds.promotions),
            )
            if (promotion := promotion_of(key))
            else key,
            value,
        )
        for key, value in mapped.prices
    )
