"""All events and current odds in memory: what a scrape changes, what the API reads, what the writer stores.

The cache belongs to the event loop. `apply` and `mark_missing` are quick plain functions, called from it alone.
"""

import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from quart_odds.domain.odds import Competition, EventHeader, ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import CacheFullError
from quart_odds.odds.archive import ArchivedEvents
from quart_odds.odds.columns import RecentColumns
from quart_odds.odds.competitions import Competitions
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import EventOdds, PriceChange
from quart_odds.odds.headers import completed, earlier, with_words_of
from quart_odds.odds.matched_events import MatchedEvents, Placement, in_platform_order
from quart_odds.odds.states import CacheState, OddsState
from quart_odds.odds.unmapped import UnmappedMarkets

MAX_EVENTS = 30_000
"""Events of one bookmaker in memory. The largest bookmaker lists about 1,500, and events of a few days are kept."""

EVERY_COMPETITION = ListedCompetitions(is_tree_whole=True)
"""A discovery that listed all events."""


class OddsCache:
    """Events by id, event odds by id and by bookmaker's id. Ids are positive and ascend; the database keeps them.

    A version is used once, also after `clear`: what was encoded or rendered of one is never taken for another. It means
    nothing to other processes. Everything else depends on the operations that the cache took (`odds.operations`), and
    not on time, chance or the order of a set. `unmapped` is kept when everything else is cleared.
    """

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.revision = 0
        self.version = 0
        self.archived = ArchivedEvents()
        self.unmapped = UnmappedMarkets()
        self._events = MatchedEvents()
        self._odds: dict[int, EventOdds] = {}
        self._recent = RecentColumns()
        self._by_external_id: dict[tuple[Platform, str], EventOdds] = {}
        self._counts = dict.fromkeys(Platform, 0)
        self._competitions: dict[tuple[Platform, str], int] = {}
        self._competition_values: dict[Competition, Competition] = {}
        self._last_odds_id = self._last_competition_id = 0

    # What a scrape does.

    def apply(self, mapped: MappedEvent, seen_at: datetime, now: datetime | None = None) -> EventChange:
        """Take one healthy fetch into the cache. Returns what it changed. About 20 µs if nothing did.

        Prices of a list (`MappedEvent.is_partial`) replace only those of the same markets and lines. Prices fetched
        after the kick-off never replace pre-match prices, which stay as they were last fetched. No answer from before
        an event was gone brings it back, and none from before it was missed ends that. If it is gone because the
        bookmaker said so when asked for it, no list brings it back: only its own body, fetched later, does.

        Fetches may come in any order: of each market and line, the one with the latest `seen_at` counts. `now` is the
        current time, by default `seen_at`: what is later was dated by a clock that was ahead, and does not count.
        Raises CacheFullError for a new event of a bookmaker that has too many already.
        """
        header = mapped.header
        event_odds = self._by_external_id.get((header.platform, header.external_id))
        is_new = event_odds is None
        if mapped.is_partial and event_odds is not None:
            if event_odds.is_withdrawn:
                return EventChange(event_odds.event_id, header.platform, event_odds.id, is_listed=True)
            header = completed(header, event_odds.header)
        redated_after = 0
        if event_odds is not None:
            gone_at = event_odds.gone_at
            if gone_at is not None and seen_at < gone_at <= (now or seen_at):
                return EventChange(event_odds.event_id, header.platform, event_odds.id, is_listed=mapped.is_partial)
            redated_after = int(seen_at.timestamp()) if event_odds.heed_clock(seen_at, now) else 0
            if seen_at < event_odds.fetched_at:
                header = earlier(header, event_odds, seen_at, is_partial=mapped.is_partial)
        header = self._shared(header)
        if event_odds is None:
            if self._counts[header.platform] >= MAX_EVENTS:
                raise CacheFullError(header.platform, f"{MAX_EVENTS} events are known, and no more are taken in")
            event_odds = self._open(header, seen_at, is_detailed=not mapped.is_partial)
        is_header_changed = event_odds.header != header
        is_back = event_odds.gone_at is not None
        was_absent = event_odds.is_absent
        former, former_competition_id = event_odds.header, event_odds.competition_id
        if is_header_changed:
            event_odds.header = header
            event_odds.competition_id = self.competition_id(header.platform, header.competition)
        event_odds.gone_at = None
        if event_odds.missed_at is not None and not seen_at < event_odds.missed_at <= (now or seen_at):
            event_odds.missed_at = None
        is_found = was_absent and not event_odds.is_absent
        changed: tuple[PriceChange, ...] = ()
        opened: frozenset[int] = frozenset()
        if is_new or not event_odds.fetched_at < header.kickoff <= seen_at:
            prices, chances = (
                with_words_of(event_odds, mapped) if mapped.promotions else (mapped.prices, mapped.chances)
            )
            is_first_body = not mapped.is_partial and not event_odds.is_detailed
            known = event_odds.keys
            take = event_odds.take_listed if mapped.is_partial else event_odds.take
            changed = take(prices, seen_at, mapped.source_changed, chances)
            if is_first_body:
                opened = frozenset(key for key, _, _ in changed).difference(known)
        if (is_back or former.kickoff != header.kickoff) and not changed:
            event_odds.next_moment(seen_at)
        is_moved = is_new or is_header_changed or is_found
        placement = self._events.place(event_odds, seen_at, former.genius_id) if is_moved else Placement()
        change = EventChange(
            event_odds.event_id,
            header.platform,
            event_odds.id,
            is_new=is_new,
            changed=changed,
            is_available=True if is_back else None,
            is_header_changed=is_header_changed,
            moment=event_odds.last_moment,
            is_miss_noted=is_found and not is_back,
            redated_after=redated_after,
            is_listed=mapped.is_partial,
            opened=opened,
            former=former if is_header_changed else None,
            former_competition_id=former_competition_id if is_header_changed else 0,
            **placement.moves(event_odds.event_id),
        )
        self._touch(change, seen_at, now)
        return change

    def mark_missing(
        self,
        platform: Platform,
        seen: Mapping[str, datetime],
        at: datetime,
        *,
        listed: ListedCompetitions = EVERY_COMPETITION,
        believe_after: timedelta = timedelta(0),
        now: datetime | None = None,
    ) -> list[EventChange]:
        """Take the result of a discovery: an event that is not listed and should be is missed, then gone.

        It is gone when a later discovery lacks it too, `believe_after` or more after the first. A discovery that lists
        it ends that. Only competitions that `listed` covers count.

        `seen` says when each event was listed, by the bookmaker's id, and `at` when the discovery began to read lists:
        an event that it lacks may have been absent since then. Discoveries may come in any order. An absence from
        before the event was last seen does not count, nor does a sighting from before it was missed. `now` is the
        current time, by default `at`: what is later was dated by a clock that was ahead, and does not count.
        """
        now = now or at
        at = min(at, now)
        changes = []
        for (where, external_id), event_odds in list(self._by_external_id.items()):
            if where is not platform:
                continue
            if (sighted := seen.get(external_id)) is not None:
                if event_odds.sight(min(sighted, now), now):
                    changes.append(self._note_miss(event_odds, at, now))
            elif event_odds.gone_at is None and listed.covers(event_odds.header.competition.external_id):
                if at < event_odds.offered_at <= now:
                    continue
                if event_odds.missed_at is None or event_odds.missed_at > now:
                    event_odds.missed_at = at
                    if believe_after:
                        changes.append(self._note_miss(event_odds, at, now))
                if at - event_odds.missed_at >= believe_after:
                    changes.append(self._leave(event_odds, at, now))
        return changes

    def withdraw(
        self, platform: Platform, external_id: str, at: datetime, now: datetime | None = None
    ) -> EventChange | None:
        """Mark an event as gone at once: its bookmaker says that there is no such event, or that it is in play.

        `at` is when it said so, `now` the current time, by default `at`. None if nothing changed, because the event is
        not known, is gone already, or its body was fetched later.
        """
        event_odds = self._by_external_id.get((platform, external_id))
        if event_odds is None or event_odds.gone_at is not None:
            return None
        if event_odds.is_detailed and at < event_odds.seen_at <= (now or at):
            return None
        event_odds.missed_at = None
        return self._leave(event_odds, at, now)

    def _note_miss(self, event_odds: EventOdds, at: datetime, now: datetime) -> EventChange:
        placement = self._events.place(event_odds, at)
        change = EventChange(
            event_odds.event_id,
            event_odds.header.platform,
            event_odds.id,
            is_missed=event_odds.missed_at is not None,
            is_miss_noted=True,
            **placement.moves(event_odds.event_id),
        )
        self._touch(change, at, now)
        return change

    def _leave(self, event_odds: EventOdds, at: datetime, now: datetime | None) -> EventChange:
        redated_after = int(at.timestamp()) if event_odds.heed_clock(at, now) else 0
        event_odds.gone_at = at
        moment = event_odds.next_moment(at)
        placement = self._events.place(event_odds, at)
        change = EventChange(
            event_odds.event_id,
            event_odds.header.platform,
            event_odds.id,
            is_available=False,
            moment=moment,
            redated_after=redated_after,
            **placement.moves(event_odds.event_id),
        )
        self._touch(change, at, now)
        return change

    # What the API, the notices and the writer read.

    @property
    def events(self) -> Mapping[int, CachedEvent]:
        """Every event by its id."""
        return self._events.all

    def get(self, event_id: int) -> CachedEvent | None:
        """The event with this id."""
        return self._events.get(event_id)

    def find(self, sportradar_id: str) -> CachedEvent | None:
        """The event with this SportRadar id."""
        return self._events.find(sportradar_id)

    @property
    def bookmakers(self) -> tuple[Platform, ...]:
        """The bookmakers that have odds of any event, in their order."""
        return tuple(platform for platform in Platform if self._counts[platform])

    def knows(self, platform: Platform, external_id: str) -> bool:
        """Return whether there are event odds with this bookmaker's id."""
        return (platform, external_id) in self._by_external_id

    def event_odds(self, odds_id: int) -> EventOdds | None:
        """The event odds with this id."""
        return self._odds.get(odds_id)

    def by_kickoff(self) -> list[CachedEvent]:
        """Every event, ordered by kick-off, name and id."""
        return self._events.by_kickoff()

    def competitions(self) -> Competitions:
        """Which competitions of the events are the same one."""
        return self._events.competitions()

    def vetoed(self) -> Iterator[tuple[CachedEvent, CachedEvent | None]]:
        """Events that stand alone although they have a SportRadar id, each with the event that has that id."""
        return self._events.vetoed()

    def competition_id(self, platform: Platform, competition: Competition) -> int:
        """The id of a bookmaker's competition. A new competition gets the next id."""
        key = (platform, competition.external_id)
        known = self._competitions.get(key)
        if known is None:
            self._last_competition_id += 1
            known = self._competitions[key] = self._last_competition_id
        return known

    # What the odds service restores and archives.

    def restore(self, event: CachedEvent, odds: Sequence[EventOdds]) -> None:
        """Put back an event that was stored, with its event odds, as it was.

        It gets a new version, so that nothing encoded of an earlier event with this id is taken for it.
        """
        ordered = in_platform_order(odds)
        for event_odds in ordered:
            self._add(event_odds)
        self._events.restore(event, ordered)
        self.start_ids_after(event.id, max((event_odds.id for event_odds in ordered), default=0))
        self.version += 1
        self.revision += 1
        event.version, event.revision = self.version, self.revision

    def restore_competition(self, competition_id: int, platform: Platform, external_id: str) -> None:
        """Put back the id of a competition that was stored."""
        self._competitions[platform, external_id] = competition_id
        self._last_competition_id = max(self._last_competition_id, competition_id)

    def start_ids_after(self, event_id: int, odds_id: int) -> None:
        """Make sure that new ids are greater than these."""
        self._events.last_id = max(self._events.last_id, event_id)
        self._last_odds_id = max(self._last_odds_id, odds_id)

    def clear(self) -> None:
        """Forget everything, ids included, to be filled again. Earlier cursors are worthless then; versions go on."""
        for kept in (self._odds, self._by_external_id, self._competitions, self.archived):
            kept.clear()
        self._events = MatchedEvents()
        self._counts = dict.fromkeys(Platform, 0)
        self._last_odds_id = self._last_competition_id = 0
        self._recent = RecentColumns()
        self.epoch = secrets.token_hex(4)
        self.version += 1

    def forget(self, event_id: int) -> None:
        """Drop an event from memory. The database may still have it."""
        if (event := self._events.forget(event_id)) is None:
            return
        for event_odds in event.odds.values():
            header = event_odds.header
            del self._odds[event_odds.id], self._by_external_id[header.platform, header.external_id]
            self._counts[header.platform] -= 1
        self.version += 1

    def archive(self, event_id: int) -> None:
        """Drop an event that is long over, and note by which keys it is found when a bookmaker lists it again."""
        if (event := self.get(event_id)) is not None:
            for event_odds in event.odds.values():
                header = event_odds.header
                self.archived.add(event_id, event.key, header.platform, header.external_id, header.genius_id)
                self.unmapped.forget(event_odds.id)
            self.forget(event_id)

    # What a snapshot has.

    def state(self) -> CacheState:
        """Return everything in the cache, in values that it does not modify. Takes some 15 µs an event."""
        matched = self._events
        return CacheState(
            self.epoch,
            self.revision,
            matched.last_id,
            self._last_odds_id,
            self._last_competition_id,
            dict(self._competitions),
            matched.states(),
            tuple(map(OddsState.of, self._by_external_id.values())),
            *matched.candidates(),
            self.archived.state(),
            self.unmapped.state(),
        )

    def adopt(self, state: CacheState) -> None:
        """Replace everything in the cache. Its events get new versions."""
        self.clear()
        self.epoch, self.revision = state.epoch, state.revision
        self._last_odds_id, self._last_competition_id = state.last_odds_id, state.last_competition_id
        self._competitions.update(state.competitions)
        for each in state.odds:
            self._add(each.made())
        self._events.adopt(state, self._odds, self.version)
        self.archived.adopt(state.archived)
        self.unmapped.adopt(state.unmapped)

    def _add(self, event_odds: EventOdds) -> None:
        header = event_odds.header
        event_odds.recent = self._recent
        self._odds[event_odds.id] = self._by_external_id[header.platform, header.external_id] = event_odds
        self._counts[header.platform] += 1

    def _shared(self, header: EventHeader) -> EventHeader:
        """An equal header that shares its parts with those in memory: headers from the decoding process share none."""
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

    def _open(self, header: EventHeader, at: datetime, *, is_detailed: bool) -> EventOdds:
        self._last_odds_id += 1
        event_odds = EventOdds(
            id=self._last_odds_id,
            header=header,
            competition_id=self.competition_id(header.platform, header.competition),
            first_seen_at=at,
            seen_at=at,
            is_detailed=is_detailed,
        )
        self._add(event_odds)
        return event_odds

    def _touch(self, change: EventChange, at: datetime, now: datetime | None = None) -> None:
        self.version += 1
        is_real = change.is_change or change.is_header_changed or bool(change.moved or change.emptied)
        self.revision += is_real
        for event_id in change.event_ids:
            event = self._events.all[event_id]
            event.version = self.version
            if is_real:
                # A late answer sets nothing back. A date that a clock set ahead is corrected.
                event.revision, event.changed_at = self.revision, max(at, min(event.changed_at, now or at))
