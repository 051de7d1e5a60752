"""The prices in each recorded list. Numbers and ids only, because the bodies belong to the sites."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from quart_odds.bookmakers import RawBody, decode
from quart_odds.domain.catalogue import CATALOGUE, offer_code, pack_key
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from tests.bookmakers.reading import bet9ja_list, betpawa_list, sportybet_list
from tests.bookmakers.wire import Place, Price, asked, table

pytestmark = pytest.mark.recorded

Lists = Mapping[str, Mapping[str, list[float]]]


def listed(recorded: Path, file: str) -> dict[str, MappedEvent]:
    """Return the odds in a recorded list, by the bookmaker's event id."""
    parse: Callable[..., tuple[object, ...]] = {
        "betpawa": betpawa_list,
        "sportybet": sportybet_list,
        "bet9ja": bet9ja_list,
    }[file.partition("/")[0]]
    events, errors, *_ = parse((recorded / file).read_bytes(), "list", "the list")
    assert errors == []
    assert isinstance(events, list)
    assert {event.list_name for event in events} == {"the list"}
    return {event.header.external_id: event.odds for event in events}


def places(markets: Mapping[str, list[float]], closed: str = "") -> dict[Place, Price]:
    """Spell out expected prices: the odds of each market in the order of its outcomes, 0 where there is none."""
    found: dict[Place, Price] = {}
    for name, odds in markets.items():
        market_id, at, line = name.partition("@")
        market = next(each for each in CATALOGUE.markets if each.id == market_id)
        for outcome, price in zip(market.outcomes, odds, strict=True):
            if price:
                found[market_id, outcome.name, float(line) if at else None] = (price, name != closed)
    return found


BETPAWA: Lists = {
    "37536526": {
        "3743": [1.84, 3.81, 4.11],
        "4693": [1.25, 1.29, 1.91],
        "3774@-2.5": [6.31, 1.09],
        "3774@-1.5": [3.11, 1.32],
        "3774@-0.5": [1.79, 1.92],
        "3774@0.5": [1.22, 3.83],
    },
    "37536525": {
        "3743": [2.08, 3.5, 3.54],
        "4693": [1.31, 1.32, 1.72],
        "3774@-1.5": [3.78, 1.23],
        "3774@-0.5": [2.01, 1.71],
        "3774@0.5": [1.28, 3.34],
        "3774@1.5": [1.06, 7.57],
    },
    "37558191": {
        "3743": [3.08, 3.42, 2.31],
        "4693": [1.6, 1.33, 1.38],
        "3774@-1.5": [6.32, 1.08],
        "3774@-0.5": [2.94, 1.35],
        "3774@0.5": [1.59, 2.22],
        "3774@1.5": [1.18, 4.33],
    },
}
SPORTYBET: Lists = {
    "sr:match:72221292": {
        "3743": [1.44, 4.85, 7.24],
        "5000@0.5": [1.02, 12.0],
        "5000@1": [1.03, 11.0],
        "5000@1.5": [1.21, 4.25],
        "5000@2": [1.31, 3.33],
        "5000@2.5": [1.68, 2.15],
        "5000@3": [2.15, 1.69],
        "5000@3.5": [2.7, 1.46],
        "5000@4": [4.1, 1.23],
        "5000@4.5": [4.75, 1.18],
        "5000@5": [7.9, 1.07],
        "5000@5.5": [8.4, 1.06],
        "3774@-3.5": [6.25, 1.1],
        "3774@-2.5": [3.75, 1.24],
        "3774@-1.5": [2.15, 1.66],
        "3774@-0.5": [1.41, 2.8],
        "3774@0.5": [1.11, 6.0],
    },
    "sr:match:72221294": {
        "3743": [2.69, 3.58, 2.57],
        "5000@0.5": [1.02, 12.0],
        "5000@1": [1.03, 11.0],
        "5000@1.5": [1.19, 4.5],
        "5000@2": [1.28, 3.6],
        "5000@2.5": [1.64, 2.2],
        "5000@3": [2.05, 1.76],
        "5000@3.5": [2.55, 1.5],
        "5000@4": [3.8, 1.25],
        "5000@4.5": [4.5, 1.19],
        "5000@5": [7.4, 1.08],
        "5000@5.5": [7.9, 1.07],
        "3774@-1.5": [4.8, 1.16],
        "3774@-0.5": [2.55, 1.48],
        "3774@0.5": [1.51, 2.45],
        "3774@1.5": [1.18, 4.6],
    },
}
SPORTYBET_PAGE: Lists = {
    "sr:match:67015328": {"3743": [2.96, 3.66, 2.38]},
    "sr:match:67015330": {"3743": [2.31, 3.75, 3.03]},
    "sr:match:67015334": {"3743": [1.88, 4.04, 4.01]},
    "sr:match:67015324": {"3743": [1.58, 4.71, 5.36]},
    "sr:match:67015326": {"3743": [1.92, 3.76, 4.11]},
}
BET9JA: Lists = {
    "828890052": {
        "3743": [2.38, 3.5, 2.97],
        "4693": [1.4, 1.31, 1.59],
        "5000@0.5": [1.03, 11.75],
        "5000@1.5": [1.24, 4.05],
        "5000@2.5": [1.77, 2.08],
        "5000@3.5": [2.83, 1.41],
        "5000@4.5": [5.1, 1.14],
        "5000@5.5": [9.4, 1.02],
        "5000@6.5": [16.0, 0],
        "28000810": [1.62, 3.5, 1.83],
        "28000850": [2.31, 3.5, 2.86],
    },
    "831880021": {
        "3743": [2.93, 3.85, 2.27],
        "4693": [1.64, 1.27, 1.41],
        "5000@0.5": [0, 16.0],
        "5000@1.5": [1.14, 5.6],
        "5000@2.5": [1.48, 2.67],
        "5000@3.5": [2.17, 1.67],
        "5000@4.5": [3.55, 1.26],
        "5000@5.5": [6.2, 1.08],
        "5000@6.5": [11.25, 0],
        "5000@7.5": [18.0, 0],
        "28000810": [1.74, 3.85, 1.52],
        "28000850": [2.82, 3.85, 2.21],
    },
}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("betpawa/by_queries_v4_efl.json", BETPAWA),
        ("sportybet/pcEvents_epl.json", SPORTYBET),
        ("sportybet/pcUpcomingEvents_5events.json", SPORTYBET_PAGE),
        ("bet9ja/events_in_group_epl_D_only.json", BET9JA),
    ],
)
def test_a_list_comes_to_exactly_its_prices(recorded: Path, file: str, expected: Lists) -> None:
    """Every price read manually from the body, and no other. One handicap is suspended."""
    found = listed(recorded, file)
    assert found.keys() == expected.keys()
    for external_id, markets in expected.items():
        closed = "3774@-3.5" if external_id == "sr:match:72221292" else ""
        odds = found[external_id]
        assert table(odds) == places(markets, closed)
        assert odds.is_partial
        assert (odds.dropped, odds.unmapped_prices, odds.total) == (0, 0, len(odds.prices))


def code(market_id: str, line: float | None = None) -> int:
    """Return the code of a market and line."""
    market = next(each for each in CATALOGUE.markets if each.id == market_id)
    return offer_code(pack_key(market.number, 1, line))


def test_sportybet_says_when_it_changed_a_market(recorded: Path) -> None:
    """In both kinds of lists and in an event's own body: for each market and line, in epoch milliseconds."""
    page = listed(recorded, "sportybet/pcUpcomingEvents_5events.json")
    assert {external_id: dict(odds.source_changed) for external_id, odds in page.items()} == {
        "sr:match:67015328": {code("3743"): 1786716155485},
        "sr:match:67015330": {code("3743"): 1786719744608},
        "sr:match:67015334": {code("3743"): 1786719743874},
        "sr:match:67015324": {code("3743"): 1786719743913},
        "sr:match:67015326": {code("3743"): 1786727727333},
    }
    changed = listed(recorded, "sportybet/pcEvents_epl.json")["sr:match:72221292"].source_changed
    assert len(changed) == 17
    assert changed[code("3743")] == 1790449974912
    assert changed[code("5000", 2.5)] == changed[code("5000", 3)] == 1790503180000
    assert changed[code("3774", -3.5)] == 1789942719000
    content = (recorded / "sportybet/event_68995116.json").read_bytes()
    event = decode(RawBody(Platform.SPORTYBET, content, None, asked(Platform.SPORTYBET, "sr:match:68995116")))
    assert not event.is_partial
    assert len(event.source_changed) == 357
    assert event.source_changed.keys() == {offer_code(key) for key, _ in event.prices}
    assert event.source_changed[code("3743")] == 1778052961313
