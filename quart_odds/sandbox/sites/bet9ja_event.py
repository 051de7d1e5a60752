"""Bet9ja's event object: prices in one flat object, times without a zone, suspended prices missing or "1"."""

from collections.abc import Iterable
from functools import cache, partial

import orjson

from quart_odds.sandbox.sites.bet9ja import envelope
from quart_odds.sandbox.sites.formats import EventFormat
from quart_odds.sandbox.world import stand_ins
from quart_odds.sandbox.world.book import Book
from quart_odds.sandbox.world.markets import MarketList, Offer

MAIN_KEYS = frozenset({"S_1X2", "S_DC", "S_OU", "S_1X21", "S_1X22"})
"""The markets shown in a list of events."""


def event_object(book: Book, offers: Iterable[Offer], *, is_listed: bool = False) -> dict[str, object]:
    """Build an event with the prices of `offers`. Only GetEvent includes the markets' texts."""
    fixture, listing = book.fixture, book.fixture.listings[stand_ins.BET9JA]
    league, kickoff = fixture.league, fixture.kickoff
    offers = list(offers)
    event: dict[str, object] = {
        "INCTYPE": 0,
        "ST": 1,
        "GID": group_id(league.number),
        "C": str(1000 + fixture.number),
        "STARTDATE": f"{kickoff:%Y-%m-%d %H:%M:%S}",
        "STARTDATEUTC": f"{kickoff:%Y-%m-%dT%H:%M:%SZ}",
        "SGID": country_id(league.country_number),
        "EXTID": fixture.sportradar_id or "",
        "DS": f"{listing.home} - {listing.away}",
        "SID": 1,
        "P": 0,
        "PRV": 1,
        "IS_BOOSTED": False,
        "IS_BETBUILDER": True,
        "ENDVISIBILITYDATE": f"{kickoff:%Y-%m-%d %H:%M:%S}",
        "ENDVISIBILITYDATEUTC": f"{kickoff:%Y-%m-%dT%H:%M:%SZ}",
        "ID": int(listing.external_id),
        "PL": 0,
        "TYPE": 0,
        "MKNUM": len(book.market_list.offers),
        "GN": league.name,
        "SG": league.country,
        "SPORT" if is_listed else "S": "Soccer",
        "O": dict(_odds(book, offers)),
        "AUX": _lines(offers),
        "EXCLUDED_BONUS": [],
        "BOOSTED_ODDS": [],
        "BOOSTED_MARKETS": [],
    }
    if not is_listed:
        market_texts, categories, texts = _catalogue(book.market_list)
        event |= {"MK": market_texts, "CATMARKET": categories, "TRANS": texts}
    return event


def group_id(number: int) -> int:
    """Return Bet9ja's id of a competition."""
    return 170_000 + number


def country_id(number: int) -> int:
    """Return Bet9ja's id of a country."""
    return 11_000 + number


FORMAT = EventFormat(
    lambda number: str(group_id(number)),
    lambda number: str(country_id(number)),
    MAIN_KEYS,
    partial(event_object, is_listed=True),
    lambda book, _, extra: envelope(event_object(book, book.market_list.offers) | extra),
)


def _odds(book: Book, offers: Iterable[Offer]) -> Iterable[tuple[str, str]]:
    for offer in offers:
        head = offer.site.id if offer.line is None else f"{offer.site.id}@{offer.line:g}"
        for index, outcome in zip(offer.indices, offer.site.outcomes, strict=True):
            if not book.closed[index]:
                yield f"{head}_{outcome.id}", f"{book.cents[index] / 100:g}"
            elif index % 2:
                yield f"{head}_{outcome.id}", "1"


def _lines(offers: Iterable[Offer]) -> dict[str, dict[str, float]]:
    lines: dict[str, dict[str, float]] = {}
    for offer in offers:
        if offer.line is not None:
            lines.setdefault(offer.site.id, {})[f"{offer.line:g}"] = offer.line
    return lines


@cache
def _catalogue(offered: MarketList) -> tuple[orjson.Fragment, orjson.Fragment, orjson.Fragment]:
    """Return MK, CATMARKET and TRANS, which are the same for every event and most of its bytes."""
    # Two of our markets have the same key if Bet9ja sends them as one, such as both teams' totals.
    sites = {offer.site.id: offer.site for offer in offered.offers}
    codes: dict[str, list[str]] = {}
    for offer in offered.offers:
        known = codes.setdefault(offer.site.id, [])
        known += [outcome.id for outcome in offer.site.outcomes if outcome.id not in known]
    described = {
        key: f"You have to predict the outcome of {site.labels[0]}, in the 90 minutes of the match and added time."
        for key, site in sites.items()
    }
    markets = [
        {
            "ID": key,
            "DS": site.labels[0],
            "MDESC": described[key],
            "P": str(position),
            "VW": "2",
            "GCAT": site.labels[1],
            "MARKETID": str(2000 + position),
            "M_PAYOUT": "120",
            "CNT": "G",
            "CNTLABEL": "Goals",
            "SGN": codes[key],
            "SGNK": codes[key],
        }
        for position, (key, site) in enumerate(sites.items(), 1)
    ]
    texts: dict[str, object] = {}
    for key, site in sites.items():
        texts[f"M#{key}"] = {"NAME": site.labels[0], "DESC": described[key]}
        for code in codes[key]:
            texts |= {
                f"M#{key}_{code}": code,
                f"MCU#{key}_{code}": f"{site.labels[0]}: {code} ({{HNDS}})",
                f"MH#{key}_{code}": f"{code}|{site.labels[0]}",
                f"MD#{key}_{code}": f"The bet is won if {code} is the outcome of {site.labels[0]}.",
            }
    groups = sorted({site.labels[1] for site in sites.values()})
    categories = [{"CODE": str(100 + code), "VALUE": group} for code, group in enumerate(groups)]
    return (
        orjson.Fragment(orjson.dumps(markets)),
        orjson.Fragment(orjson.dumps(categories)),
        orjson.Fragment(orjson.dumps(texts)),
    )
