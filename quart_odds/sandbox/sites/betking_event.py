"""BetKing's event object: once for each market in an event's own body, with lines in two places."""

from collections.abc import Iterable
from itertools import groupby

from quart_odds.sandbox.sites.betking import ZONE, feed
from quart_odds.sandbox.sites.formats import EventFormat
from quart_odds.sandbox.world.book import Book
from quart_odds.sandbox.world.markets import MAIN_SLUGS, Market, Offer, SiteOutcome

MAIN_TYPES = frozenset({"110", "146", "160", "302"})
"""The markets shown in a list of events."""
_LINE_OF_PRICES = frozenset({"190", "305", "342", "344", "9335"})
"""Corners and handicaps, whose line is in their prices alone. Other markets have it as their SpecialBetValue."""


def item(book: Book, offers: Iterable[Offer]) -> dict[str, object]:
    """Build an event with the prices of `offers`."""
    fixture, listing = book.fixture, book.fixture.listings[book.market_list.platform]
    league = fixture.league
    return {
        "ItemID": int(listing.external_id),
        "ItemName": f"{listing.home} - {listing.away}",
        "ItemDate": fixture.kickoff.astimezone(ZONE).isoformat(),
        "SmartBetCode": 1000 + fixture.number,
        "ExtProvIDItem": listing.other_id or fixture.sportradar_id or "",
        "TournamentId": _tournament_id(league.number),
        "TournamentName": league.name,
        "CategoryId": _category_id(league.country_number),
        "CategoryName": league.country,
        "OddsCollection": [_odds(book, offer) for offer in offers],
    }


def _body(book: Book, _: str, extra: dict[str, object]) -> dict[str, object]:
    """Build the body of an event: a copy of it for each market, in an area for each kind of markets."""
    offers = book.market_list.offers
    copies: dict[str, list[dict[str, object]]] = {}
    for site, lines in groupby(offers, key=lambda offer: offer.site):
        copies.setdefault(_area(site.market), []).append(item(book, lines))
    return feed(list(copies.values()), 1) | extra


def _tournament_id(number: int) -> int:
    return 1_800 + number


def _category_id(number: int) -> int:
    return 200 + number


FORMAT = EventFormat(lambda n: str(_tournament_id(n)), lambda n: str(_category_id(n)), MAIN_TYPES, item, _body)


def _area(market: Market) -> str:
    if market.slug in MAIN_SLUGS:
        return "main"
    return f"{market.subject} {market.period}"


def _odds(book: Book, offer: Offer) -> dict[str, object]:
    base = book.fixture.number * 1000
    has_own_line = offer.line is not None and offer.site.id not in _LINE_OF_PRICES
    return {
        "OddCollectionID": 40_000_000 + base + offer.first,
        "OddsType": {"OddsTypeID": int(offer.site.id), "OddsTypeName": offer.site.labels[0]},
        "SpecialBetValue": offer.line if has_own_line else 0,
        "MatchOdds": [
            _price(book, offer, index, outcome)
            for index, outcome in zip(offer.indices, offer.site.outcomes, strict=True)
        ],
    }


def _price(book: Book, offer: Offer, index: int, outcome: SiteOutcome) -> dict[str, object]:
    """Build a price. A suspended one has odds of 1."""
    number = book.fixture.number * 1000 + index
    attribute: dict[str, object] = {"OddTypeID": int(outcome.id), "OddName": outcome.name}
    if offer.site.id in _LINE_OF_PRICES:
        attribute["SpecialValue"] = offer.line
    return {
        "MatchOddsID": 500_000_000 + number,
        "OddAttribute": attribute,
        "Outcome": {
            "OutcomeID": 900_000_000 + number,
            "OddOutcome": 1.0 if book.closed[index] else book.cents[index] / 100,
        },
    }
