"""The last day of prices in memory says the same of their movement as the whole history."""

import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quart_odds.domain.catalogue import CATALOGUE, pack_key
from quart_odds.domain.odds import MappedEvent, Prices, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.odds import EventChange, EventOdds, OddsCache, day_prices
from quart_odds.odds.day_prices import DayPrices, folded
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY, Change
from quart_odds.odds.movement import DAY_SECONDS, CurrentPrices, Movement, movements
from quart_odds.odds.offers import prices_of
from tests.odds.making import NOW, header, key, the_odds

HOME, DRAW, OVER = key("1x2_ft", "1"), key("1x2_ft", "X"), key("over_under_ft", "Over", 2.5)
OTHER = key("btts_ft", "Yes")
MARKETS = frozenset(CATALOGUE.by_slug[slug].number for slug in ("1x2_ft", "over_under_ft"))
START = int(NOW.timestamp())
KICKOFF = NOW + timedelta(days=60)


@dataclass
class Life:
    """Event odds, their whole history as the writer stores it, and what is kept of it in memory."""

    cache: OddsCache = field(default_factory=OddsCache)
    first: dict[int, Change] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    kept: DayPrices | None = None
    at: int = START

    @property
    def odds(self) -> EventOdds:
        return the_odds(self.cache)

    def fetch(self, odds: dict[int, int], *, is_list: bool = False) -> None:
        """Let the bookmaker have these prices."""
        event = MappedEvent(header(kickoff=KICKOFF), Prices.from_pairs(odds.items()), is_partial=is_list)
        self.take(self.cache.apply(event, self.moment))

    def leave(self) -> None:
        """Let the bookmaker say that there is no such event."""
        change = self.cache.withdraw(Platform.BETPAWA, "e1", self.moment)
        if change is not None:
            self.take(change)

    @property
    def moment(self) -> datetime:
        return NOW + timedelta(seconds=self.at - START)

    def take(self, change: EventChange) -> None:
        """Store a change as the writer does, and note it."""
        if change.is_new:
            self.first = {each: (change.moment, each, value) for each, value in self.odds.prices()}
            self.kept = DayPrices(self.odds, change.moment, is_loaded=True)
            return
        for each, _, new in change.changed:
            if each in change.opened and new is not None:
                self.first.setdefault(each, (change.moment, each, new))
            else:
                self.changes.append((change.moment, each, GONE_ODDS if new is None else new))
        if change.is_available is not None:
            self.changes.append((change.moment, LISTING_KEY, 0 if change.is_available else GONE_ODDS))
        assert self.kept is not None
        self.kept.note(change, MARKETS)

    def restart(self) -> None:
        """Read what the database says at a start."""
        self.kept = DayPrices(self.odds)
        first = [each for each in self.first.values() if each[1] in (HOME, DRAW, OVER)]
        changes = [each for each in self.changes if each[1] in (HOME, DRAW, OVER, LISTING_KEY)]
        self.kept.load(first, folded(first, changes, self.at - DAY_SECONDS), MARKETS, self.at)

    def reread(self) -> None:
        """Have the event odds read again, by a process that only reads."""
        again = OddsCache()
        again.adopt(self.cache.state())
        self.cache = again
        assert self.kept is not None
        self.kept.adopt(self.odds, MARKETS)

    def current(self) -> CurrentPrices:
        prices = {each: (value, since) for each, value, since in prices_of(self.odds, MARKETS)}
        return CurrentPrices(prices, self.odds.gone_at is None)

    def told(self, now: int) -> dict[int, tuple[float | None, ...]]:
        """Return what memory says of the movement of each price."""
        assert self.kept is not None
        current = self.current()
        return _percents(movements(*self.kept.past(current.values), current, int(KICKOFF.timestamp()), now))

    def whole(self, now: int) -> dict[int, tuple[float | None, ...]]:
        """Return what the whole history says of it."""
        current = self.current()
        first = sorted(each for each in self.first.values() if each[1] in current.values)
        changes = [each for each in self.changes if each[1] in current.values or each[1] == LISTING_KEY]
        return _percents(movements(first, changes, current, int(KICKOFF.timestamp()), now))


def _percents(found: dict[int, Movement]) -> dict[int, tuple[float | None, ...]]:
    return {
        each: (moved.hour_percent, moved.day_percent, moved.opening_percent) for each, moved in sorted(found.items())
    }


value = st.builds(pack_value, st.sampled_from([1.0, 1.5, 2.0, 2.5, 4.0]), st.booleans())
prices = st.dictionaries(st.sampled_from([HOME, DRAW, OVER, OTHER]), value)
gap = st.sampled_from([1, 2, 60, 1800, 3599, 3600, 3601, 40_000, DAY_SECONDS, 2 * DAY_SECONDS])
what: st.SearchStrategy[tuple[str, dict[int, int]]] = st.one_of(
    st.tuples(st.just("fetch"), prices),
    st.tuples(st.just("list"), prices),
    st.tuples(st.sampled_from(["leave", "restart", "reread", "pack"]), st.just({})),
)
UP, DOWN = pack_value(2.0, is_active=True), pack_value(1.5, is_active=True)


@given(
    st.tuples(st.booleans(), prices),
    st.lists(st.tuples(gap, what), max_size=12),
    st.sampled_from([0, 1, 1800, 3600, 90_000]),
)
@example((True, {HOME: UP}), [(60, ("fetch", {HOME: UP, OVER: UP})), (60, ("fetch", {HOME: DOWN, OVER: DOWN}))], 1)
@example((False, {HOME: UP}), [(60, ("fetch", {HOME: UP, OVER: UP})), (90_000, ("restart", {}))], 1)
@example((False, {HOME: UP}), [(60, ("fetch", {})), (90_000, ("pack", {})), (60, ("fetch", {HOME: DOWN}))], 1800)
def test_memory_says_the_same_as_the_whole_history(
    begun: tuple[bool, dict[int, int]], steps: list[tuple[int, tuple[str, dict[int, int]]]], later: int
) -> None:
    """Whatever bookmakers do, whenever the process starts, reads again or forgets, and whenever somebody asks."""
    life = Life()
    life.fetch(begun[1], is_list=begun[0])
    for seconds, (name, odds) in steps:
        life.at += seconds
        if name in ("fetch", "list"):
            life.fetch(odds, is_list=name == "list")
        elif name == "leave":
            life.leave()
        elif name == "restart":
            life.restart()
        elif name == "reread":
            life.reread()
        else:
            assert life.kept is not None
            life.kept.pack(life.at)
        now = max(life.at, life.odds.last_moment)
        assert life.told(now) == life.whole(now)
    now = max(life.at, life.odds.last_moment) + later
    assert life.told(now) == life.whole(now)


def test_what_is_noted_before_the_history_is_read_counts_once() -> None:
    """It may be stored by then, or not."""
    for stored in (1, 2):
        life = Life()
        life.fetch({HOME: UP})
        life.kept = DayPrices(life.odds)
        for seconds, odds in ((600, DOWN), (4000, pack_value(3.0, is_active=True))):
            life.at = START + seconds
            life.fetch({HOME: odds})
        changes = life.changes[:stored]
        life.kept.load(life.first.values(), changes, MARKETS, life.at)
        assert life.told(life.at) == life.whole(life.at) == {HOME: (50.0, None, 50.0)}


def test_what_the_history_lacks_is_taken_from_the_odds() -> None:
    """Another process's odds may be newer than what is stored."""
    life = Life()
    life.fetch({HOME: UP})
    life.at += 5000
    life.fetch({HOME: DOWN})
    life.kept = DayPrices(life.odds)
    life.kept.load(life.first.values(), [], MARKETS, life.at)
    life.at += 10
    life.fetch({HOME: UP})
    assert life.told(life.at) == life.whole(life.at) == {HOME: (0.0, None, 0.0)}
    assert life.told(life.at + 3595)[HOME][0] == pytest.approx(33.33)


def test_a_clock_that_was_ahead_is_corrected() -> None:
    """Later changes are dated back, as the stored ones are."""
    life = Life(at=START + 50_000)
    life.fetch({HOME: UP, DRAW: UP})
    life.at += 600
    life.fetch({HOME: DOWN, DRAW: UP})
    life.at = START
    life.fetch({HOME: pack_value(3.0, is_active=True), DRAW: UP})
    assert life.told(START + 3601)[HOME] == (0.0, None, 50.0)
    assert life.told(START + 3601)[DRAW] == (0.0, None, 0.0)


def test_a_flood_of_changes_is_cut_and_what_was_before_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a wrong number, there is none for a moment that is no longer known."""
    monkeypatch.setattr(day_prices, "MOST_CHANGES", 40)
    life = Life()
    life.fetch({HOME: UP})
    for step in range(200):
        life.at += 60
        life.fetch({HOME: (UP, DOWN)[step % 2]})
    assert life.kept is not None
    life.kept.pack(life.at)
    assert life.at - 3600 < life.kept.since < life.at
    assert life.kept.kept_bytes < 400


def test_five_bookmakers_take_less_than_three_kilobytes_an_event() -> None:
    """With 60 prices each, of which half have changed, three times on average, with the objects around them."""
    lines = [quarters / 2 for quarters in range(1, 9)]
    numbers = [each.number for each in CATALOGUE.markets if each.has_line][:4]
    keys = [pack_key(number, side, line) for number in numbers for side in (0, 1) for line in lines][:60]
    assert len(keys) == 60
    total = 0
    for bookmaker in range(5):
        life = Life()
        life.fetch({each: pack_value(1.5 + place * 0.07, is_active=True) for place, each in enumerate(keys)})
        assert life.kept is not None
        kept = DayPrices(life.odds, START, is_loaded=True)
        for step in range(90):
            moved = keys[(step * 7 + bookmaker) % 30]
            at = START + 700 * step + 13 * bookmaker
            before, after = (pack_value(1.5 + (step % each) * 0.13, is_active=True) for each in (5, 7))
            kept.note(
                EventChange(1, Platform.BETPAWA, 1, changed=((moved, before, after),), moment=at),
                numbers,
            )
        kept.pack(START + 70_000)
        own = sys.getsizeof(kept) + sys.getsizeof(kept._packed) + sys.getsizeof(kept._noted) + sys.getsizeof(2**31)
        total += own + 100  # its place in the dictionary
    assert total < 3000, total
