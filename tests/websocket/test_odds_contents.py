"""What is published of each kind of change, whom it concerns, and what is rendered when."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from quart_odds.domain.catalogue import CATALOGUE, MAIN_NUMBERS, offer_code, pack_key, promoted_key
from quart_odds.domain.clock import iso_z
from quart_odds.domain.odds import Competition, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED
from quart_odds.odds import EventChange, OddsCache, event_odds
from quart_odds.odds.deltas import COMPRESSED_FROM_ROWS, Delta
from quart_odds.websocket import odds_contents
from quart_odds.websocket.odds_contents import EventState, OddsContent, PricesChanged
from quart_odds.websocket.odds_feed import OddsFeed
from quart_odds.websocket.odds_marks import Kind, make_mark, mark_concerns, mark_has_main, mark_kind, mark_platform
from quart_odds.websocket.odds_view import OddsView
from tests.odds.making import KICKOFF, NOW, OVER_UNDER, X1, header, listed, mapped

HOME, DRAW, _ = X1
OVER, UNDER = OVER_UNDER
EVERYTHING = OddsView(None)
HANDICAP = next(market for market in CATALOGUE.markets if market.line_kind == "asian")


@dataclass
class Feed:
    """A cache, and what is published of its changes."""

    cache: OddsCache = field(default_factory=OddsCache)
    seconds: int = 0

    def apply(self, *found: MappedEvent, seen_at: datetime | None = None) -> list[OddsContent]:
        """Return what is published of fetches, ten seconds apart."""
        published: list[OddsContent] = []
        for each in found:
            self.seconds += 10
            published += self.publish(self.cache.apply(each, seen_at or self.now, self.now))
        return published

    def publish(self, *changes: EventChange | None) -> list[OddsContent]:
        """Return what is published of changes."""
        published: list[Any] = []
        feed = OddsFeed(published.append, self.cache, lambda: self.now)
        for change in changes:
            assert change is not None
            feed(change)
        return published

    @property
    def now(self) -> datetime:
        """The time of the last fetch."""
        return NOW + timedelta(seconds=self.seconds)


def said(content: OddsContent, view: OddsView = EVERYTHING) -> Any:
    """Return the data of a message."""
    return orjson.loads(content.render(view))["data"]


def kinds(published: list[OddsContent]) -> list[str]:
    """Return the types of messages; of those about events, what happened and to which."""
    return [
        f"{said(each)['change']} {each.event_id}" if each.name == "event_change" else f"{each.name} {each.event_id}"
        for each in published
    ]


def test_a_moved_price_is_said_as_the_api_shows_it() -> None:
    """With its bookmaker, its time, what it was before, and nothing else."""
    feed = Feed()
    feed.apply(mapped())
    (content,) = feed.apply(mapped(odds=X1 | OVER_UNDER | {HOME: 2.5}))
    assert orjson.loads(content.render(EVERYTHING)) == {
        "type": "odds_change",
        "timestamp": iso_z(feed.now),
        "data": {
            "event_id": 1,
            "sportradar_id": "68995116",
            "source": "betpawa",
            "seen_at": iso_z(feed.now),
            "source_changed_at": None,
            "changes": [
                {
                    "market_id": "3743",
                    "line": None,
                    "outcome": "1",
                    "odds": 2.5,
                    "previous": 2.4,
                    "is_active": True,
                    "available": True,
                    "promotion": None,
                    "market_promotion": None,
                }
            ],
        },
    }
    assert content.subjects == (("event", 1), ("tournament", 1))


def test_prices_that_appear_have_none_before_and_those_that_disappear_keep_their_odds() -> None:
    """A price that is gone is neither available nor active."""
    feed = Feed()
    feed.apply(mapped(odds=X1))
    (appeared,) = feed.apply(mapped(odds=X1 | {OVER: 1.98}))
    (gone,) = feed.apply(mapped(odds=X1))
    rows = [each for content in (appeared, gone) for each in said(content)["changes"]]
    assert [(row["odds"], row["previous"], row["is_active"], row["available"]) for row in rows] == [
        (1.98, None, True, True),
        (1.98, 1.98, False, False),
    ]


def test_a_promoted_price_takes_the_place_of_a_plain_one_that_disappears() -> None:
    """It leaves its further offer, which needs two rows."""
    feed = Feed()
    boosted = promoted_key(HOME, BOOSTED)
    feed.apply(mapped(odds=X1 | {boosted: 2.9}))
    (content,) = feed.apply(mapped(odds={each: odds for each, odds in X1.items() if each != HOME} | {boosted: 2.9}))
    rows = [
        (row["market_promotion"], row["promotion"], row["odds"], row["previous"], row["available"])
        for row in said(content)["changes"]
    ]
    assert rows == [(None, "boosted", 2.9, 2.4, True), ("boosted", "boosted", 2.9, 2.9, False)]


def test_a_new_event_is_said_before_its_prices() -> None:
    """An event without prices has no odds_change."""
    feed = Feed()
    event, prices = feed.apply(mapped())
    assert kinds([event, prices]) == ["new 1", "odds_change 1"]
    assert [each["bookmaker_slug"] for each in said(event)["bookmakers"]] == ["betpawa"]
    assert len(said(prices)["changes"]) == 5
    assert {row["previous"] for row in said(prices)["changes"]} == {None}
    assert kinds(feed.apply(mapped(header(external_id="e2", sportradar_id="2"), {}))) == ["new 2"]


def test_a_second_bookmaker_changes_nothing_of_the_event() -> None:
    """Its state is only for those who listen to the tournament at that bookmaker: to them the event is new."""
    feed = Feed()
    feed.apply(mapped())
    published = feed.apply(mapped(header(Platform.BET9JA)))
    assert kinds(published) == ["new 1", "odds_image 1", "odds_change 1"]
    assert published[1].subjects == (("tournament", 2),)
    assert published[0].subjects == published[2].subjects == (("event", 1), ("tournament", 1), ("tournament", 2))


def test_a_new_bookmaker_that_names_the_event_changes_it_for_all() -> None:
    """The others may be reversed from now on."""
    feed = Feed()
    feed.apply(mapped(header(Platform.BET9JA)))
    published = feed.apply(mapped(header(home="Chelsea", away="Arsenal")))
    assert kinds(published) == ["new 1", "odds_image 1", "odds_change 1"]
    assert ("event", 1) in published[1].subjects
    (event,) = said(published[1])["events"]
    assert (event["home_team"], [each["reversed"] for each in event["bookmakers"]]) == ("Chelsea", [False, True])


def test_a_moved_kick_off_is_a_kickoff_if_it_is_the_events() -> None:
    """Otherwise it changes only where the event may be matched to."""
    feed = Feed()
    feed.apply(mapped(), mapped(header(Platform.BET9JA)))
    later = KICKOFF + timedelta(minutes=5)
    assert kinds(feed.apply(mapped(header(Platform.BET9JA, kickoff=later)))) == ["changed 1", "odds_image 1"]
    published = feed.apply(mapped(header(kickoff=later)))
    assert kinds(published) == ["kickoff 1", "odds_image 1"]
    assert (said(published[0])["source"], said(published[0])["event"]["kickoff"]) == ("betpawa", iso_z(later))


def test_an_event_that_is_gone_and_comes_back() -> None:
    """No price was available meanwhile, so those that changed have none before."""
    feed = Feed()
    boosted = promoted_key(DRAW, BOOSTED)
    feed.apply(mapped(odds=X1 | {boosted: 3.5}))
    gone = feed.publish(feed.cache.withdraw(Platform.BETPAWA, "e1", feed.now))
    assert kinds(gone) == ["gone 1", "odds_image 1"]
    assert [each["available"] for each in said(gone[0])["bookmakers"]] == [False]
    back = feed.apply(mapped(odds=X1 | {HOME: 2.5, boosted: 3.6}))
    assert kinds(back) == ["back 1", "odds_image 1", "odds_change 1"]
    assert {row["previous"] for row in said(back[2])["changes"]} == {None}
    assert {row["odds"] for row in said(back[2])["changes"]} == {2.5, 3.6}


def test_odds_that_are_matched_to_another_event() -> None:
    """The event that they leave is removed if it has no others, otherwise changed like the one that they join."""
    feed = Feed()
    feed.apply(mapped(header(sportradar_id="1")), mapped(header(Platform.BET9JA, sportradar_id="2")))
    joined = feed.apply(mapped(header(Platform.BET9JA, sportradar_id="1"), X1))
    assert kinds(joined) == ["changed 1", "removed 2", "odds_image 1", "odds_change 1"]
    removed = said(joined[1])
    assert (removed["event"], removed["bookmakers"], removed["source"]) == (None, [], None)
    assert joined[1].subjects == (("event", 2), ("tournament", 2))
    left = feed.apply(mapped(header(Platform.BET9JA, sportradar_id="3"), X1))
    assert kinds(left) == ["changed 3", "changed 1", "odds_image 3", "odds_image 1"]
    assert all(("tournament", 2) in each.subjects for each in left)


def test_the_state_of_an_event_concerns_those_who_saw_odds_that_left_it() -> None:
    """They learn that it has none of their bookmakers any more."""
    feed = Feed()
    feed.apply(mapped(header(sportradar_id="1")), mapped(header(Platform.BET9JA, sportradar_id="1")))
    left = feed.apply(mapped(header(Platform.BET9JA, sportradar_id="3")))
    state = next(each for each in left if each.name == "odds_image" and each.event_id == 1)
    view = OddsView(None, frozenset({Platform.BET9JA}))
    assert state.concerns(view)
    assert said(state, view)["events"][0]["bookmakers"] == []
    assert not state.concerns(OddsView(None, has_images=False))


def test_a_change_of_tournament_is_about_both() -> None:
    """Who listens to either of them is told."""
    feed = Feed()
    feed.apply(mapped())
    published = feed.apply(mapped(header(competition=Competition("18", "Cup", "England"))))
    assert kinds(published) == ["changed 1", "odds_image 1"]
    for each in published:
        assert set(each.subjects) == {("event", 1), ("tournament", 1), ("tournament", 2)}


def test_nothing_is_published_if_only_the_time_is_new() -> None:
    """Neither of an event that is seen again, nor of one that is missed once."""
    feed = Feed()
    feed.apply(mapped())
    assert feed.apply(mapped(), listed()) == []
    missed = feed.cache.mark_missing(Platform.BETPAWA, {}, feed.now, believe_after=timedelta(minutes=5))
    assert [change.is_missed for change in missed] == [True]
    assert feed.publish(*missed) == []


def test_corrected_dates_are_published() -> None:
    """If the clock was ahead, an event may have seemed late."""
    feed = Feed()
    feed.apply(mapped(), seen_at=KICKOFF + timedelta(hours=1))
    published = feed.apply(mapped())
    assert kinds(published) == ["odds_image 1"]
    assert [each["late"] for each in said(published[0])["events"][0]["bookmakers"]] == [False]


def test_several_events_that_one_list_lacks_are_published_one_after_the_other() -> None:
    """The cache has taken all of that by then. An event that no longer exists is only removed."""
    feed = Feed()
    feed.apply(mapped(), mapped(header(external_id="e2", sportradar_id="2")))
    published = feed.publish(*feed.cache.mark_missing(Platform.BETPAWA, {}, feed.now))
    assert kinds(published) == ["gone 1", "odds_image 1", "gone 2", "odds_image 2"]
    feed.cache.forget(1)
    assert feed.publish(EventChange(1, Platform.BETPAWA, 1, is_available=False)) == []


def test_an_event_that_is_in_memory_again_is_published_whole() -> None:
    """Copies may not have it."""
    feed = Feed()
    feed.apply(mapped())
    published: list[Any] = []
    OddsFeed(published.append, feed.cache, lambda: feed.now).recalled(feed.cache.events[1])
    assert kinds(published) == ["odds_image 1"]
    assert len(said(published[0])["events"][0]["markets_by_bookmaker"][0]["markets"]) == 2


def test_nothing_is_rendered_until_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing and asking whom it concerns makes no JSON; rendering makes that of one message."""
    calls: list[str] = []

    def counted(name: str) -> Callable[..., object]:
        real: Callable[..., object] = getattr(odds_contents, name)

        def call(*args: object, **named: object) -> object:
            calls.append(name)
            return real(*args, **named)

        return call

    for name in ("shown_row", "event_fields", "listed_bookmaker", "image_event"):
        monkeypatch.setattr(odds_contents, name, counted(name))
    feed = Feed()
    published = feed.apply(mapped(), mapped(header(Platform.BET9JA)), mapped(header(kickoff=NOW), X1 | {HOME: 2.5}))
    for content in published:
        for view in (EVERYTHING, OddsView(MAIN_NUMBERS, min_move=5.0)):
            content.concerns(view)
        assert 0 <= content.mark <= 255
        assert content.size_bytes > 0
    assert calls == []
    published[0].render(EVERYTHING)
    assert calls == ["event_fields", "listed_bookmaker"]


@pytest.mark.parametrize(
    ("before", "now", "min_move", "passes"),
    [
        (2.0, 2.1, 5.0, True),
        (2.0, 2.099, 5.0, False),
        (2.0, 1.9, 5.0, True),
        (2.0, 1.901, 5.0, False),
        (2.0, None, 50.0, True),
        (None, 2.0, 50.0, True),
        (0.0, 2.0, 50.0, True),
    ],
)
def test_small_moves_are_left_out(before: float | None, now: float | None, min_move: float, *, passes: bool) -> None:
    """The size of a move is in percent of the odds before. A price that comes or goes is never left out."""
    feed = Feed()
    others = {DRAW: 3.3}
    feed.apply(mapped(odds=others | ({} if before is None else {HOME: before})))
    (content,) = feed.apply(mapped(odds=others | ({} if now is None else {HOME: now})))
    view = OddsView(None, min_move=min_move)
    assert content.concerns(view) == passes
    assert len(said(content, view)["changes"]) == passes


def test_a_suspension_is_never_left_out() -> None:
    """Its odds do not move, but nobody can bet on it."""
    feed = Feed()
    feed.apply(mapped())
    (content,) = feed.apply(mapped(suspended=frozenset({HOME})))
    assert content.concerns(OddsView(None, min_move=50.0))


def test_a_bookmakers_own_time_is_that_of_the_markets_in_view() -> None:
    """It is the newest of those that changed."""
    feed = Feed()
    early, late = (int(NOW.timestamp() * 1000) + each for each in (1, 500))
    handicap = pack_key(HANDICAP.number, 0, 0.25)
    times = {offer_code(HOME): early, offer_code(OVER): early + 1, offer_code(handicap): late}
    for odds in (2.0, 2.1):
        found = mapped(odds={HOME: odds, OVER: 1.9, handicap: odds})
        published = feed.apply(replace(found, source_changed=times))
    (content,) = published
    assert said(content)["source_changed_at"] == iso_z(NOW + timedelta(milliseconds=500))
    assert said(content, OddsView(MAIN_NUMBERS))["source_changed_at"] == iso_z(NOW + timedelta(milliseconds=1))


def test_many_changes_are_compressed_and_read_the_same() -> None:
    """They take less memory than they would as they are, and keep every row."""
    lines = [each / 4 for each in range(-60, 60)]
    feed = Feed()
    for odds in (1.5, 1.6):
        published = feed.apply(mapped(odds={pack_key(HANDICAP.number, 0, line): odds for line in lines}))
    (content,) = published
    rows = said(content)["changes"]
    assert len(rows) == len(lines) > COMPRESSED_FROM_ROWS
    assert {(row["odds"], row["previous"]) for row in rows} == {(1.6, 1.5)}
    assert sorted(row["line"] for row in rows) == lines
    assert content.size_bytes < 12 * len(lines) + 500


def test_a_price_that_is_dropped_when_it_disappears_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event odds keep a limited number of prices that are gone. Rows do not need them."""
    monkeypatch.setattr(event_odds, "MAX_GONE", 1)
    boosted = promoted_key(HOME, BOOSTED)
    feed = Feed()
    feed.apply(mapped(odds={HOME: 2.4, boosted: 2.9, promoted_key(OVER, BOOSTED): 2.1}))
    (content,) = feed.apply(mapped(odds={}))
    assert {
        (row["outcome"], row["market_promotion"], row["odds"], row["available"]) for row in said(content)["changes"]
    } == {("1", None, 2.4, False), ("1", "boosted", 2.9, False), ("Over", None, 2.1, False)}


def test_prices_of_markets_that_the_catalogue_no_longer_has_are_not_said() -> None:
    """The database may still have them."""
    unknown = next(number for number in range(511, 0, -1) if number not in CATALOGUE.by_number) << 22
    feed = Feed()
    feed.apply(mapped())
    event_odds = feed.cache.event_odds(1)
    assert event_odds is not None
    for changed in ([(unknown, 4000, 4200)], [(promoted_key(unknown, BOOSTED), 4000, 4200)], []):
        assert Delta.of(changed, event_odds) is None


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("platform", [*Platform, None])
@pytest.mark.parametrize("has_main", [True, False])
def test_marks_say_what_was_put_in(kind: Kind, platform: Platform | None, *, has_main: bool) -> None:
    """A mark is a number from 0 to 255."""
    mark = make_mark(kind, platform, has_main=has_main)
    assert 0 <= mark <= 255
    assert (mark_kind(mark), mark_platform(mark), mark_has_main(mark)) == (kind, platform, has_main)


@pytest.mark.parametrize(
    ("markets", "min_move", "of_main", "of_others"),
    [
        (None, 0.0, True, True),
        (None, 1.0, None, None),
        (MAIN_NUMBERS, 0.0, True, False),
        (MAIN_NUMBERS, 1.0, None, False),
        (frozenset([min(MAIN_NUMBERS)]), 0.0, None, False),
        (frozenset([HANDICAP.number]), 0.0, None, None),
    ],
)
def test_marks_tell_whom_changed_prices_concerned_if_they_can(
    markets: frozenset[int] | None, min_move: float, of_main: bool | None, of_others: bool | None
) -> None:
    """They know whether there was a main market, but not which one, nor how far a price moved."""
    view = OddsView(markets, frozenset({Platform.BETPAWA}), min_move)
    marks = [make_mark(Kind.PRICES, Platform.BETPAWA, has_main=has_main) for has_main in (True, False)]
    assert [mark_concerns(mark, view) for mark in marks] == [of_main, of_others]
    assert mark_concerns(make_mark(Kind.PRICES, Platform.BET9JA, has_main=True), view) is False


def test_contents_name_their_messages() -> None:
    """Contents of changed prices and of states can be told apart."""
    feed = Feed()
    feed.apply(mapped())
    (moved,) = feed.apply(mapped(odds=X1 | OVER_UNDER | {UNDER: 1.9}))
    assert isinstance(moved, PricesChanged)
    (_, state) = feed.apply(mapped(header(home="Arsenal London"), X1 | OVER_UNDER | {UNDER: 1.9}))
    assert isinstance(state, EventState)
    assert (moved.name, state.name) == ("odds_change", "odds_image")
