"""The opportunities at some of the bookmakers: every price to back is at one of them.

What a third bookmaker's better price hides is found as well. But nothing is searched that has no opportunity at all
bookmakers: wherever some have one, all have one (`OpportunitySearch.again`).
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from quart_odds.domain.platforms import Platform
from quart_odds.odds.opportunities import Found, OpportunityEngine, Track, ageing, best_of_event
from quart_odds.odds.opportunity import Identity, Opportunity
from quart_odds.odds.opportunity_search import OpportunitySearch

MOST_CHOICES = 8
"""For how many choices the opportunities are kept: those that were asked for last. Five bookmakers have thirty."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What an event has at the chosen bookmakers.

    `of` is what it has at all of them: another search of all makes another mapping. The other fields are as in `Found`.
    """

    of: dict[Identity, Track]
    version: int
    until: datetime
    has_stale: bool
    left_out: int
    tracks: list[Track]

    def is_right(self, found: Found, now: datetime) -> bool:
        """Whether it is as a new search would find it."""
        is_same = self.of is found.tracks and (self.version == found.event.version or not self.has_stale)
        return is_same and now <= self.until


class ChosenOpportunities:
    """The opportunities at some bookmakers alone, for those who ask. They are kept until something changes.

    Which bookmakers say what is fair, and which prices are not to be believed, does not depend on the choice. Nobody
    follows the opportunities of a choice: since when one is there is known where it has the same prices among all.
    """

    def __init__(self, engine: OpportunityEngine, platforms: frozenset[Platform]) -> None:
        self._engine = engine
        self._platforms = platforms
        self._chosen: dict[int, _Chosen] = {}

    async def refresh(self, *, include_started: bool = False) -> None:
        """Search what changed, with the loop free in between. What changes meanwhile is left to `current`."""
        await self._engine.refresh(include_started=include_started)
        began = time.perf_counter()
        for found in self._engine.found(include_started=include_started):
            self._of(found, self._engine.clock())
            if time.perf_counter() - began >= self._engine.slice_seconds:
                await asyncio.sleep(0)
                began = time.perf_counter()

    def current(self, *, include_started: bool = False) -> list[Track]:
        """Return every opportunity as it is now, also those listed apart. Fast after `refresh`."""
        every = self._engine.found(include_started=include_started)
        for event_id in self._chosen.keys() - self._engine.event_ids:
            del self._chosen[event_id]
        now = self._engine.clock()
        return [track for found in every for track in self._of(found, now)]

    @property
    def left_out(self) -> int:
        """How many opportunities there are that are not kept: see `opportunities.MOST_OF_EVENT`."""
        return sum(chosen.left_out for chosen in self._chosen.values())

    def _of(self, found: Found, now: datetime) -> list[Track]:
        """Return what an event has, searched again if anything changed."""
        if not found.tracks:
            self._chosen.pop(found.event.id, None)
            return []
        chosen = self._chosen.get(found.event.id)
        if chosen is None or not chosen.is_right(found, now):
            chosen = self._chosen[found.event.id] = self._search(found, now)
        return chosen.tracks

    def _search(self, found: Found, now: datetime) -> _Chosen:
        version, tracks = found.event.version, list(found.tracks.values())
        if self._has_all(found):
            return _Chosen(found.tracks, version, found.until, found.has_stale, found.left_out, tracks)
        search = OpportunitySearch(found.event, now, self._engine.max_age, self._platforms)
        # Where some were left out, those that are kept do not tell all places.
        new = search.whole() if found.left_out else search.again([track.opportunity for track in tracks])
        best = best_of_event(new)
        until, has_stale = ageing(best, self._engine.max_age)
        tracks = [_tracked(found, each) for each in best]
        return _Chosen(found.tracks, version, until, has_stale, len(new) - len(best), tracks)

    def _has_all(self, found: Found) -> bool:
        """Whether the chosen bookmakers have everything that all have."""
        if found.event.odds.keys() <= self._platforms:
            return True
        legs = [leg for track in found.tracks.values() for leg in track.opportunity.legs]
        return not found.left_out and all(self._platforms.issuperset(leg.platforms) for leg in legs)


class OpportunityChoices:
    """The opportunities at any choice of bookmakers."""

    def __init__(self, engine: OpportunityEngine) -> None:
        self._engine = engine
        self._kept: OrderedDict[frozenset[Platform], ChosenOpportunities] = OrderedDict()

    def of(self, platforms: Collection[Platform]) -> OpportunityEngine | ChosenOpportunities:
        """Return what finds the opportunities at these bookmakers: the engine for all of them, or if none is named."""
        if not platforms or all(each in platforms for each in Platform):
            return self._engine
        choice = frozenset(platforms)
        if choice not in self._kept:
            self._kept[choice] = ChosenOpportunities(self._engine, choice)
        self._kept.move_to_end(choice)
        if len(self._kept) > MOST_CHOICES:
            self._kept.popitem(last=False)
        return self._kept[choice]


def _tracked(found: Found, opportunity: Opportunity) -> Track:
    """Return an opportunity of the choice, with its history if all bookmakers together have the same prices there."""
    among_all = found.tracks.get(opportunity.identity)
    if among_all is None or not _is_same(opportunity, among_all.opportunity):
        return Track(found.event, opportunity, None, opportunity.margin)
    return Track(found.event, opportunity, among_all.first_seen_at, among_all.best_margin)


def _is_same(one: Opportunity, other: Opportunity) -> bool:
    """Whether both have the same prices, worth as much, for the same reasons, whoever has them."""
    values = [[leg.value for leg in each.legs] for each in (one, other)]
    return values[0] == values[1] and one.margin == other.margin and one.reasons == other.reasons
