"""SportyBet's event object: every line is a separate market, odds are text, times are milliseconds."""

from collections.abc import Iterable
from functools import partial

from quart_odds.sandbox.sites.formats import PRE_MATCH, EventFormat
from quart_odds.sandbox.sites.sportybet import envelope
from quart_odds.sandbox.world.book import LEAST, Book
from quart_odds.sandbox.world.markets import MAIN_SLUGS, Offer, SiteOutcome


def event_object(book: Book, offers: Iterable[Offer], *, is_listed: bool = False) -> dict[str, object]:
    """Build an event with the markets of `offers`. In a list it also has the total number of markets."""
    fixture, listing = book.fixture, book.fixture.listings[book.market_list.platform]
    league = fixture.league
    source = {"sourceType": fixture.source, "sourceId": fixture.sportradar_id or str(fixture.number)}
    event: dict[str, object] = {
        "eventId": listing.external_id,
        "gameId": str(10_000 + fixture.number),
        "productStatus": "0#0",
        "estimateStartTime": round(fixture.kickoff.timestamp() * 1000),
        "status": 0,
        "matchStatus": "Not start",
        "homeTeamId": f"sr:competitor:{30_000 + fixture.number * 2}",
        "homeTeamName": listing.home,
        "awayTeamName": listing.away,
        "awayTeamId": f"sr:competitor:{30_001 + fixture.number * 2}",
        "sport": {
            "id": "sr:sport:1",
            "name": "Football",
            "category": {
                "id": category_id(league.country_number),
                "name": league.country,
                "tournament": {"id": tournament_id(league.number), "name": league.name},
            },
        },
        "markets": [_market(book, offer, listing.home, listing.away) for offer in offers],
        "bookingStatus": "Booked" if fixture.number % 3 else "Unavailable",
        "topTeam": False,
        "fixtureVenue": {"name": f"{listing.home} Stadium"},
        "giftGrabActivityResultVO": {"activityEnabled": False, "enabled": False},
        "ai": False,
        "bgEvent": False,
        "matchTrackerNotAllowed": False,
        "eventSource": {"preMatchSource": source, "liveSource": source},
        "containsPcbb": False,
        "banned": False,
    }
    if is_listed:
        event["totalMarketSize"] = len(book.market_list.offers)
    else:
        event |= {"liveChannel": False, "webViewLiveChannel": True, "commentsNum": 0, "topicId": fixture.number}
    return event


def category_id(number: int) -> str:
    """Return SportyBet's id of a country."""
    return f"sr:category:{number}"


def tournament_id(number: int) -> str:
    """Return SportyBet's id of a competition."""
    return f"sr:tournament:{number}"


def _body(book: Book, product: str, extra: dict[str, object]) -> dict[str, object]:
    """Build the body of an event. It has no markets unless the product is 3, pre-match."""
    return envelope(event_object(book, book.market_list.offers if product == PRE_MATCH else ()) | extra)


FORMAT = EventFormat(
    tournament_id, category_id, frozenset({"1", "18", "10"}), partial(event_object, is_listed=True), _body
)


def _market(book: Book, offer: Offer, home: str, away: str) -> dict[str, object]:
    site, first = offer.site, offer.first
    desc, name, group = site.labels
    desc = desc.replace("{home}", home).replace("{away}", away)
    is_suspended = all(book.closed[first : first + len(site.outcomes)])
    market: dict[str, object] = {"id": site.id}
    if offer.specifier:
        market["specifier"] = offer.specifier
    market |= {
        "product": 3,
        "desc": desc,
        "status": (1 if first % 2 else 2) if is_suspended else 0,
        "group": group,
        "groupId": f"17112113572{4 + len(group)}MGI",
        "marketGuide": f"Predict the outcome of {desc}. Regular time and added time count, overtime does not. "
        "A half line (0.5, 1.5, 2.5) can be settled as won or lost, a whole line (1, 2, 3) as won, lost or void. "
        "For further information please refer to the How to Play section.",
        "title": ",".join(outcome.name for outcome in site.outcomes[:3]),
        "name": name,
        "favourite": 0,
        "outcomes": [
            _outcome(book, offer, index, outcome, is_suspended, home, away)
            for index, outcome in zip(offer.indices, site.outcomes, strict=True)
        ],
        "farNearOdds": 1 if offer.line == 2.5 else 0,
        "sourceType": "BET_RADAR",
        "banned": False,
    }
    if site.id == "1":
        market["marketExtendVOS"] = [
            {"name": f"{lead}UP", "rootMarketId": "1", "nodeMarketId": f"60{3 - lead}00", "notSupport": False}
            for lead in (1, 2)
        ]
    if first % 17 != 5 or site.market.slug in MAIN_SLUGS:
        market["lastOddsChangeTime"] = max(book.changed_ms[index] for index in offer.indices)
    return market


def _outcome(
    book: Book, offer: Offer, index: int, outcome: SiteOutcome, is_suspended: bool, home: str, away: str
) -> dict[str, object]:
    cents, closed = book.cents[index], book.closed[index]
    odds = f"{cents / 100:.2f}" if cents >= LEAST else "1.00" if index % 2 else "0.00"
    return {
        "id": outcome.id,
        "odds": odds,
        "probability": f"{book.fair(index):.10f}",
        "voidProbability": "0E-10",
        "isActive": 1 if is_suspended or not closed else 0,
        "desc": describe(offer, outcome, home, away),
    }


def describe(offer: Offer, outcome: SiteOutcome, home: str, away: str) -> str:
    """Return a description such as "Over 2.5", "Home (0:1)" or "Away (+0.5)".

    It contains the line or a team, so clients should not identify outcomes by it.
    """
    return _with_line(offer, outcome).replace("{home}", home).replace("{away}", away)


def _with_line(offer: Offer, outcome: SiteOutcome) -> str:
    if offer.line is None or "{line}" not in outcome.name:
        return outcome.name
    if offer.site.market.family == "asian":
        own = offer.line if outcome.outcome == "1" else -offer.line
        return outcome.name.replace("{line}", f"{own:+g}" if own else "0")
    if offer.site.market.family == "european":
        return outcome.name.replace("{line}", offer.specifier.removeprefix("hcp="))
    return outcome.name.replace("{line}", f"{offer.line:g}")
