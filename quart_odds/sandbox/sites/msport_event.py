"""MSport's event object: SportyBet's ids of markets and outcomes, but market ids as numbers and other texts."""

from collections.abc import Iterable

from quart_odds.sandbox.sites.formats import PRE_MATCH, EventFormat
from quart_odds.sandbox.sites.msport import envelope
from quart_odds.sandbox.sites.sportybet_event import category_id, describe, tournament_id
from quart_odds.sandbox.world.book import LEAST, Book
from quart_odds.sandbox.world.markets import Offer, SiteOutcome

_NO_GOAL = {"description": "no goal", "id": "1716", "isActive": 0, "odds": "0.00", "probability": "0.0000"}
"""The first outcome of a goalscorer market, which is never offered."""


def event_object(book: Book, offers: Iterable[Offer]) -> dict[str, object]:
    """Build an event with the markets of `offers`."""
    fixture, league = book.fixture, book.fixture.league
    markets = [_market(book, offer, number) for number, offer in enumerate(offers, 1)]
    return {
        **listed_object(book, ()),
        "allScores": None,
        "homeTeamId": f"sr:competitor:{30_000 + fixture.number * 2}",
        "awayTeamId": f"sr:competitor:{30_001 + fixture.number * 2}",
        "bookingStatus": "Booked" if fixture.number % 3 else "Unavailable",
        "category": league.country,
        "categoryId": category_id(league.country_number),
        "hasLive": 0,
        "marketsCount": len(markets),
        "markets": markets,
        "playedTime": None,
        "scoreOfWholeMatch": None,
        "sport": "Soccer",
        "sportId": "sr:sport:1",
        "status": 0,
        "statusDescription": None,
        "tournament": league.name,
        "tournamentId": tournament_id(league.number),
    }


def listed_object(book: Book, _: Iterable[Offer]) -> dict[str, object]:
    """Build an event of the list, which has no markets."""
    fixture, listing = book.fixture, book.fixture.listings[book.market_list.platform]
    return {
        "eventId": listing.external_id,
        "homeTeam": listing.home,
        "awayTeam": listing.away,
        "startTime": round(fixture.kickoff.timestamp() * 1000),
    }


def _body(book: Book, product: str, extra: dict[str, object]) -> dict[str, object]:
    return envelope(event_object(book, book.market_list.offers if product == PRE_MATCH else ()) | extra)


FORMAT = EventFormat(tournament_id, category_id, frozenset(), listed_object, _body)


def _market(book: Book, offer: Offer, number: int) -> dict[str, object]:
    site = offer.site
    description, name, group = site.labels
    is_suspended = all(book.closed[index] for index in offer.indices)
    outcomes = [
        _outcome(book, offer, index, outcome, is_suspended)
        for index, outcome in zip(offer.indices, site.outcomes, strict=True)
    ]
    return {
        "betAssistWidget": None,
        "description": description,
        "expand": 1 if number <= 10 else 0,
        "group": group,
        "guidance": None,
        "id": int(site.id),
        "isFavourite": 0,
        "isShown": 1,
        "marketLabels": None,
        "name": name,
        "outcomes": [_NO_GOAL, *outcomes] if site.market.family == "players" else outcomes,
        "priority": number,
        "product": int(PRE_MATCH),
        "relatedMarketId": None,
        "relatedSpecifiers": None,
        "specifiers": offer.specifier,
        "status": 1 if is_suspended else 0,
        "title": ",".join(outcome.outcome for outcome in site.outcomes[:3]),
        "userFavourite": 0,
    }


def _outcome(book: Book, offer: Offer, index: int, outcome: SiteOutcome, is_suspended: bool) -> dict[str, object]:
    """Build an outcome. It is closed by itself unless its market is suspended, which says so for all."""
    listing, cents = book.fixture.listings[book.market_list.platform], book.cents[index]
    return {
        "description": describe(offer, outcome, listing.home, listing.away),
        "id": outcome.id,
        "isActive": 1 if is_suspended or not book.closed[index] else 0,
        "odds": f"{cents / 100:.2f}" if cents >= LEAST else "0.00",
        "probability": f"{book.fair(index):.4f}",
    }
