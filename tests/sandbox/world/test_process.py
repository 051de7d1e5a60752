"""Live prices are a process in time: always the same for a seed, at the rates that it states, up to kick-off."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.app import generated_sites
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Site
from quart_odds.sandbox.sites.books import Books
from quart_odds.sandbox.world.changes import Change
from quart_odds.sandbox.world.markets import MAIN_SLUGS, market_list
from quart_odds.sandbox.world.process import PriceProcess, base_rate
from quart_odds.sandbox.world.world import Fixture, make_world
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import NOW, detail, events_of

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
LINES = 12


def process(events: int = 30, seed: int = 1, pace: float = 1) -> tuple[tuple[Fixture, ...], PriceProcess]:
    """Create a world and the process of its prices."""
    fixtures = make_world(events, seed, NOW, bookmakers=FIRST_THREE)
    return fixtures, PriceProcess(fixtures, seed, NOW, lambda platform, _: market_list(platform, LINES), pace)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


def live_sites(clock: Clock, seed: int = 1, pace: float = 1) -> tuple[Books, dict[Platform, Site]]:
    """Create bookmakers whose prices are live."""
    options = SandboxOptions(
        events=8, seed=seed, markets=LINES, live_prices=True, price_pace=pace, bookmakers=FIRST_THREE
    )
    return generated_sites(options, NOW, clock)


def essence(changes: Sequence[Change]) -> list[tuple[object, ...]]:
    """Return what must be the same in two runs."""
    return [(c.seq, c.at_ms, c.platform, c.external_id, c.key, c.old, c.new, c.is_suspended) for c in changes]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.floats(0, 48), max_size=12), requests=st.booleans())
def test_the_same_seed_makes_the_same_changes_however_time_is_sliced(
    seed: int, cuts: list[float], requests: bool
) -> None:
    """In one step or in many, with requests in between or without."""
    end = NOW + 2 * DAY
    whole, _ = live_sites(Clock(), seed)
    whole.advance(end)
    clock = Clock()
    sliced, found = live_sites(clock, seed)
    for cut in sorted(cuts):
        clock.now = NOW + cut * HOUR
        if requests:
            for platform, site in found.items():
                events_of(site)
                detail(site, next(f for f in sliced.fixtures if platform in f.listings))
        sliced.advance()
    sliced.advance(end)
    assert len(whole.changes.since(0)) > 100
    assert essence(whole.changes.since(0)) == essence(sliced.changes.since(0))


def test_another_seed_makes_other_changes() -> None:
    """Moves come in order of time, and none is beyond the time asked for."""
    moves = {seed: list(process(seed=seed)[1].advance(NOW + DAY)) for seed in (1, 2)}
    assert [m.at for m in moves[1]] != [m.at for m in moves[2]]
    for of_seed in moves.values():
        assert all(a.at <= b.at for a, b in pairwise(of_seed))
        assert NOW <= of_seed[0].at <= of_seed[-1].at <= NOW + DAY


@pytest.mark.parametrize(
    ("left", "per_hour"),
    [(6 * DAY, 1), (DAY, 1), (12 * HOUR, 2.449), (6 * HOUR, 6), (HOUR / 2, 60), (HOUR / 60, 60), (0 * HOUR, 0)],
)
def test_rates_grow_towards_kickoff(left: timedelta, per_hour: float) -> None:
    """Once an hour days before, every ten minutes at six hours, every minute at the end, and then never."""
    assert base_rate(left.total_seconds()) * 3600 == pytest.approx(per_hour, rel=0.001)
    assert base_rate(-1) == 0


def test_events_differ_by_a_factor_whose_mean_is_one() -> None:
    """Not everything is known from the kick-off, and bookmakers differ less than events."""
    fixtures, moving = process(events=400)
    early = NOW - 30 * DAY
    factors = [moving.rate(platform, fixture, early) * 3600 for platform, fixture in moving.pairs]
    assert 0.85 < sum(factors) / len(factors) < 1.15
    assert max(factors) / min(factors) > 20
    everywhere = [f for f in fixtures if f.is_matchable and len(f.listings) == 3]
    ratios = [moving.rate(Platform.BETPAWA, f, early) / moving.rate(Platform.BET9JA, f, early) for f in everywhere]
    assert 0.2 < min(ratios) < max(ratios) < 5
    assert len(set(ratios)) == len(ratios)


def test_what_is_expected_is_the_integral_of_the_rate() -> None:
    """From days before kick-off until after it."""
    fixtures, moving = process()
    fixture = next(f for f in fixtures if len(f.listings) == 3 and f.kickoff > NOW + 2 * DAY)
    start, step = fixture.kickoff - 2 * DAY, timedelta(seconds=20)
    middles = (start + step * (n + 0.5) for n in range(3 * 24 * 180))
    area = sum(moving.rate(Platform.BETPAWA, fixture, at) * 20 for at in middles)
    expected = moving.expected(Platform.BETPAWA, fixture, start, start + 3 * DAY)
    assert area == pytest.approx(expected, rel=0.001)
    parts = (moving.expected(Platform.BETPAWA, fixture, start + n * HOUR, start + (n + 1) * HOUR) for n in range(72))
    assert sum(parts) == pytest.approx(expected)


def test_observed_moves_agree_with_the_stated_rates() -> None:
    """In total, at each distance from kick-off, and over the single events."""
    _, moving = process(events=120, seed=3)
    pairs = list(moving.pairs)
    end = NOW + 6 * DAY
    moves = list(moving.advance(end))
    bands = ((0, 0.5), (0.5, 6), (6, 24), (24, 400))
    for near, far in bands:
        seen = sum(near <= (m.fixture.kickoff - m.at) / HOUR < far for m in moves)
        expected = 0.0
        for platform, fixture in pairs:
            since, until = max(NOW, fixture.kickoff - far * HOUR), fixture.kickoff - near * HOUR
            if since < until:
                expected += moving.expected(platform, fixture, since, until)
        assert expected > 500
        assert abs(seen - expected) < 4 * sqrt(expected), (near, far)
    counts = dict.fromkeys(((p, f.number) for p, f in pairs), 0)
    for move in moves:
        counts[move.platform, move.fixture.number] += 1
    means = {(p, f.number): moving.expected(p, f, NOW, end) for p, f in pairs}
    scores = [(counts[key] - mean) ** 2 / mean for key, mean in means.items() if mean > 10]
    assert len(scores) > 150
    assert 0.75 < sum(scores) / len(scores) < 1.25
    assert all(move.at < move.fixture.kickoff for move in moves)


def test_the_pace_multiplies_the_rates() -> None:
    """Four times the pace, about four times the moves."""
    slow, quick = (sum(1 for _ in process(pace=pace)[1].advance(NOW + DAY)) for pace in (1, 4))
    assert 3.6 < quick / slow < 4.4
    with pytest.raises(ValueError, match="pace 0 is not above 0"):
        process(pace=0)


def test_most_moves_concern_a_main_market() -> None:
    """Some concern other markets as well or only those."""
    kinds = [{o.site.market.slug in MAIN_SLUGS for o in move.offers} for move in process()[1].advance(NOW + DAY)]
    assert 0.8 < sum(True in kind for kind in kinds) / len(kinds) < 0.9
    assert 0.3 < sum(False in kind for kind in kinds) / len(kinds) < 0.6
    assert all(kinds)


def test_events_that_clients_cannot_match_take_no_part() -> None:
    """Simulated leagues, video games, and an event that SportRadar does not know."""
    fixtures, moving = process()
    odd = {f.number for f in fixtures if not f.is_matchable}
    assert len(odd) == 5
    assert not odd & {f.number for _, f in moving.pairs}
    strange = next(f for f in fixtures if not f.is_matchable)
    platform = next(iter(strange.listings))
    assert moving.rate(platform, strange, NOW) == moving.expected(platform, strange, NOW, NOW + DAY) == 0


def test_every_move_changes_a_price_and_prices_stay_plausible() -> None:
    """The record has each of them, the newest is the current price, and the bookmakers show it."""
    clock = Clock()
    books, found = live_sites(clock, pace=20)
    prices = {}
    clock.now = NOW + DAY
    for site in found.values():
        site.shelf.listed()
    changes = books.changes.since(0)
    assert len({(c.at_ms, c.platform, c.external_id) for c in changes}) > 1000
    assert all((c.old, c.was_suspended) != (c.new, c.is_suspended) for c in changes)
    for change in changes:
        prices[change.platform, change.external_id, change.key] = change
    for (platform, _, key), change in prices.items():
        book = books.book(platform, change.fixture)
        index = book.market_list.keys.index(key)
        assert (book.cents[index], bool(book.closed[index])) == (change.new, change.is_suspended)
        assert book.changed_ms[index] == change.at_ms
        assert change.at_ms <= clock.now.timestamp() * 1000
    assert sum(change.is_suspended for change in prices.values()) < len(prices) / 10


def test_requests_do_not_move_live_prices() -> None:
    """Time does, and movement between requests cannot be switched on."""
    clock = Clock()
    books, found = live_sites(clock)
    fixture = next(f for f in books.fixtures if f.is_matchable and len(f.listings) == 3 and f.kickoff > NOW)
    site = found[Platform.BETPAWA]
    first = detail(site, fixture)
    assert all(detail(site, fixture) == first for _ in range(20))
    clock.now = fixture.kickoff
    assert detail(site, fixture) != first
    assert books.move == 0
    with pytest.raises(ValueError, match="live"):
        books.move = 0.5
