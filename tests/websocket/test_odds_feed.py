"""A copy that is kept by messages alone equals what the API shows, whatever happens to the odds."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.catalogue import CATALOGUE, MAIN_NUMBERS, promoted_key
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition, MappedEvent, Prices, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED, KNOWN, TWO_UP
from quart_odds.odds import EventChange, OddsCache
from quart_odds.odds.views import bookmaker_markets, event_fields, listed_bookmaker
from quart_odds.routes.api.encoded import encode_detail
from quart_odds.websocket.odds_contents import OddsContent
from quart_odds.websocket.odds_feed import OddsFeed
from quart_odds.websocket.odds_marks import mark_concerns
from quart_odds.websocket.odds_view import OddsView
from tests.odds.making import KICKOFF, NOW, STALE_AFTER, header, key
from tests.websocket.copies import OddsCopy, Place, Price, prices_of

HOME, DRAW, AWAY = (key("1x2_ft", name) for name in ("1", "X", "2"))
OVER, UNDER, OVER_3 = (
    key("over_under_ft", "Over", 2.5),
    key("over_under_ft", "Under", 2.5),
    key("over_under_ft", "Over", 3.5),
)
OTHER_MARKET = next(market for market in CATALOGUE.markets if market.number not in MAIN_NUMBERS and not market.has_line)
ODD_ONE = OTHER_MARKET.number << 22
WORD = len(KNOWN)
"""The number of the first promotion word that is an event's own."""

KEYS = (
    *(HOME, DRAW, AWAY, OVER, UNDER, OVER_3, ODD_ONE),
    *(promoted_key(HOME, promotion) for promotion in (TWO_UP, BOOSTED, WORD)),
    promoted_key(DRAW, TWO_UP),
    promoted_key(OVER, BOOSTED),
    promoted_key(ODD_ONE, BOOSTED),
)
VALUES = tuple(
    pack_value(odds, is_active) for odds, is_active in ((2.0, True), (2.06, True), (3.0, True), (2.0, False))
)

EXACT_VIEWS = (
    OddsView(None),
    OddsView(MAIN_NUMBERS),
    OddsView(None, frozenset({Platform.SPORTYBET})),
    OddsView(MAIN_NUMBERS, frozenset({Platform.BETPAWA, Platform.BET9JA})),
)
"""What copies see that have to be exact."""

OTHER_VIEWS = (
    OddsView(None, min_move=5.0),
    OddsView(MAIN_NUMBERS, min_move=60.0, has_images=False),
    OddsView(frozenset({OTHER_MARKET.number}), frozenset({Platform.BETPAWA}), has_images=False),
)


@dataclass(frozen=True)
class Fetch:
    """What a bookmaker says of an event, in a list or when it is asked for the event's own body."""

    platform: Platform
    external_id: str
    prices: Mapping[int, int]
    is_list: bool
    sportradar_id: str | None
    kickoff: int
    is_reversed: bool
    competition: str
    behind: int

    def apply(self, cache: OddsCache, second: int) -> list[EventChange]:
        """Let the cache take it."""
        home, away = ("Chelsea", "Arsenal") if self.is_reversed else ("Arsenal", "Chelsea")
        event = header(
            self.platform,
            self.external_id,
            self.sportradar_id,
            kickoff=KICKOFF + timedelta(minutes=self.kickoff),
            home=home,
            away=away,
            competition=Competition(self.competition, "League", "Country"),
        )
        words = ("gift",) if any(each in self.prices for each in KEYS if each == promoted_key(HOME, WORD)) else ()
        found = MappedEvent(event, Prices.from_pairs(self.prices.items()), promotions=words, is_partial=self.is_list)
        now = NOW + timedelta(seconds=second)
        return [cache.apply(found, now - timedelta(seconds=self.behind), now)]


@dataclass(frozen=True)
class Withdrawal:
    """A bookmaker says that there is no such event."""

    platform: Platform
    external_id: str

    def apply(self, cache: OddsCache, second: int) -> list[EventChange]:
        """Let the cache take it."""
        change = cache.withdraw(self.platform, self.external_id, NOW + timedelta(seconds=second))
        return [] if change is None else [change]


@dataclass(frozen=True)
class Discovery:
    """A complete list of a bookmaker."""

    platform: Platform
    listed: frozenset[str]
    believe_after: int

    def apply(self, cache: OddsCache, second: int) -> list[EventChange]:
        """Let the cache take it."""
        at, wait = NOW + timedelta(seconds=second), timedelta(seconds=self.believe_after)
        return cache.mark_missing(self.platform, dict.fromkeys(self.listed, at), at, believe_after=wait)


def sometimes(usual: Any, *others: Any) -> Any:
    """Return a strategy for a value that is usually the same."""
    return st.sampled_from([usual] * 4 * len(others) + [*others])


platforms, ids = st.sampled_from(list(Platform)), sometimes("a", "b")
fetches = st.builds(
    Fetch,
    platforms,
    ids,
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), min_size=1, max_size=10),
    st.booleans(),
    sometimes("1", "2", None),
    sometimes(0, 5, 120),
    sometimes(False, True),
    sometimes("17", "18"),
    sometimes(0, 15, -7 * 3600),
)
happenings = st.one_of(
    *[fetches] * 6,
    st.builds(Withdrawal, platforms, ids),
    st.builds(Discovery, platforms, st.frozensets(ids), st.sampled_from([0, 10])),
)
timed = st.lists(st.tuples(sometimes(10, 7 * 3600), happenings), min_size=5, max_size=20)
bodies = st.builds(
    Fetch,
    st.just(Platform.BET9JA),
    st.just("a"),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=10),
    st.booleans(),
    st.just("1"),
    st.just(0),
    st.just(False),
    st.just("17"),
    st.sampled_from([0, 15]),
)


@dataclass
class Watched:
    """A cache whose changes go through a feed, and copies that are kept by what the feed publishes."""

    cache: OddsCache = field(default_factory=OddsCache)
    copies: dict[OddsView, OddsCopy] = field(default_factory=lambda: {view: OddsCopy() for view in EXACT_VIEWS})
    published: list[OddsContent] = field(default_factory=list)
    rendered: list[tuple[OddsContent, OddsView, bytes]] = field(default_factory=list)

    def take(self, happening: Fetch | Withdrawal | Discovery, second: int) -> None:
        """Let the cache take something, and publish its changes. The copies apply them."""
        before = {
            event_odds.id: prices_of([bookmaker_markets(event, event_odds)])
            for event in self.cache.events.values()
            for event_odds in event.odds.values()
        }
        feed = OddsFeed(self._put, self.cache, lambda: NOW)
        for change in happening.apply(self.cache, second):
            self.published.clear()
            feed(change)
            for content in self.published:
                if content.name == "odds_change":
                    check_rows(orjson.loads(content.render(EXACT_VIEWS[0]))["data"], before.get(change.odds_id, {}))

    def _put(self, content: object) -> None:
        assert isinstance(content, OddsContent)
        self.published.append(content)
        for view in (*EXACT_VIEWS, *OTHER_VIEWS):
            made = content.render(view)
            message = orjson.loads(made)
            assert message["type"] == content.name
            assert content.concerns(view) == says_anything(message, content, view)
            assert mark_concerns(content.mark, view) in (None, content.concerns(view))
            self.rendered.append((content, view, made))
            if view in self.copies and content.concerns(view):
                self.copies[view].apply(message)


def check_rows(data: Any, before: Mapping[Place, Price]) -> None:
    """Check that each price changed, and what it was before."""
    for row in data["changes"]:
        place = Place(data["source"], row["market_id"], row["line"], row["market_promotion"], row["outcome"])
        former = before.get(place)
        assert former != Price(row["odds"], row["is_active"], row["available"], row["promotion"])
        assert row["previous"] == (former.odds if former is not None and former.available else None)


def says_anything(message: Any, content: OddsContent, view: OddsView) -> bool:
    """Return whether a message has something for a view."""
    data, sources = message["data"], view.platforms or frozenset(Platform)
    if message["type"] == "odds_change":
        return data["source"] in sources and bool(data["changes"])
    if message["type"] == "event_change":
        return True
    return view.has_images


def shown(cache: OddsCache) -> dict[int, dict[Place, Price]]:
    """Return the prices that the API shows, by event."""
    details = {event.id: asyncio.run(encode_detail(event, utc_now(), STALE_AFTER)) for event in cache.events.values()}
    return {each: prices_of(orjson.loads(body.content)["markets_by_bookmaker"]) for each, (body, _) in details.items()}


def seen(prices: Mapping[Place, Price], view: OddsView) -> dict[Place, Price]:
    """Return the prices that are in a view."""
    markets = {market.id for market in CATALOGUE.markets if view.markets is None or market.number in view.markets}
    return {
        place: price
        for place, price in prices.items()
        if place.market_id in markets and (view.platforms is None or place.source in view.platforms)
    }


LIVELY = ("has_odds", "snapshot_time", "unavailable_since", "changed_at")
"""Fields that say when prices were fetched or changed, and whether there are any. Prices tell the same."""


def lasting(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that only images and messages about events change."""
    return {name: value for name, value in fields.items() if name not in LIVELY}


def check(copy: OddsCopy, cache: OddsCache, prices: Mapping[int, Mapping[Place, Price]], view: OddsView) -> None:
    """Compare a copy with the cache, and with the prices that the API shows of it."""
    assert copy.unknown == 0
    assert copy.events.keys() == cache.events.keys()
    for event in cache.events.values():
        here = {
            platform: each
            for platform, each in event.odds.items()
            if view.platforms is None or platform in view.platforms
        }
        assert copy.prices(event.id) == seen(prices[event.id], view)
        known = copy.events[event.id]
        assert lasting(known.fields) == lasting(event_fields(event))
        assert {name: lasting(each) for name, each in known.bookmakers.items()} == {
            platform.value: lasting(listed_bookmaker(event, each)) for platform, each in here.items()
        }


def follow(happened: list[tuple[int, Any]]) -> None:
    """Let things happen, with pauses in seconds, and compare the copies after each."""
    watched = Watched()
    second = 0
    for pause, each in happened:
        second += pause
        watched.take(each, second)
        prices = shown(watched.cache)
        for view, copy in watched.copies.items():
            check(copy, watched.cache, prices, view)
    for content, view, made in watched.rendered:
        assert content.render(view) == made


@settings(deadline=None)
@given(timed)
def test_a_copy_kept_by_messages_equals_what_the_api_shows(happened: list[tuple[int, Any]]) -> None:
    """For all prices, for the main markets, and for some bookmakers. A message that says nothing concerns nobody."""
    follow(happened)


@settings(deadline=None)
@given(st.lists(st.one_of(*[bodies] * 5, st.just(Withdrawal(Platform.BET9JA, "a"))), min_size=3, max_size=10))
def test_promoted_prices_move_between_offers_in_copies_as_they_do_in_the_api(happened: list[Any]) -> None:
    """One bookmaker's plain and promoted prices come, go and are suspended, in bodies and lists."""
    follow([(10, each) for each in happened])
