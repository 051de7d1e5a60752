"""BetPawa's v4 event object: empty, false and default fields are omitted, lines are times four, ids are text."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from quart_odds.sandbox.sites.betpawa import DEFAULT_MARKETS
from quart_odds.sandbox.sites.formats import EventFormat
from quart_odds.sandbox.world.book import Book
from quart_odds.sandbox.world.markets import Offer, SiteMarket, SiteOutcome

_BOOSTED = "3743"
"""The market that some events offer at better odds as well, in lists and details alike."""
_TABS = {"goals": "goals", "corners": "corners", "players": "players"}


def event_object(book: Book, offers: Iterable[Offer]) -> dict[str, object]:
    """Build an event with the markets of `offers`, for lists and details alike."""
    offers = list(offers)
    fixture, listing = book.fixture, book.fixture.listings[book.market_list.platform]
    markets = [_market(book, site, list(group)) for site, group in groupby(offers, key=lambda offer: offer.site)]
    if fixture.number % 20 == 3 and offers and offers[0].site.id == _BOOSTED:
        markets += [_boosted(market) for market in markets[:1]]
    rows = str(len(book.market_list.offers))
    return {
        "id": listing.external_id,
        "name": f"{listing.home} - {listing.away}",
        "widgets": _widgets(book),
        "participants": [
            {"id": str(600_000 + fixture.number * 2 + side), "name": name, "position": side + 1}
            for side, name in enumerate((listing.home, listing.away))
        ],
        "startTime": f"{fixture.kickoff:%Y-%m-%dT%H:%M:%SZ}",
        "markets": markets,
        "totalMarketCount": rows,
        "category": {"id": "2", "name": "Football"},
        "region": {"id": region_id(fixture.league.country_number), "name": fixture.league.country},
        "competition": {"id": competition_id(fixture.league.number), "name": fixture.league.name},
        "additionalInfo": {"inplayBooked": True, "inplayBookedActual": True} if fixture.number % 3 else {},
        "version": str(book.version + 1),
        "marketCounters": {"totalMarketGroupCount": rows, "marketGroupCountByTab": {"all": rows, "popular": "12"}},
    }


def competition_id(number: int) -> str:
    """Return BetPawa's id of a competition."""
    return str(11_000 + number)


def region_id(number: int) -> str:
    """Return BetPawa's id of a country."""
    return str(100 + number)


FORMAT = EventFormat(
    competition_id,
    region_id,
    DEFAULT_MARKETS,
    event_object,
    lambda book, _, extra: event_object(book, book.market_list.offers) | extra,
)


def _widgets(book: Book) -> list[dict[str, str]]:
    """Build the widgets: the SportRadar id twice, in varying order, next to an unrelated number."""
    fixture = book.fixture
    other = {"id": str(13_000_000 + fixture.number), "type": "GENIUSSPORTS"}
    if fixture.sportradar_id is None:
        return [other]
    ours = [{"id": fixture.sportradar_id, "type": "SPORTRADAR", "retention": when} for when in ("PREMATCH", "INPLAY")]
    if fixture.number % 2:
        ours.reverse()
    return [ours[0], other, ours[1]]


def _market(book: Book, site: SiteMarket, offers: list[Offer]) -> dict[str, object]:
    market_type: dict[str, object] = {
        "id": site.id,
        "name": site.labels[0],
        "displayName": site.labels[1],
        "explainer": f"Pick the outcome of {site.labels[1]}. Only regular time and added time count.",
        "priority": offers[0].first + 1,
        "tabs": ["all", _TABS.get(site.market.subject, "popular")],
    }
    if site.kind:
        market_type["handicapType"] = site.kind
    market: dict[str, object] = {
        "marketType": market_type,
        "row": [row for offer in offers for row in _rows(book, offer)],
        "additionalInfo": {"cashoutable": True},
    }
    if site.kind in ("ASIAN", "EUROPEAN"):
        market["displayNameColumns"] = [outcome.name for outcome in site.outcomes]
    return market


def _rows(book: Book, offer: Offer) -> Iterable[dict[str, object]]:
    """Yield the rows of a line: as many as its prices need. Only a line that fits into one row has a row id."""
    site, line = offer.site, offer.line
    prices = [_price(book, offer, index, outcome) for index, outcome in zip(offer.indices, site.outcomes, strict=True)]
    base = 300_000_000 + book.fixture.number * 1000
    for start in range(0, len(prices), site.row):
        row: dict[str, object] = {"prices": prices[start : start + site.row]}
        if len(prices) <= site.row:
            row["id"] = str(base + offer.first)
        if line is not None:
            row["handicap"] = round(line * 4)
            row["specifier"] = {"hcp" if site.kind in ("ASIAN", "EUROPEAN") else "total": f"{line:g}"}
        yield row


_ADDITIONAL = {"anyUp": "NO_UP"}


def _price(book: Book, offer: Offer, index: int, outcome: SiteOutcome) -> dict[str, object]:
    cents, closed = book.cents[index], book.closed[index]
    price: dict[str, object] = {
        "id": str(1_000_000_000 + book.fixture.number * 1000 + index),
        "name": outcome.name,
        "typeId": outcome.id,
        "odds": 0.0 if closed else cents / 100,
        "displayName": outcome.name,
        "additionalInfo": _ADDITIONAL,
        "probability": {"win": round(book.fair(index), 6), "refund": 0.0},
    }
    if closed:
        price["suspended"] = True
    if offer.line is not None:
        handicap = _handicap(offer.site.kind, offer.line, outcome.outcome)
        price["handicap"] = handicap
        if offer.site.kind in ("ASIAN", "EUROPEAN"):
            price["displayName"] = "{formattedHandicap}"
            price["specifier"] = {"hcp": handicap}
        elif outcome.name.endswith(("Over", "Under")):
            price["displayName"] = f"{outcome.name.split(' - ')[-1]} {{formattedHandicap}}"
    return price


def _handicap(kind: str, line: float, outcome: str) -> str:
    """Return the line as shown on a price.

    It is the price's own side's line for Asian handicaps; three-way handicaps name the side, and X repeats the favoured
    one.
    """
    if kind == "ASIAN":
        own = line if outcome == "1" else -line
        return f"{own:+g}" if own else "0"
    if kind == "EUROPEAN":
        is_home = outcome == "1" or (outcome == "X" and line < 0)
        return f"Home {line:+g}" if is_home else f"Away {-line:+g}"
    return f"{line:g}"


def _boosted(market: Mapping[str, object]) -> dict[str, object]:
    """Repeat the market at better odds and marked as boosted, which is a promotion and not comparable."""
    rows = market["row"]
    assert isinstance(rows, list)
    better = [
        {**row, "prices": [{**price, "odds": round(price["odds"] * 1.15, 2)} for price in row["prices"]]}
        for row in rows
    ]
    return {**market, "row": better, "additionalInfo": {"boosted": True, "cashoutable": True}}
