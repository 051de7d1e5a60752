"""One match at four bookmakers: prices of the same outcome must agree in size and order, which reveals mixed-up ids.

Suspended prices are ignored. The bounds are wide, because margins differ and some books cap or raise long odds.
Nevertheless, swapping two outcomes at one bookmaker shows up in nearly every market.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from quart_odds.bookmakers import RawBody, decode
from quart_odds.bookmakers.column import column_of
from quart_odds.domain.bookmakers import installed
from quart_odds.domain.catalogue import CATALOGUE, Market, unpack_key
from quart_odds.domain.odds import MappedEvent, unpack_value
from quart_odds.domain.platforms import Platform
from tests.bookmakers.wire import asked

pytestmark = pytest.mark.recorded

CLEARLY = 1.35
"""An outcome is clearly likelier than another if its inverse odds are this many times as high."""

Place = tuple[int, float | None]
Book = dict[Place, dict[int, float]]
"""Inverse odds by market and line, then by outcome."""

BODIES = {
    Platform.BETPAWA: ("betpawa/event_v3_33289995.json", "33289995"),
    Platform.SPORTYBET: ("sportybet/event_68995116.json", "sr:match:68995116"),
    Platform.BET9JA: ("bet9ja/event_769895636.json", "769895636"),
    Platform.MSPORT: ("msport/event_68995116.json", "sr:match:68995116"),
}


@pytest.fixture(scope="module")
def books(recorded: Path) -> dict[Platform, Book]:
    """Load the active prices of the match at each bookmaker."""
    found = {}
    for platform, (file, external_id) in BODIES.items():
        content = (recorded / file).read_bytes()
        found[platform] = book(decode(RawBody(platform, content, None, asked(platform, external_id))))
    return found


def book(event: MappedEvent) -> Book:
    """Return the active prices of an event as inverse odds."""
    prices: Book = {}
    for key, value in event.prices:
        odds, is_open = unpack_value(value)
        number, index, line = unpack_key(key)
        if is_open:
            prices.setdefault((number, line), {})[index] = 1 / odds
    return prices


def disagreements(books: Mapping[Platform, Book]) -> list[str]:
    """List all outcomes and pairs of outcomes on which two bookmakers clearly disagree."""
    found = []
    for (one, ours), (other, theirs) in itertools.combinations(books.items(), 2):
        for place in ours.keys() & theirs.keys():
            where = f"{CATALOGUE.by_number[place[0]].slug} at {place[1]}: {one} and {other}"
            found += [f"{where}: {fault}" for fault in _faults(ours[place], theirs[place])]
    return found


def _faults(ours: dict[int, float], theirs: dict[int, float]) -> list[str]:
    shared = sorted(ours.keys() & theirs.keys())
    faults = [
        f"outcome {index} is {ours[index]:.3f} and {theirs[index]:.3f}"
        for index in shared
        if abs(ours[index] - theirs[index]) > 0.15
        or _ratio(ours[index], theirs[index]) > _bound(ours[index], theirs[index])
    ]
    for first, second in itertools.combinations(shared, 2):
        here, there = ours[first] / ours[second], theirs[first] / theirs[second]
        if (here > CLEARLY and there < 1 / CLEARLY) or (here < 1 / CLEARLY and there > CLEARLY):
            faults.append(f"outcomes {first} and {second} are in another order")
    return faults


def _ratio(one: float, other: float) -> float:
    return max(one, other) / min(one, other)


def _bound(one: float, other: float) -> float:
    """Return the accepted ratio. Long odds differ more, because some books cap them."""
    return 2.0 if max(one, other) > 0.05 else 5.0


def test_the_bookmakers_agree_on_every_outcome(books: dict[Platform, Book]) -> None:
    """No price contradicts another bookmaker's price of the same outcome, in size or in order."""
    assert disagreements(books) == []


def test_the_check_covers_most_of_the_catalogue(books: dict[Platform, Book]) -> None:
    """Markets shared by two bookmakers are really compared."""
    shared = {
        place[0]
        for one, other in itertools.combinations(books.values(), 2)
        for place in one.keys() & other.keys()
        if len(one[place].keys() & other[place].keys()) > 0
    }
    expected = {
        number
        for number, count in Counter(
            number
            for platform in BODIES
            for number in {mapping.market.number for mapping in column_of(installed()[platform].bookmaker.catalogue)}
        ).items()
        if count > 1
    }
    unseen = {CATALOGUE.by_number[number].slug for number in expected - shared}
    # These have no prices for this match. The names that the bookmakers use show what they mean.
    counts = ("shots_", "fouls_", "offsides_", "saves_", "tackles_")
    cards = {market.slug for market in CATALOGUE.markets if market.group == "cards"}
    assert {slug for slug in unseen - cards if not slug.startswith(counts)} == {
        *(f"{side}_{number}_in_a_row" for side in ("any", "home", "away") for number in (2, 3)),
        "double_chance_1up_ft",
        "to_qualify",
    }


def test_a_swapped_pair_is_caught(books: dict[Platform, Book]) -> None:
    """Swapping any two clearly different outcomes at one bookmaker is detected."""
    missed = []
    for platform, prices in books.items():
        for place, outcomes in prices.items():
            market = CATALOGUE.by_number[place[0]]
            for first, second in itertools.combinations(sorted(outcomes), 2):
                if not _differ_clearly(outcomes[first], outcomes[second]) or not _shared(
                    books, platform, place, first, second
                ):
                    continue
                swapped = {**outcomes, first: outcomes[second], second: outcomes[first]}
                changed = {**books, platform: {place: swapped}}
                if not disagreements({name: {place: b.get(place, {})} for name, b in changed.items()}):
                    missed.append(f"{platform} {market.slug} {place[1]} {first} {second}")
    assert missed == []


def _differ_clearly(one: float, other: float) -> bool:
    return _ratio(one, other) > 2


def _shared(books: Mapping[Platform, Book], platform: Platform, place: Place, first: int, second: int) -> bool:
    return any(
        {first, second} <= prices.get(place, {}).keys() and _differ_clearly(prices[place][first], prices[place][second])
        for other, prices in books.items()
        if other is not platform
    )


@pytest.mark.parametrize("platform", list(BODIES))
def test_odds_follow_their_lines(books: dict[Platform, Book], platform: Platform) -> None:
    """A higher total makes Over less likely; a bigger head start makes a home win likelier. Half lines only."""
    for market in CATALOGUE.markets:
        ladder = sorted(
            (line, outcomes[0])
            for (number, line), outcomes in books[platform].items()
            if number == market.number and line is not None and 0 in outcomes and _steps(market, line)
        )
        if market.outcomes[0].name in ("Over", "1"):
            inverse = [likelihood for _, likelihood in ladder]
            falls = market.line_kind == "total"
            assert inverse == sorted(inverse, reverse=falls), market.slug


def _steps(market: Market, line: float) -> bool:
    return market.line_kind == "european" or line % 1 == 0.5


@pytest.mark.parametrize("platform", list(BODIES))
def test_full_books_sum_to_their_winners_and_a_margin(books: dict[Platform, Book], platform: Platform) -> None:
    """If all outcomes of a comparable market are active, their inverse odds sum to `winning_outcomes` plus a margin."""
    for (number, line), outcomes in books[platform].items():
        market = CATALOGUE.by_number[number]
        if market.is_comparable and len(outcomes) == len(market.outcomes):
            total = sum(outcomes.values()) / market.winning_outcomes
            assert 1.0 < total < 1.75, (market.slug, line, total)
