"""Turns every change of the cache into the contents of the topic `odds`, at once and in order."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from quart_odds.broadcast.content import Content, Subject
from quart_odds.domain.clock import utc_now
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.deltas import Delta
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import EventOdds
from quart_odds.websocket.odds_contents import (
    EventChanged,
    EventState,
    FirstPrices,
    PricesChanged,
    WhatChanged,
    subjects_of,
)
from quart_odds.websocket.odds_tournaments import Tournaments


class OddsFeed:
    """Publishes what changes. Call it with every EventChange, right after the cache took it.

    First comes what happened to events, then the state of each event of which more than prices changed, then prices.
    So prices are only ever of an event and a bookmaker that a copy knows. All contents of one change have one time.
    """

    def __init__(
        self, publish: Callable[[Content], object], cache: OddsCache, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.tournaments = Tournaments()
        self._subjects_of: dict[int, tuple[Subject, ...]] = {}
        self._publish = publish
        self._cache = cache
        self._now = now

    def __call__(self, change: EventChange) -> None:
        """Publish a change. If an event was only seen again, or missed once, there is nothing to publish.

        The cache may have taken later changes as well: then their state is published now, and again after them. Takes
        some 10 µs for a few prices, and 50 µs for an event that is new at a bookmaker.
        """
        event_odds = self._cache.event_odds(change.odds_id)
        event = None if event_odds is None else self._cache.get(event_odds.event_id)
        if event_odds is None or event is None:
            return  # dropped from memory meanwhile
        at = self._now()
        if (
            change.is_new
            or change.is_available is not None
            or change.is_header_changed
            or change.redated_after
            or _is_matched_anew(change)
        ):
            self._publish_events(change, at, event, event_odds)
        if change.is_new:
            if event_odds.price_count:
                self._publish(FirstPrices(at, event, self._subjects(event), event_odds))
        elif change.changed:
            delta = Delta.of(change.changed, event_odds, is_back=change.is_available is True)
            if delta is not None:
                self._publish(PricesChanged(at, event, self._subjects(event), change.platform, delta))

    def recalled(self, event: CachedEvent) -> None:
        """Publish the state of an event that was only in the database and is in the cache again."""
        self._subjects_of.clear()
        self._publish(EventState(self._now(), event.frozen(), self._subjects(event)))

    def adopt(self, former_tournaments: Mapping[int, frozenset[int]]) -> None:
        """Go on from a snapshot that the cache was just restored from. Nothing is published."""
        self.tournaments.adopt(former_tournaments)
        self._subjects_of.clear()

    def _publish_events(self, change: EventChange, at: datetime, event: CachedEvent, event_odds: EventOdds) -> None:
        """Publish all that happened but the prices."""
        self._subjects_of.clear()
        found = (self._cache.event_odds(odds_id) for odds_id in change.moved)
        moved = [event_odds, *(each for each in found if each is not None)]
        # Whoever listens to the tournament of odds that left an event has to learn of it.
        tournaments = [each.competition_id for each in moved]
        if change.former is not None and change.former_competition_id not in tournaments:
            tournaments.append(change.former_competition_id)
        self.tournaments.note(event, tournaments)
        is_alone = change.is_new and len(event.odds) == 1 and not _is_matched_anew(change)
        # A copy that an image needs anyway does for the other messages as well.
        shown = event.without_prices() if is_alone else event.frozen()
        for what in _own_changes(change, event, event_odds):
            self._publish(EventChanged(at, what, event.id, shown, self._subjects(event), change.platform))
        if _is_matched_anew(change):
            self._publish_matching(change, at, shown, tournaments)
        elif not change.is_new or (not is_alone and event.leading is event_odds):
            self._publish(EventState(at, shown, self._subjects(event)))
        elif not is_alone:
            # The event itself is as before. It is new only to those who listen to the tournament at this bookmaker.
            self._publish(EventState(at, shown, (("tournament", event_odds.competition_id),)))

    def _publish_matching(self, change: EventChange, at: datetime, event: CachedEvent, tournaments: list[int]) -> None:
        """Publish that odds moved to other events, and the state of these. `event` is a copy of that of the change."""
        others = (self._cache.get(event_id) for event_id in change.event_ids if event_id != event.id)
        concerned = [event, *(each.frozen() for each in others if each is not None)]
        for each in concerned:
            self.tournaments.note(each, tournaments)
        for each in concerned:
            if each is not event or not (change.is_new or change.is_header_changed):
                self._publish(EventChanged(at, "changed", each.id, each, self._subjects(each), None))
        for event_id in change.emptied:
            subjects = subjects_of(event_id, self.tournaments.former(event_id).union(tournaments))
            self._publish(EventChanged(at, "removed", event_id, None, subjects, None))
        for each in concerned:
            self._publish(EventState(at, each, self._subjects(each)))

    def _subjects(self, event: CachedEvent) -> tuple[Subject, ...]:
        """Return the subjects of a message about an event. They are kept while only prices change."""
        kept = self._subjects_of.get(event.id)
        if kept is None:
            kept = self._subjects_of[event.id] = subjects_of(event.id, self.tournaments.of(event))
        return kept


def _is_matched_anew(change: EventChange) -> bool:
    """Whether odds moved to another event."""
    return bool(change.moved or change.also or change.emptied)


def _own_changes(change: EventChange, event: CachedEvent, event_odds: EventOdds) -> Iterator[WhatChanged]:
    """Yield what happened to an event at the bookmaker of the change."""
    if change.is_new:
        yield "new"
    elif change.is_available is not None:
        yield "back" if change.is_available else "gone"
    if change.former is not None:
        is_moved = change.former.kickoff != event_odds.header.kickoff
        # The event's kick-off is that of the bookmaker that names it.
        yield "kickoff" if is_moved and event.leading is event_odds and not _is_matched_anew(change) else "changed"
