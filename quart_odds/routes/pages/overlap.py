"""How the bookmakers' events overlap, for the page of coverage: by bookmaker, by competition and event by event."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.competitions import MatchedCompetition
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.matching import KICKOFF_TOLERANCE
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.api.lists import Reason, has_differing_names, why_lacking

Why = Literal["not_listed", "no_sportradar_id", "kickoff_differs", "names_differ"]

WORDS: Mapping[Why, str] = {
    "not_listed": "not listed",
    "no_sportradar_id": "no SportRadar id",
    "kickoff_differs": "kick-off differs",
    "names_differ": "names differ",
}
"""Why an event is not matched at every bookmaker, or should be looked at."""

_MINUTES = round(KICKOFF_TOLERANCE.total_seconds() / 60)

MEANINGS: Mapping[Why, str] = {
    "not_listed": "the bookmakers that lack it do not list it, or give it another SportRadar id",
    "no_sportradar_id": "its bookmaker gives no SportRadar id, and events are matched by that id alone",
    "kickoff_differs": f"another bookmaker has the id at a kick-off more than {_MINUTES} minutes away, so they are two",
    "names_differ": "matched by its id, but a team has so different names that a person should check",
}


@dataclass(slots=True)
class BookmakerOverlap:
    """The events that a bookmaker lists, and those that it lacks and another one lists.

    `whys` says of those that it has alone why the others lack them.
    """

    platform: Platform
    listed: int = 0
    matched: int = 0
    alone: int = 0
    lacking: int = 0
    whys: Counter[Reason] = field(default_factory=Counter)

    @property
    def percent(self) -> float | None:
        """The share of its events that another bookmaker lists; None without events."""
        return 100 * self.matched / self.listed if self.listed else None


@dataclass(slots=True)
class CompetitionOverlap:
    """The events of a competition, whoever has it: how many are matched, and how many each bookmaker lists."""

    of: MatchedCompetition
    events: int = 0
    matched: int = 0
    listed: Counter[Platform] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class EventOverlap:
    """An event that a bookmaker lacks, or whose names differ. `other` has its id at another time, if one has."""

    event: CachedEvent
    listed: tuple[Platform, ...]
    missing: tuple[Platform, ...]
    whys: tuple[Why, ...]
    other: CachedEvent | None


@dataclass(frozen=True, slots=True)
class Overlap:
    """How the events of some bookmakers overlap. `notable` are those that are not the same everywhere."""

    bookmakers: Sequence[BookmakerOverlap]
    competitions: Sequence[CompetitionOverlap]
    notable: Sequence[EventOverlap]
    events: int
    matched: int

    def because(self, why: Why | None) -> list[EventOverlap]:
        """Return the notable events with this reason, or all of them."""
        return [each for each in self.notable if why is None or why in each.whys]

    @property
    def whys(self) -> Counter[Why]:
        """How many notable events there are for each reason."""
        return Counter(why for each in self.notable for why in each.whys)


async def overlap_of(cache: OddsCache, events: Iterable[CachedEvent], platforms: Sequence[Platform]) -> Overlap:
    """Return how the events overlap among these bookmakers. Events that none of them lists now do not count.

    Takes some 20 ms for 1,300 events; other tasks run meanwhile.
    """
    books = {platform: BookmakerOverlap(platform) for platform in platforms}
    with_events = set(cache.bookmakers)
    competitions: dict[int, CompetitionOverlap] = {}
    same = cache.competitions()
    notable = []
    matched = count = 0
    turn = CooperativeYield()
    for event in [event.snapshot() for event in events]:
        if turn.is_due:
            await asyncio.sleep(0)
        here = event.listed
        listed = tuple([each for each in platforms if each in here])
        if not listed:
            continue
        missing = tuple([each for each in platforms if each not in here and each in with_events])
        reason, other = why_lacking(cache, event)
        is_matched = len(listed) > 1
        count += 1
        matched += is_matched
        for each in missing:
            books[each].lacking += 1
        for each in listed:
            books[each].listed += 1
            books[each].matched += is_matched
        if not is_matched:
            books[listed[0]].alone += 1
            books[listed[0]].whys[reason] += 1
        of = same.of(event)
        competition = competitions.setdefault(of.id, CompetitionOverlap(of))
        competition.events += 1
        competition.matched += is_matched
        competition.listed.update(listed)
        differ: tuple[Why, ...] = ("names_differ",) if is_matched and has_differing_names(event) else ()
        if missing or differ:
            notable.append(EventOverlap(event, listed, missing, (reason, *differ) if missing else differ, other))
    return Overlap(list(books.values()), list(competitions.values()), notable, count, matched)
