"""The generated football is plausible, reproducible by seed, and contains the special cases a scrape must handle."""

import zlib
from collections import Counter
from dataclasses import astuple
from datetime import timedelta

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.world.stand_ins import STAND_INS
from quart_odds.sandbox.world.world import make_world
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import BETKING, MSPORT, NOW, events_of, sites


def test_most_events_are_at_the_first_three_bookmakers_and_each_at_two() -> None:
    """At least seven in ten, for any number of events."""
    for events in (60, 1300):
        real = [f for f in make_world(events, 1, NOW, bookmakers=FIRST_THREE) if f.is_matchable]
        assert len(real) == events
        assert min(len(f.listings) for f in real) == 2
        assert sum(len(f.listings) == 3 for f in real) >= 0.7 * events


@pytest.mark.parametrize(
    ("events", "seed", "expected"), [(60, 1, "75551966"), (60, 7, "82d9c8ae"), (1300, 1, "e11864b6")]
)
def test_the_first_three_list_what_they_always_did(events: int, seed: int, expected: str) -> None:
    """Whoever else is there, so figures that were measured with them stay comparable."""
    listed = [
        (f.number, f.sportradar_id, f.league.number, f.kickoff.isoformat(), f.rates, *astuple(f.listings[platform])[:3])
        for f in make_world(events, seed, NOW)
        for platform in FIRST_THREE
        if platform in f.listings
    ]
    assert f"{zlib.crc32(repr(listed).encode()):08x}" == expected


def test_fewer_bookmakers_list_the_same_events_at_the_same_prices() -> None:
    """Events that none of them lists are left out."""
    everywhere, alone = (
        sites(SandboxOptions(events=12, move=0, markets=20, bookmakers=of))[0] for of in (STAND_INS, FIRST_THREE)
    )
    numbers = {fixture.number: fixture for fixture in alone.fixtures}
    assert set(numbers) == {f.number for f in everywhere.fixtures if {*f.listings} & {*FIRST_THREE}}
    for fixture in everywhere.fixtures:
        for platform in set(fixture.listings) & set(FIRST_THREE):
            other = numbers[fixture.number]
            assert other.listings[platform] == fixture.listings[platform]
            assert alone.book(platform, other).cents == everywhere.book(platform, fixture).cents
    only = make_world(60, 1, NOW, bookmakers=(BETKING,))
    assert {platform for f in only for platform in f.listings} == {BETKING}
    assert 50 < len(only) < 60


def test_msport_lists_what_sportybet_does_except_video_games() -> None:
    """Under the same SportRadar id, and also simulated matches."""
    fixtures = make_world(1300, 1, NOW)
    for fixture in fixtures:
        assert (MSPORT in fixture.listings) == (Platform.SPORTYBET in fixture.listings and bool(fixture.sportradar_id))
        if MSPORT in fixture.listings:
            assert fixture.listings[MSPORT].external_id == f"sr:match:{fixture.sportradar_id}"
    assert any(MSPORT in fixture.listings for fixture in fixtures if fixture.league.is_virtual)


def test_betking_lists_nine_events_in_ten_and_knows_a_few_by_another_feed() -> None:
    """Its own id is a number. The other feed's has six digits, and clients cannot match these events.

    Matches that have started are not in its pre-match feed.
    """
    real = [f for f in make_world(1300, 1, NOW) if f.is_matchable and f.kickoff > NOW]
    listed = [f for f in real if BETKING in f.listings]
    assert 0.88 < len(listed) / len(real) < 0.92
    assert all(f.listings[BETKING].external_id.isdecimal() for f in listed)
    others = [f for f in listed if f.listings[BETKING].other_id]
    assert 20 < len(others) < 60
    assert {len(f.listings[BETKING].other_id) for f in others} == {6}
    assert not any(BETKING in f.listings for f in make_world(1300, 1, NOW) if f.kickoff < NOW)
    assert not any(BETKING in f.matchable_at for f in others)
    assert all(BETKING in f.matchable_at for f in listed if f not in others)


def test_ids_are_unique() -> None:
    """Both SportRadar's ids and each bookmaker's own."""
    fixtures = make_world(5200, 1, NOW)
    for platform in STAND_INS:
        ids = [f.listings[platform].external_id for f in fixtures if platform in f.listings]
        assert len(ids) == len(set(ids))
    known = [f.sportradar_id for f in fixtures if f.sportradar_id]
    assert len(known) == len(set(known))


def test_the_same_seed_makes_the_same_world() -> None:
    """Another seed produces a different one."""
    assert make_world(60, 1, NOW) == make_world(60, 1, NOW)
    assert make_world(60, 1, NOW) != make_world(60, 2, NOW)


def test_kickoffs_are_in_the_next_days_and_a_few_have_started() -> None:
    """All are within a week, and none started longer ago than a match lasts."""
    kickoffs = [f.kickoff for f in make_world(300, 1, NOW)]
    started = [k for k in kickoffs if k < NOW]
    assert 0 < len(started) < 30
    assert NOW - timedelta(hours=2) < min(kickoffs)
    assert max(kickoffs) < NOW + timedelta(days=8)


def test_a_large_world_has_a_competition_of_more_than_a_hundred_events() -> None:
    """At every bookmaker, and too large for one page of BetPawa."""
    for platform in STAND_INS:
        sizes = Counter(f.league.number for f in make_world(1300, 1, NOW) if platform in f.listings)
        assert max(sizes.values()) > 100


def test_a_large_world_has_as_many_competitions_as_a_real_bookmaker() -> None:
    """At least 150 groups at Bet9ja with 1,300 events, at most of which are played seven or eight events."""
    for seed in (1, 2, 3):
        sizes = Counter(f.league.number for f in make_world(1300, seed, NOW) if Platform.BET9JA in f.listings)
        assert len(sizes) >= 150
        assert sorted(sizes.values())[len(sizes) // 2] in (6, 7, 8)


@pytest.mark.parametrize(("events", "competitions"), [(60, 1), (60, 8), (500, 50), (1300, 100), (1300, 168)])
def test_the_number_of_competitions_can_be_chosen(events: int, competitions: int) -> None:
    """Apart from those of special events."""
    options = SandboxOptions(events=events, competitions=competitions, move=0)
    fixtures = make_world(events, 1, NOW, options.competitions)
    assert len({f.league.number for f in fixtures if f.is_matchable}) == competitions


@pytest.mark.parametrize(("events", "competitions"), [(60, 0), (60, 9), (1300, 169)])
def test_an_impossible_number_of_competitions_is_refused(events: int, competitions: int) -> None:
    """Each has at least seven events."""
    with pytest.raises(ValueError, match=f"competitions {competitions} of {events} events is not from 1 to"):
        SandboxOptions(events=events, competitions=competitions)


def test_names_have_hyphens_and_diacritics_and_differ_between_bookmakers() -> None:
    """Hyphens have no spaces around them, because " - " separates home and away."""
    fixtures = [f for f in make_world(1300, 1, NOW) if {*f.listings} >= {*FIRST_THREE}]
    names = [(f.listings[Platform.BETPAWA].home, f.listings[Platform.BET9JA].home) for f in fixtures]
    assert any("-" in name for name, _ in names)
    assert not any(" - " in name for name, _ in names)
    assert any(not name.isascii() for name, _ in names)
    assert all(name.isascii() for _, name in names)
    assert any(f.listings[Platform.SPORTYBET].home.endswith(" FC") for f in fixtures)
    differing = sum(f.listings[Platform.SPORTYBET].home != f.listings[Platform.BETPAWA].home for f in fixtures)
    assert 0.1 < differing / len(fixtures) < 0.6


def test_teams_do_not_play_themselves() -> None:
    """However many rounds a league plays."""
    listings = [listing for f in make_world(5200, 1, NOW) for listing in f.listings.values()]
    assert all(listing.home != listing.away for listing in listings)


def test_every_listed_event_is_found_from_the_tree_down() -> None:
    """Discovery finds exactly the existing events."""
    books, found = sites(SandboxOptions(events=120, move=0, markets=10))
    for platform, site in found.items():
        assert len(events_of(site)) == sum(platform in f.listings for f in books.fixtures)
