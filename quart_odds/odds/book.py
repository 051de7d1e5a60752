"""All events and current odds in memory: what a scrape changes, what the API reads, what the writer stores.

The book belongs to the event loop: `apply` and `mark_missing` are plain quick functions, called from it alone.
"""

import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from quart_odds.domain.odds import Competition, EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import BookedEvent, EventChange
from quart_odds.odds.matching import PLATFORM_ORDER, Claim, agreeing, lone_key, match_key
from quart_odds.odds.quote import Quote


class OddsBook:
    """Events by id and by key, quotes by id and by bookmaker's id. Ids are positive, ascending, and kept by storage."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.revision = 0
        self.version = 0
        self._events: dict[int, BookedEvent] = {}
        self._by_key: dict[str, BookedEvent] = {}
        self._quotes: dict[int, Quote] = {}
        self._by_external_id: dict[tuple[Platform, str], Quote] = {}
        self._claims: dict[str, dict[int, Quote]] = {}
        self._competitions: dict[tuple[Platform, str], int] = {}
        self._competition_values: dict[Competition, Competition] = {}
        self._last_event_id = self._last_quote_id = self._last_competition_id = 0
        self._by_kickoff: list[BookedEvent] | None = None

    # What a scrape does.

    def apply(self, mapped: MappedEvent, seen_at: datetime) -> EventChange:
        """Takes one healthy fetch into the book and tells what it changed. About 20 µs where nothing did."""
        header = self._shared(mapped.header)
        quote = self._by_external_id.get((header.platform, header.external_id))
        is_new = quote is None
        if quote is None:
            quote = self._open(header, seen_at)
        is_header_changed = quote.header != header
        is_back = quote.gone_at is not None
        old_claim = quote.header.sportradar_id
        if is_header_changed:
            quote.header = header
            quote.competition_id = self.competition_id(header.platform, header.competition)
        quote.gone_at = None
        changed = quote.take(mapped.prices, seen_at)
        if is_back and not changed:
            quote.next_moment(seen_at)
        placing = self._place(quote, old_claim, seen_at) if is_new or is_header_changed or is_back else _Placing()
        change = EventChange(
            quote.event_id,
            header.platform,
            quote.id,
            is_new=is_new,
            changed=changed,
            is_available=True if is_back else None,
            is_header_changed=is_header_changed,
            moment=quote.last_moment,
            moved=tuple(placing.moved),
            also=tuple(sorted(placing.also - {quote.event_id})),
            emptied=tuple(placing.emptied),
        )
        self._touch(change, seen_at)
        return change

    def mark_missing(self, platform: Platform, seen_external_ids: Iterable[str], at: datetime) -> list[EventChange]:
        """Marks the events of a bookmaker gone that it no longer lists.

        Only for a discovery that is healthy, complete and not shrunken: this believes what it is told.
        """
        seen = frozenset(seen_external_ids)
        missing = [
            quote
            for (where, external_id), quote in self._by_external_id.items()
            if where is platform and quote.gone_at is None and external_id not in seen
        ]
        return [self._leave(quote, at) for quote in missing]

    def _leave(self, quote: Quote, at: datetime) -> EventChange:
        quote.gone_at = at
        moment = quote.next_moment(at)
        placing = self._place(quote, quote.header.sportradar_id, at)
        change = EventChange(
            quote.event_id,
            quote.header.platform,
            quote.id,
            is_available=False,
            moment=moment,
            moved=tuple(placing.moved),
            also=tuple(sorted(placing.also - {quote.event_id})),
            emptied=tuple(placing.emptied),
        )
        self._touch(change, at)
        return change

    # What the API, the notices and the writer ask.

    @property
    def events(self) -> Mapping[int, BookedEvent]:
        """Every event by its id."""
        return MappingProxyType(self._events)

    def get(self, event_id: int) -> BookedEvent | None:
        """The event with this id."""
        return self._events.get(event_id)

    def find(self, sportradar_id: str) -> BookedEvent | None:
        """The event with this SportRadar id."""
        return self._by_key.get(match_key(sportradar_id))

    def quote(self, quote_id: int) -> Quote | None:
        """The quote with this id."""
        return self._quotes.get(quote_id)

    def quote_of(self, platform: Platform, external_id: str) -> Quote | None:
        """The quote of a bookmaker's event."""
        return self._by_external_id.get((platform, external_id))

    def by_kickoff(self) -> list[BookedEvent]:
        """Every event, ordered by kick-off, then name, then id. Kept until an event comes, goes or moves."""
        if self._by_kickoff is None:
            self._by_kickoff = sorted(
                self._events.values(), key=lambda event: (event.header.kickoff, event.header.name, event.id)
            )
        return self._by_kickoff

    def vetoed(self) -> Iterator[tuple[BookedEvent, BookedEvent | None]]:
        """Events that stand alone though they name a SportRadar id, and the event that has that id."""
        for event in self._events.values():
            claim = event.header.sportradar_id
            if event.sportradar_id is None and claim:
                yield event, self.find(claim)

    def competition_id(self, platform: Platform, competition: Competition) -> int:
        """The id of a bookmaker's competition; a new one gets the next."""
        key = (platform, competition.external_id)
        known = self._competitions.get(key)
        if known is None:
            self._last_competition_id += 1
            known = self._competitions[key] = self._last_competition_id
        return known

    # What storage does at start and in between.

    def restore(self, event: BookedEvent, quotes: Iterable[Quote]) -> None:
        """Puts back an event that storage kept, with its quotes, as it was."""
        self._events[event.id] = self._by_key[event.key] = event
        for quote in sorted(quotes, key=lambda quote: PLATFORM_ORDER[quote.header.platform]):
            quote.event_id = event.id
            event.quotes[quote.header.platform] = quote
            self._quotes[quote.id] = quote
            self._by_external_id[quote.header.platform, quote.header.external_id] = quote
            if quote.header.sportradar_id:
                self._claims.setdefault(quote.header.sportradar_id, {})[quote.id] = quote
        self.start_ids_after(event.id, max((quote.id for quote in event.quotes.values()), default=0))
        self._by_kickoff = None

    def restore_competition(self, competition_id: int, platform: Platform, external_id: str) -> None:
        """Puts back the id of a competition that storage kept."""
        self._competitions[platform, external_id] = competition_id
        self._last_competition_id = max(self._last_competition_id, competition_id)

    def start_ids_after(self, event_id: int, quote_id: int) -> None:
        """Sees to it that new ids are above these."""
        self._last_event_id = max(self._last_event_id, event_id)
        self._last_quote_id = max(self._last_quote_id, quote_id)

    def clear(self) -> None:
        """Forgets everything, ids included, to be filled anew. Cursors of before are worth nothing then."""
        for kept in (self._events, self._by_key, self._quotes, self._by_external_id, self._claims, self._competitions):
            kept.clear()
        self._last_event_id = self._last_quote_id = self._last_competition_id = 0
        self._by_kickoff = None
        self.epoch = secrets.token_hex(4)
        self.version += 1

    def forget(self, event_id: int) -> None:
        """Takes an event out of memory; storage may still have it."""
        event = self._events.pop(event_id, None)
        if event is None:
            return
        del self._by_key[event.key]
        for quote in event.quotes.values():
            del self._quotes[quote.id], self._by_external_id[quote.header.platform, quote.header.external_id]
            self._unclaim(quote, quote.header.sportradar_id)
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

    def _open(self, header: EventHeader, at: datetime) -> Quote:
        self._last_quote_id += 1
        quote = Quote(
            id=self._last_quote_id,
            header=header,
            competition_id=self.competition_id(header.platform, header.competition),
            first_seen_at=at,
            seen_at=at,
        )
        self._quotes[quote.id] = self._by_external_id[header.platform, header.external_id] = quote
        return quote

    def _place(self, quote: Quote, old_claim: str | None, at: datetime) -> "_Placing":
        placing = _Placing()
        claim = quote.header.sportradar_id
        self._by_kickoff = None
        if old_claim and old_claim != claim:
            self._unclaim(quote, old_claim)
        if claim:
            self._claims.setdefault(claim, {})[quote.id] = quote
        else:
            self._move(quote, lone_key(quote.header.platform, quote.header.external_id), placing, at)
        for sportradar_id in dict.fromkeys((claim, old_claim)):  # the new one first: a quote leaves before others come
            if sportradar_id:
                self._arrange(sportradar_id, placing, at)
        placing.moved.discard(quote.id)
        return placing

    def _arrange(self, sportradar_id: str, placing: "_Placing", at: datetime) -> None:
        """Puts the quotes that claim a SportRadar id where `matching.agreeing` says."""
        quotes = self._claims.get(sportradar_id, {})
        together = agreeing(
            Claim(quote.id, quote.header.platform, quote.header.kickoff, quote.gone_at is not None)
            for quote in quotes.values()
        )
        apart = [quote for quote in quotes.values() if quote.id not in together]
        for quote in apart:  # first out, then in: one event has one quote of a bookmaker
            self._move(quote, lone_key(quote.header.platform, quote.header.external_id), placing, at)
        for quote_id in together:
            self._move(quotes[quote_id], match_key(sportradar_id), placing, at)

    def _move(self, quote: Quote, key: str, placing: "_Placing", at: datetime) -> None:
        here = self._events.get(quote.event_id)
        if here is not None and here.key == key:
            return
        there = self._by_key.get(key)
        if there is None:
            self._last_event_id += 1
            there = BookedEvent(self._last_event_id, key, created_at=at, changed_at=at)
            self._events[there.id] = self._by_key[key] = there
        if here is not None:
            del here.quotes[quote.header.platform]
            placing.also.add(here.id)
            if not here.quotes:
                del self._events[here.id], self._by_key[here.key]
                placing.emptied.add(here.id)
        quotes = {**there.quotes, quote.header.platform: quote}
        there.quotes = {platform: quotes[platform] for platform in Platform if platform in quotes}
        quote.event_id = there.id
        placing.moved.add(quote.id)
        placing.also.add(there.id)
        placing.also -= placing.emptied

    def _unclaim(self, quote: Quote, sportradar_id: str | None) -> None:
        quotes = self._claims.get(sportradar_id or "", {})
        quotes.pop(quote.id, None)
        if not quotes:
            self._claims.pop(sportradar_id or "", None)

    def _touch(self, change: EventChange, at: datetime) -> None:
        self.version += 1
        is_real = change.is_change or change.is_header_changed
        self.revision += is_real
        for event_id in change.event_ids:
            event = self._events[event_id]
            event.version = self.version
            if is_real:
                event.revision, event.changed_at = self.revision, at


@dataclass(slots=True)
class _Placing:
    moved: set[int] = field(default_factory=set)
    also: set[int] = field(default_factory=set)
    emptied: set[int] = field(default_factory=set)
