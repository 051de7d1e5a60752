"""Random operations on a cache of odds, and all by which two processes that took the same ones might differ."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from quart_odds.domain.catalogue import offer_code, promoted_key
from quart_odds.domain.odds import Competition, ListedCompetitions, MappedEvent, Prices, UnmappedMarket, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED, KNOWN, TWO_UP
from quart_odds.odds import CachedEvent, EventChange, EventOdds, OddsCache
from quart_odds.odds.archive import ArchivedEvents
from quart_odds.odds.candidates import Candidates
from quart_odds.odds.matched_events import MatchedEvents
from quart_odds.odds.operations import Discovered, Forgotten, Operation, Recalled, Recorded, Withdrawn, carry_out
from quart_odds.odds.ports import StoredEvent
from quart_odds.odds.snapshots import Snapshot, decode_snapshot, take
from quart_odds.odds.unmapped import UnmappedMarkets
from quart_odds.routes.api.encoded import EventBodies, encode_detail
from quart_odds.routes.api.query import EventsQuery, cursor
from quart_odds.websocket.odds_contents import OddsContent
from quart_odds.websocket.odds_feed import OddsFeed
from quart_odds.websocket.odds_view import OddsView
from tests.odds.making import KICKOFF, NOW, STALE_AFTER, header, key

T = TypeVar("T")

HOME, DRAW, AWAY = (key("1x2_ft", name) for name in ("1", "X", "2"))
OVER, UNDER = (key("over_under_ft", name, 2.5) for name in ("Over", "Under"))
YES = key("btts_ft", "Yes")
WORD = len(KNOWN)
KEYS = (
    *(HOME, DRAW, AWAY, OVER, UNDER, YES),
    *(promoted_key(HOME, promotion) for promotion in (TWO_UP, BOOSTED, WORD, WORD + 1)),
    *(promoted_key(OVER, promotion) for promotion in (BOOSTED, WORD)),
)
VALUES = tuple(
    pack_value(odds, is_active) for odds, is_active in ((2.0, True), (2.06, True), (9.5, True), (2.0, False))
)
UNKNOWN = [UnmappedMarket(f"S_{name}", f"Über {name}") for name in ("OUA", "ODD", "CSX")]
VIEW = OddsView(None)


class Operations:
    """Makes random operations that fit a cache. `stored` is what its database would have."""

    def __init__(self, random: Random) -> None:
        self.stored: dict[int, StoredEvent] = {}
        self.now = NOW
        self._random = random

    def next(self, cache: OddsCache) -> Operation:
        """Return another operation, a while after the one before. Sometimes the clock is set."""
        pause = self._mostly(10.0, 0.000_001, 61.5, 7 * 3600.0, -3600.0, 86_400.0)
        self.now = max(self.now + timedelta(seconds=pause), NOW)
        make = self._mostly(
            self._recorded, self._discovered, self._discovered, self._withdrawn, self._forgotten, self._recalled
        )
        return make(cache)

    def _mostly(self, usual: T, *others: T) -> T:
        return usual if self._random.random() < 0.7 else self._random.choice(others)

    def _some(self, values: Sequence[T], least: int = 0) -> list[T]:
        return self._random.sample(values, self._random.randint(least, len(values)))

    def _at(self) -> datetime:
        """Return when an answer arrived: now, late, or by a clock that was ahead."""
        return max(self.now - timedelta(seconds=self._mostly(0.5, 15.25, 400.0, -30.0, -7 * 3600.0)), NOW)

    def _place(self) -> tuple[Platform, str]:
        return self._random.choice(list(Platform)), self._random.choice("abcd")

    def _recorded(self, cache: OddsCache) -> Operation:
        platform, external_id = self._place()
        home, away = self._mostly(("Arsenal", "Chelsea"), ("Chelsea", "Arsenal"), ("Bayern München", "Côte"))
        event = header(
            platform,
            external_id,
            self._mostly("1", "2", None),
            kickoff=KICKOFF + timedelta(minutes=self._mostly(0, 5, 120, -420)),
            home=home,
            away=away,
            competition=Competition(self._mostly("17", "18"), "League", "Country"),
            genius_id=self._mostly(None, "7", "8"),
        )
        is_list = self._random.random() < 0.4
        prices = {each: self._random.choice(VALUES) for each in self._some(KEYS, least=int(is_list))}
        promotions = self._mostly((), ("gift",), ("spin", "gift"), ("gift", "spin"), ("two_up",))
        source = {
            offer_code(each): self._mostly(1_764_000_000_000 + self._random.randrange(5), 0, -5, 1 << 60)
            for each in self._mostly([], self._some(KEYS))
        }
        unmapped = tuple(self._some(UNKNOWN))
        mapped = MappedEvent(
            event,
            Prices.from_pairs(prices.items()),
            unmapped,
            promotions=promotions,
            is_partial=is_list,
            source_changed=source,
        )
        return Recorded(mapped, self._at(), self.now)

    def _discovered(self, cache: OddsCache) -> Operation:
        listed = ListedCompetitions(
            frozenset(self._some(["17", "18"])), frozenset(self._some(["18"])), self._mostly(True, False)
        )
        seen = {external_id: self._at() for external_id in self._some("abcd")}
        wait = timedelta(seconds=self._mostly(300.0, 0.0, 5.5))
        return Discovered(self._place()[0], seen, self._at(), listed, wait, self.now)

    def _withdrawn(self, cache: OddsCache) -> Operation:
        return Withdrawn(*self._place(), self._at(), self.now)

    def _forgotten(self, cache: OddsCache) -> Operation:
        events = self._some(list(cache.events.values()))[:2]
        self.stored |= {event.id: stored(event) for event in events}
        return Forgotten(tuple(event.id for event in events))

    def _recalled(self, cache: OddsCache) -> Operation:
        if not self.stored:
            return self._recorded(cache)
        event_id = self._random.choice(list(self.stored))
        recalled = self.stored[event_id]
        odds = [each.header for each in recalled.odds]
        is_here = event_id in cache.events or any(cache.knows(each.platform, each.external_id) for each in odds)
        is_new_key = all(event.key != recalled.event.key for event in cache.events.values())
        return Recalled(event_id, recalled if not is_here and is_new_key else None, self.now)


def stored(event: CachedEvent) -> StoredEvent:
    """Return an event as the database gives it back: without what is not stored."""
    odds = tuple(
        replace(
            each,
            sighted_at=None,
            set_version=0,
            noted_at=each.fetched_at,
            listed=tuple(replace(one, digest=b"") for one in each.listed),
            _fetched=b"",
        )
        for each in event.odds.values()
    )
    return StoredEvent(CachedEvent(event.id, event.key, event.created_at, event.changed_at), odds)


@dataclass
class Process:
    """A process that serves the odds: a cache, and what its feed publishes."""

    cache: OddsCache = field(default_factory=OddsCache)
    published: list[tuple[object, ...]] = field(default_factory=list)
    now: datetime = NOW
    is_rendering: bool = True

    def __post_init__(self) -> None:
        """Connect the feed."""
        self.feed = OddsFeed(self._put, self.cache, lambda: self.now)

    def take(self, operation: Operation) -> list[EventChange]:
        """Take an operation as a process does."""
        if not isinstance(operation, Forgotten):
            self.now = operation.now
        self.published.clear()
        changes = carry_out(self.cache, operation)
        for change in changes:
            self.feed(change)
        if isinstance(operation, Recalled) and operation.stored is not None:
            event = self.cache.get(operation.event_id)
            assert event is not None
            self.feed.recalled(event)
        return changes

    def snapshot(self) -> Snapshot:
        """Return a snapshot as it arrives at another process."""
        return decode_snapshot(take(self.cache, self.feed.tournaments.state()).encode())

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        snapshot.restore(self.cache)
        self.feed.adopt(snapshot.former_tournaments)

    def _put(self, content: object) -> None:
        assert isinstance(content, OddsContent)
        self.published.append((content.name, content.mark, sorted(content.subjects), self._rendered(content)))

    def _rendered(self, content: OddsContent) -> bytes:
        return content.render(VIEW) if self.is_rendering else b""


LOCAL: dict[type, set[str]] = {
    OddsCache: {"version", "_recent", "_competition_values"},
    EventOdds: {"recent", "noted_at"},
    CachedEvent: {"version"},
    MatchedEvents: {"_by_kickoff"},
    ArchivedEvents: set(),
}
"""What each process has for itself. All other objects that a cache holds are values, which are compared as such."""


def everything(value: Any, known: set[int] | None = None) -> Any:
    """Return all that an object holds, at any depth and whatever it is called, as values that can be compared.

    Event odds that are in `known`, by their ids, are named and not told again.
    """
    known = set() if known is None else known
    kind = type(value)
    if kind is dict:
        return {each: everything(kept, known) for each, kept in value.items()}
    if kind in (tuple, list):
        return [everything(each, known) for each in value]
    if kind is UnmappedMarkets:
        # Their numbers may differ: nobody sees them.
        kinds = {odds_id: sorted(value._kinds[each][1].market_id for each in kept) for odds_id, kept in _kept(value)}
        return value.counts(), kinds
    if kind is Candidates:
        slots = [(name, [(slot, list(odds)) for slot, odds in slots.items()]) for name, slots in value._slots.items()]
        ignored = {name: list(odds) for name, odds in value._ignored.items()}
        return sorted(slots), {odds_id: place[0] for odds_id, place in value._places.items()}, ignored
    if kind is EventOdds:
        if value.id in known:
            return value.id
        known.add(value.id)
    if kind not in LOCAL:
        return value
    names = [each.name for each in fields(value)] if is_dataclass(value) else list(vars(value))
    return {name: everything(getattr(value, name), known) for name in names if name not in LOCAL[kind]}


def _kept(unmapped: UnmappedMarkets) -> list[tuple[int, "array[int]"]]:
    return sorted(unmapped._by_odds_id.items())


def orders(cache: OddsCache) -> list[list[object]]:
    """Return the orders on which something depends."""
    return [
        list(cache.events),
        list(cache._by_external_id),
        [list(event.odds) for event in cache.events.values()],
        [event.id for event in cache.by_kickoff()],
        [(event.id, other and other.id) for event, other in cache.vetoed()],
    ]


async def bodies(cache: OddsCache, clock: Callable[[], datetime]) -> list[bytes]:
    """Return what the API answers: every event, pages of them with their ETags, the cursor, and unknown markets."""
    kept = EventBodies(cache, STALE_AFTER, clock=clock)
    pages = [
        kept.page(str(started), EventsQuery.model_validate({"include_started": started})) for started in (True, False)
    ]
    now = clock()
    details = [(await encode_detail(event, now, STALE_AFTER))[0] for event in cache.events.values()]
    return [
        *[part for page in (*pages, *details) for part in (page.content, page.etag.encode())],
        cursor(cache).encode(),
        repr(cache.unmapped.counts()).encode(),
    ]
