"""The clients read from the stand-ins what these offer. Both have their own tables of ids, so that errors show."""

import pytest

from quart_odds.bookmakers import RawBody, decode
from quart_odds.domain.catalogue import CATALOGUE, unpack_key
from quart_odds.domain.odds import MappedEvent, unpack_value
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.world.book import Book
from quart_odds.sandbox.world.stand_ins import STAND_INS
from tests.bookmakers.wire import asked, dumps
from tests.sandbox.stand_ins import detail, sites

EVENTS = 10
LEAST_PRICES = {"betpawa": 2000, "sportybet": 2000, "bet9ja": 2000, "msport": 2000, "betking": 800}
"""How many prices are compared at least: those that both tables name alike."""

Price = tuple[str, str, float | None]


def read(event: MappedEvent) -> dict[Price, tuple[int, bool]]:
    """Return the prices that a client has read, in hundredths, and whether they are open."""
    found = {}
    for key, value in event.prices:
        number, index, line = unpack_key(key)
        market = CATALOGUE.by_number[number]
        odds, is_open = unpack_value(value)
        found[market.slug, market.outcomes[index].name, line] = (round(100 * odds), is_open)
    return found


def offered(book: Book) -> dict[Price, tuple[int, bool]]:
    """Return the prices of a book. Odds of a closed one are whatever the body says."""
    keys = ((market.slug, outcome, line) for market, line, outcome in book.market_list.keys)
    prices = zip(book.cents, book.closed, strict=True)
    return {key: (cents, not closed) for key, (cents, closed) in zip(keys, prices, strict=True)}


@pytest.mark.parametrize("platform", STAND_INS)
def test_prices_are_those_of_the_books(platform: Platform) -> None:
    """Market, line, outcome, odds and suspension. Nothing is dropped."""
    books, stand_ins = sites(SandboxOptions(events=EVENTS, move=0, markets=200))
    compared, wrong = 0, []
    for fixture in books.fixtures:
        if platform not in fixture.listings or fixture.league.is_virtual:
            continue
        asked_for = asked(platform, fixture.listings[platform].external_id)
        event = decode(RawBody(platform, dumps(detail(stand_ins[platform], fixture)), None, asked_for))
        assert event.dropped == 0
        there = offered(books.book(platform, fixture))
        for key, (cents, is_open) in read(event).items():
            if key in there:
                compared += 1
                if (is_open, cents if is_open else 0) != (there[key][1], there[key][0] if is_open else 0):
                    wrong.append((fixture.number, key, cents, is_open, there[key]))
    assert wrong == []
    assert compared >= LEAST_PRICES[platform]
