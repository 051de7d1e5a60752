"""Hand-written bodies in the three wire formats, with all peculiarities that parsers must handle. Invented data."""

import copy
from datetime import UTC, datetime
from typing import Any

import orjson

from quart_odds.domain.catalogue import CATALOGUE, promotion_of, unpack_key
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent, unpack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import promotion_name

Json = dict[str, Any]
Price = tuple[float, bool]
Place = tuple[str, str, float | None] | tuple[str, str, float | None, str]


def asked(platform: Platform, external_id: str) -> EventHeader:
    """Return the header that a discovery would have found."""
    return EventHeader(platform, external_id, None, "?", "?", datetime(2026, 1, 1, tzinfo=UTC), Competition("", "", ""))


def dumps(body: object) -> bytes:
    """Serialise a body."""
    return orjson.dumps(body)


def table(event: MappedEvent) -> dict[Place, Price]:
    """Return the prices in readable form: (market id, outcome, line and optional promotion) to (odds, active)."""
    prices: dict[Place, Price] = {}
    for key, value in event.prices:
        number, index, line = unpack_key(key)
        market = CATALOGUE.by_number[number]
        promotion = promotion_name(promotion_of(key), event.promotions)
        place = (market.id, market.outcomes[index].name, line)
        prices[(*place, promotion) if promotion else place] = unpack_value(value)
    return prices


def _v4_market(market_id: str, rows: list[Json], name: str = "A market", **extra: object) -> Json:
    return {"marketType": {"id": market_id, "name": name, "displayName": name}, "row": rows, **extra}


def _v4(type_id: str, odds: float, **extra: object) -> Json:
    return {"id": "1" + type_id, "name": "?", "typeId": type_id, "odds": odds, **extra}


BETPAWA_V4: Json = {
    "id": "501",
    "name": "Rovers - United - City (n)",
    "participants": [
        {"id": "9", "name": "United - City", "position": 2},
        {"id": "8", "name": "Rovers", "position": 1},
    ],
    "startTime": "2026-08-21T09:30:00Z",
    "widgets": [{"id": "13", "type": "GENIUSSPORTS"}, {"id": "70000001", "type": "SPORTRADAR", "retention": "INPLAY"}],
    "category": {"id": "2", "name": "Football"},
    "region": {"id": "1", "name": "Nowhere"},
    "competition": {"id": "77", "name": "First Division"},
    "totalMarketCount": "9",
    "markets": [
        # Outcomes in a different order from ours; one is suspended but keeps its odds.
        _v4_market(
            "3743", [{"id": "r", "prices": [_v4("3746", 3.5), _v4("3744", 2.1), _v4("3745", 3.2, suspended=True)]}]
        ),
        _v4_market(
            "3743",
            [{"prices": [_v4("3744", 2.6), _v4("3745", 3.2), _v4("3746", 4.1)]}],
            additionalInfo={"boosted": True},
        ),
        _v4_market(
            "28000850",
            [{"prices": [_v4("28000851", 2.0, additionalInfo={"anyUp": "TWO_UP"}), _v4("28000852", 3.2)]}],
        ),
        _v4_market(
            "5000",
            [
                {"handicap": 10, "specifier": {"total": "2.5"}, "prices": [_v4("5001", 1.9), _v4("5002", 1.8)]},
                {"handicap": 11, "prices": [_v4("5001", 2.2), _v4("5002", 1.6)]},
                {"handicap": 14, "prices": [_v4("5001", 3.1), _v4("5002", 1)]},
                {"prices": [_v4("5001", 3.1), _v4("5002", 1.3)]},
            ],
        ),
        _v4_market("3774", [{"handicap": -2, "prices": [_v4("3775", 2.3), _v4("3776", 1.5)]}]),
        _v4_market("4724", [{"handicap": -4, "prices": [_v4("4725", 4.7), _v4("4726", 4.2), _v4("4727", 1.5)]}]),
        _v4_market("28000224", [{"handicap": 4, "prices": [_v4("28000225", 1.9), _v4("28000227", 2.1)]}]),
        _v4_market("28000224", [{"handicap": 8, "prices": [_v4("28000225", 1.9)]}], "Next Goal"),
        _v4_market("999", [{"prices": [_v4("1", 2.0)]}], "Unheard Of"),
        _v4_market("4693", [{"prices": [_v4("4694", 1.3), _v4("12345", 1.3), _v4("4695", 0.0)]}]),
    ],
}

BETPAWA_V3: Json = {
    **{key: BETPAWA_V4[key] for key in ("participants", "startTime", "region", "competition")},
    "id": "501",
    "name": "Rovers - United - City",
    "results": None,
    "widgets": [
        {"id": "70000001", "type": "SPORTRADAR", "retention": "PREMATCH"},
        {"id": "70000001", "type": "SPORTRADAR", "retention": "INPLAY"},
        {"id": "13", "type": "GENIUSSPORTS", "retention": None},
    ],
    "totalMarketCount": 3,
    "markets": [
        {
            "marketType": {"id": "3743", "displayName": "1X2 | Full Time", "handicapType": ""},
            "additionalInfo": {"boosted": False, "cashoutable": True, "twoUp": False},
            "row": [
                {
                    "id": "1",
                    "handicap": None,
                    "formattedHandicap": None,
                    "prices": [
                        {"typeId": "3744", "price": 2.1, "suspended": False, "handicap": None},
                        {"typeId": "3745", "price": 100.0, "suspended": True, "handicap": None},
                        {"typeId": "3746", "price": 0.0, "suspended": True, "handicap": None},
                    ],
                }
            ],
        },
        {
            "marketType": {"id": "3743", "displayName": "1X2 | Full Time", "handicapType": ""},
            "additionalInfo": {"boosted": False, "cashoutable": True, "twoUp": True},
            "row": [{"handicap": None, "prices": [{"typeId": "3744", "price": 1.9, "suspended": False}]}],
        },
        {
            "marketType": {"id": "4724", "displayName": "3-Way Handicap", "handicapType": "EUROPEAN"},
            "additionalInfo": {},
            "row": [
                {
                    "handicap": 4,
                    "formattedHandicap": "1",
                    "prices": [{"typeId": "4725", "price": 1.34, "suspended": False, "handicap": "Home +1"}],
                }
            ],
        },
    ],
}


def _sb(market_id: str, outcomes: list[Json], specifier: str | None = None, status: int = 0) -> Json:
    market: Json = {"id": market_id, "product": 3, "desc": f"Market {market_id}", "status": status}
    if specifier is not None:
        market["specifier"] = specifier
    return {**market, "outcomes": outcomes, "banned": False}


def _o(outcome_id: str, odds: str, is_active: int = 1) -> Json:
    return {"id": outcome_id, "odds": odds, "probability": "0.5", "isActive": is_active, "desc": "anything"}


SPORTYBET_DATA: Json = {
    "eventId": "sr:match:70000001",
    "estimateStartTime": 1787304600000,
    "status": 0,
    "homeTeamName": "Rovers FC",
    "awayTeamName": "United - City",
    "sport": {
        "id": "sr:sport:1",
        "name": "Football",
        "category": {
            "id": "sr:category:9",
            "name": "Nowhere",
            "tournament": {"id": "sr:tournament:5", "name": "First Division"},
        },
    },
    "eventSource": {"preMatchSource": {"sourceType": "BET_RADAR", "sourceId": "70000001"}},
    "bookingStatus": "Unavailable",
    "markets": [
        _sb("1", [_o("3", "3.40"), _o("1", "2.15"), _o("2", "3.25", 0)]),
        _sb("60200", [_o("1", "1.66"), _o("2", "3.30"), _o("3", "1.88")]),
        _sb("60100", [_o("1", "2.01"), _o("2", "3.30"), _o("3", "2.88")]),
        # The description of double chance has the order 1X, 12, X2, and so do the ids.
        _sb("10", [_o("9", "1.30"), _o("10", "1.31"), _o("11", "1.60")]),
        _sb("18", [_o("12", "1.95"), _o("13", "1.82")], "total=2.5"),
        _sb("18", [_o("12", "2.60"), _o("13", "1.45")], "total=3", status=2),
        _sb("18", [_o("12", "2.60"), _o("13", "1.45")], "total=2.6"),
        _sb("16", [_o("1714", "2.35"), _o("1715", "1.57")], "hcp=-0.5"),
        _sb("14", [_o("1711", "4.75"), _o("1712", "4.25"), _o("1713", "1.56")], "hcp=0:1"),
        _sb("14", [_o("1711", "1.38"), _o("1712", "4.50"), _o("1713", "6.00")], "hcp=1:0"),
        # Under comes first here.
        _sb("37", [_o("794", "3.10"), _o("796", "3.90")], "total=2.5"),
        _sb("105", [_o("1", "7.80"), _o("2", "1.16"), _o("3", "9.00")], "from=1|to=10"),
        _sb("105", [_o("1", "7.70"), _o("2", "1.17"), _o("3", "9.10")], "to=20|from=11"),
        _sb(
            "21", [_o("sr:exact_goals:6+:68", "9.90"), _o("sr:exact_goals:6+:74", "1.00")], "variant=sr:exact_goals:6+"
        ),
        _sb("60180", [_o("12", "1.28"), _o("13", "3.40", 0)], "minsnr=10|total=1.5"),
        _sb("29", [_o("74", "1.74"), _o("75", "5.00"), _o("76", "0.00", 0)]),
    ],
}
SPORTYBET: Json = {"bizCode": 10000, "message": "0#0", "data": SPORTYBET_DATA}

BET9JA: Json = {
    "R": "OK",
    "D": {
        "ID": 601,
        "EXTID": "70000001",
        "DS": "Rovers - United - City",
        "STARTDATE": "2026-08-21 09:30:00",
        "GID": 170,
        "GN": "First Division",
        "SG": "Nowhere",
        "S": "Soccer",
        "O": {
            "S_1X2_2": "3.45",
            "S_1X2_1": "2.12",
            "S_1X2_X": "1",
            "S_1X21_11": "1.6",
            "S_1X21_X1": "3.1",
            "S_1X22_12": "2.3",
            "S_DC_12": "1.3",
            "S_OU@2.5_O": "1.9",
            "S_OU@2.5_U": "1.8",
            "S_OU@6.5_O": "19",
            "S_OUA@3_U": "1.43",
            "S_AH@-0.5_1": "2.42",
            "S_AH@-0.5_2": "1.48",
            "S_1X2HND@-1_1H": "4.9",
            "S_1X2HND@1_XH": "4.1",
            "S_HAOU@1.5_OH": "2.23",
            "S_HAOU@1.5_UH": "1.53",
            "S_HAOU@1.5_OA": "2.55",
            "S_HAOU@1.5_UA": "1.41",
            "S_HTFT_1/X": "13",
            "S_1X2GGNG_1ANDGG": "4.65",
            "S_GGNG_Y": "-",
            "S_GGNG_Q": "2",
            "S_DNB@1_1": "2",
            "S_UNHEARD@1.5_O": "2",
            "S_OU@abc_O": "2",
        },
        "AUX": {"S_OU": {"2.5": 2.5}},
        "BOOSTED_ODDS": [],
        "MK": [{"ID": "S_UNHEARD", "DS": "Never heard of"}, {"ID": "S_1X2", "DS": "1X2"}],
    },
}

BETPAWA_CATEGORIES: Json = {
    "withRegions": [
        {
            "category": {"id": "2"},
            "regions": [
                {
                    "region": {"id": "1", "name": "Nowhere"},
                    "competitions": [
                        {"competition": {"id": "77", "name": "First Division"}},
                        {"competition": {"id": "78", "name": "Second Division"}},
                    ],
                },
                {
                    "region": {"id": "2", "name": "Simulated Reality"},
                    "competitions": [{"competition": {"id": "79", "name": "First Division SRL"}}],
                },
            ],
        }
    ]
}

SPORTYBET_TREE: Json = {
    "bizCode": 10000,
    "data": {
        "sportList": [
            {"id": "sr:sport:2", "name": "Basketball", "eventSize": 3},
            {
                "id": "sr:sport:1",
                "name": "Football",
                "categories": [
                    {
                        "id": "sr:category:9",
                        "name": "Nowhere",
                        "tournaments": [{"id": "sr:tournament:5", "name": "First Division", "eventSize": 2}],
                    },
                    {
                        "id": "sr:category:10",
                        "name": "Simulated Reality League",
                        "tournaments": [{"id": "sr:tournament:6", "name": "First Division SRL", "eventSize": 9}],
                    },
                ],
            },
        ]
    },
}

BET9JA_SPORTS: Json = {
    "R": "OK",
    "D": {
        "PAL": {
            "1": {
                "S_DESC": "Soccer",
                "SG": {
                    "10": {"SG_DESC": "Nowhere", "G": {"170": {"G_DESC": "First Division", "NUM": 21}}},
                    "11": {"SG_DESC": "Zoom", "G": {"171": {"G_DESC": "Zoom Soccer"}}},
                },
            },
            "2": {"S_DESC": "Basketball", "SG": {"12": {"SG_DESC": "Nowhere", "G": {"180": {"G_DESC": "Hoops"}}}}},
        }
    },
}


def without(body: Json, *path: str) -> Json:
    """Copy a body without the value at the end of the path."""
    changed = copy.deepcopy(body)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    return changed


def with_(body: Json, value: object, *path: str | int) -> Json:
    """Copy a body with another value at the end of the path."""
    changed = copy.deepcopy(body)
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return changed
