"""The opportunities there are now, and how long each has been there: found anew where odds change, and only there.

Changes are noted at once, which costs a few µs. The search follows in a task, in slices of a few milliseconds with the
loop free in between. Whoever asks has what is still waiting searched first, so that an answer is of its moment.
"""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from typing import Literal

import structlog

from quart_odds.domain.catalogue import offer_code
from quart_odds.domain.clock import utc_now
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.opportunity import Identity, Opportunity
from quart_odds.odds.opportunity_search import OpportunitySearch

SLICE_SECONDS = 0.001
"""For how long the search holds the loop. One event takes longer, and is searched in steps (`OpportunitySearch`)."""

REST = 7.0
"""How long the task rests after a slice, in slices: it takes at most an eighth of the loop's time.

A run changes every event. The bookmakers' bodies and the clients come first.
"""

INTERVAL_SECONDS = 0.05
"""The least time between two searches in the task, so that changes which follow each other are searched together."""

SWEEP_SECONDS = 1.0
"""How often opportunities are looked for that time has ended."""

MOST_OFFERS = 40
"""If more markets and lines of an event changed, all of them are searched, which takes less time."""

MOST_OF_EVENT = 20
"""How many opportunities of an event are kept. Most events have one or two, and none that was seen more than six.

A bookmaker's nonsense makes hundreds of each event. All of them together took gigabytes, and full garbage collections
that held the loop for most of a second.
"""

_FAR = datetime.max.replace(tzinfo=UTC)
_NOTHING: frozenset[int] = frozenset()

What = Literal["appeared", "changed", "gone"]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Track:
    """An opportunity of an event, since when it has been there, and the most that it was worth.

    `first_seen_at` is None for an event that has kicked off: those are not watched. It is when this process first found
    the opportunity, so a restart begins anew. It is also None for one that only a choice of bookmakers has
    (`odds.opportunity_choices`).
    """

    event: CachedEvent
    opportunity: Opportunity
    first_seen_at: datetime | None
    best_margin: float


@dataclass(slots=True)
class Found:
    """What was found in an event, at which revision and version, and until when no price of it gets too old.

    `has_stale`: something is listed apart because it is too old. It is not any more once its prices are seen again.
    `left_out` is how many opportunities there are beyond MOST_OF_EVENT. `tracks` is replaced by every search, and never
    modified.
    """

    event: CachedEvent
    is_watched: bool
    kickoff: datetime = _FAR
    revision: int = -1
    version: int = -1
    until: datetime = _FAR
    has_stale: bool = False
    left_out: int = 0
    tracks: dict[Identity, Track] = field(default_factory=dict)

    def offers(self) -> set[int]:
        """Return the markets and lines of everything that was found."""
        return {offer for track in self.tracks.values() for offer in track.opportunity.offers}


class OpportunityEngine:
    """The opportunities in a cache. Call `note` with every EventChange, right after the cache took it.

    `on_told` is called with what happened to an opportunity of an event that has not kicked off, and when. It is not
    called for those that are listed apart.
    """

    def __init__(
        self,
        cache: OddsCache,
        max_age: timedelta,
        *,
        clock: Callable[[], datetime] = utc_now,
        slice_seconds: float = SLICE_SECONDS,
    ) -> None:
        self.on_told: Callable[[What, Track, datetime], object] | None = None
        self._cache = cache
        self.max_age = max_age
        self.clock = clock
        self.slice_seconds = slice_seconds
        self._found: dict[int, Found] = {}
        self._changed: dict[int, set[int] | None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, change: EventChange) -> None:
        """Note what a change concerns: some markets and lines of an event, or everything in some events."""
        if (
            change.is_new
            or change.is_available is not None
            or change.is_header_changed
            or change.redated_after
            or change.moved
            or change.also
            or change.emptied
        ):
            self._changed.update(dict.fromkeys(change.event_ids))
        elif change.changed:
            offers = self._changed.setdefault(change.event_id, set())
            if offers is not None:
                offers.update([offer_code(key) for key, _, _ in change.changed])
        else:
            return
        self._wake.set()

    # Who asks.

    async def refresh(self, *, include_started: bool = False) -> None:
        """Search what changed, with the loop free in between. What changes meanwhile is left to `current`."""
        await self._search(list(self._waiting(self.clock(), include_started=include_started)), rest=0)

    def current(self, *, include_started: bool = False) -> list[Track]:
        """Return every opportunity as it is now, also those listed apart. Fast after `refresh`."""
        return [track for found in self.found(include_started=include_started) for track in found.tracks.values()]

    def found(self, *, include_started: bool = False) -> list[Found]:
        """Return what there is now in each event. Fast after `refresh`."""
        now = self.clock()
        for event in list(self._waiting(now, include_started=include_started)):
            self._examine(event, now)
        return [found for found in self._found.values() if found.is_watched or include_started]

    @property
    def event_ids(self) -> Set[int]:
        """The ids of the events that were searched."""
        return self._found.keys()

    @property
    def left_out(self) -> int:
        """How many opportunities there are that are not kept: see MOST_OF_EVENT."""
        return sum(found.left_out for found in self._found.values())

    def told(self) -> list[Track]:
        """Return every opportunity that has been told and is not gone, without a search."""
        return [track for found in self._found.values() for track in found.tracks.values() if _is_told(track)]

    # The task.

    def open(self) -> None:
        """Start to search whenever something changes."""
        if self._task is None:
            self._wake.set()
            self._task = asyncio.create_task(self._run(), name="opportunities")

    async def close(self) -> None:
        """Stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        swept_at = -SWEEP_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if loop.time() - swept_at >= SWEEP_SECONDS:
                    swept_at = loop.time()
                    await self._search(list(self._waiting(self.clock(), include_started=False)), rest=REST)
                else:
                    events = [self._cache.get(event_id) for event_id in self._changed]
                    await self._search([event for event in events if event is not None], rest=REST)
            except Exception:
                log.exception("opportunities.search_failed")
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _search(self, events: list[CachedEvent], *, rest: float) -> None:
        """Search those of these events that are still waiting. After each slice, rest for so many times as long."""
        began = time.perf_counter()
        for event in events:
            # The event may have been searched, or dropped, by now.
            now = self.clock()
            if not self._is_here(event, now):
                continue
            state, part, new, is_same = self._state(event, now), self._part(event, now), list[Opportunity](), True
            for found in OpportunitySearch(event, now, self.max_age).steps(part):
                new += found
                took = time.perf_counter() - began
                if took >= self.slice_seconds:
                    await asyncio.sleep(rest * took)
                    began, now = time.perf_counter(), self.clock()
                    is_same = self._is_here(event, now) and self._state(event, now) == state
                    if not is_same:
                        break  # going on would mix prices of two moments
            if is_same:
                self._take(event, part, new, now)
            elif self._is_here(event, now):
                # In one go: an event that changes all the time would never be searched in slices.
                self._examine(event, now)

    def _is_here(self, event: CachedEvent, now: datetime) -> bool:
        return self._cache.get(event.id) is event and self._is_waiting(event, now)

    def _state(self, event: CachedEvent, now: datetime) -> tuple[int, bool, set[int] | None]:
        """Return what differs once an event has changed or kicked off, or another search took note of a change."""
        changed = self._changed.get(event.id, _NOTHING)
        return event.version, event.header.kickoff > now, None if changed is None else set(changed)

    # What there is to search.

    def _waiting(self, now: datetime, *, include_started: bool) -> Iterator[CachedEvent]:
        """End what belongs to events that are no longer there or have kicked off, and yield the events to search."""
        for event_id, found in list(self._found.items()):
            event = self._cache.get(event_id)
            if event is None or event.key != found.event.key or found.is_watched == (found.kickoff <= now):
                self._drop(event_id, now)
        for event_id in [each for each in self._changed if self._cache.get(each) is None]:
            del self._changed[event_id]
        events = self._cache.by_kickoff()
        first = 0 if include_started else bisect_right(events, now, key=lambda event: event.header.kickoff)
        for event in events[first:]:
            if self._is_waiting(event, now):
                yield event

    def _is_waiting(self, event: CachedEvent, now: datetime) -> bool:
        found = self._found.get(event.id)
        if found is None or found.event is not event or event.revision != found.revision or event.id in self._changed:
            return True
        return self._is_aged(found, now)

    def _is_aged(self, found: Found, now: datetime) -> bool:
        """Whether a price got too old since the search, or one that was may have been seen again."""
        return found.until < now or (found.version != found.event.version and found.has_stale)

    def _examine(self, event: CachedEvent, now: datetime) -> None:
        """Search an event, or the part of it that changed, and tell what is different."""
        part = self._part(event, now)
        search = OpportunitySearch(event, now, self.max_age)
        self._take(event, part, search.whole() if part is None else search.among(part), now)

    def _part(self, event: CachedEvent, now: datetime) -> set[int] | None:
        """Return the markets and lines to search; None for all.

        All are searched of an event that another one replaced in the cache, as when that was read again.
        """
        found, changed = self._found.get(event.id), self._changed.get(event.id, _NOTHING)
        if found is None or found.event is not event or found.is_watched != (event.header.kickoff > now):
            return None
        is_known = event.id in self._changed or event.revision == found.revision
        # Where some were left out, those that are kept do not tell what is best now.
        if not is_known or changed is None or len(changed) > MOST_OFFERS or found.left_out:
            return None
        return found.offers().union(changed) if self._is_aged(found, now) else set(changed)

    def _take(self, event: CachedEvent, part: Collection[int] | None, new: list[Opportunity], now: datetime) -> None:
        """Take note of what a search found in an event, or in a part of it, and tell what is different."""
        self._changed.pop(event.id, None)
        is_watched = event.header.kickoff > now
        found = self._found.get(event.id)
        if found is None or found.event.key != event.key or found.is_watched != is_watched:
            self._drop(event.id, now)
            found = self._found[event.id] = Found(event, is_watched)
        if part is None:
            former = found.tracks
        else:
            middles = {offer >> 22 for offer in part}
            former = {
                identity: track
                for identity, track in found.tracks.items()
                if not track.opportunity.offers.isdisjoint(part)
                or (track.opportunity.kind == "middle" and track.opportunity.market.number in middles)
            }
        before = found.tracks
        kept = [track.opportunity for identity, track in before.items() if identity not in former]
        found.left_out = max(0, len(kept) + len(new) - MOST_OF_EVENT)
        best = best_of_event([*kept, *new])
        found.tracks = {
            each.identity: before[each.identity]
            if each.identity in before and each.identity not in former
            else self._tracked(event, former, each, now, is_watched)
            for each in best
        }
        for identity, track in before.items():
            if identity not in found.tracks:
                self._tell("gone", track, now)
        found.event, found.revision, found.version = event, event.revision, event.version
        found.kickoff = event.header.kickoff
        found.until, found.has_stale = ageing(best, self.max_age)

    def _tracked(
        self,
        event: CachedEvent,
        former: dict[Identity, Track],
        opportunity: Opportunity,
        now: datetime,
        is_watched: bool,
    ) -> Track:
        before = former.get(opportunity.identity)
        if before is None:
            track = Track(event, opportunity, now if is_watched else None, opportunity.margin)
            self._tell("appeared", track, now)
            return track
        best = max(before.best_margin, opportunity.margin)
        track = Track(event, opportunity, before.first_seen_at, best)
        if not opportunity.is_as(before.opportunity):
            self._tell("changed", track, now)
        return track

    def _drop(self, event_id: int, now: datetime) -> None:
        found = self._found.pop(event_id, None)
        for track in found.tracks.values() if found is not None else ():
            self._tell("gone", track, now)

    def _tell(self, what: What, track: Track, at: datetime) -> None:
        if self.on_told is not None and _is_told(track):
            self.on_told(what, track, at)


def best_of_event(opportunities: list[Opportunity]) -> list[Opportunity]:
    """Return the opportunities of an event that are kept: those that are best if there are more than MOST_OF_EVENT."""
    return opportunities if len(opportunities) <= MOST_OF_EVENT else nsmallest(MOST_OF_EVENT, opportunities, key=_order)


def ageing(opportunities: Collection[Opportunity], max_age: timedelta) -> tuple[datetime, bool]:
    """Return until when no price of these gets too old, and whether one of them is listed apart because it is."""
    fresh = [each.seen_at for each in opportunities if "stale" not in each.reasons]
    return min(fresh, default=_FAR - max_age) + max_age, len(fresh) < len(opportunities)


def _order(opportunity: Opportunity) -> tuple[bool, int, float, Identity]:
    """Return what to sort by: first what nothing speaks against, or only its age, then what is worth most."""
    others = [reason for reason in opportunity.reasons if reason != "stale"]
    return bool(others), len(opportunity.reasons), -opportunity.margin, opportunity.identity


def _is_told(track: Track) -> bool:
    """Whether an opportunity is told: not after the kick-off, and not if it is listed apart."""
    return track.first_seen_at is not None and not track.opportunity.reasons
