"""Hand-written bodies of MSport and BetKing, with all peculiarities that their parsers must handle. Invented data."""

from tests.bookmakers.wire import Json


def _ms(market_id: int, outcomes: list[Json], specifiers: str = "", status: int = 0) -> Json:
    return {
        "id": market_id,
        "specifiers": specifiers,
        "name": f"Market {market_id}",
        "status": status,
        "product": 3,
        "isShown": 1,
        "outcomes": outcomes,
    }


def _o(outcome_id: str, odds: str, is_active: int = 1) -> Json:
    return {"id": outcome_id, "odds": odds, "probability": "0.5000", "isActive": is_active, "description": "anything"}


MSPORT_DATA: Json = {
    "eventId": "sr:match:70000001",
    "homeTeam": "Rovers",
    "awayTeam": "United - City",
    "startTime": 1787304600000,
    "status": 0,
    "sport": "Soccer",
    "category": "Nowhere",
    "categoryId": "sr:category:9",
    "tournament": "First Division",
    "tournamentId": "sr:tournament:5",
    "markets": [
        _ms(1, [_o("3", "3.40"), _o("1", "2.15"), _o("2", "3.25", 0)]),
        _ms(5000002, [_o("500000201", "1.66"), _o("500000202", "3.30"), _o("500000203", "1.88")]),
        _ms(5000001, [_o("500000101", "2.01"), _o("500000102", "3.30"), _o("500000103", "2.88")]),
        _ms(10, [_o("9", "1.30"), _o("10", "1.31"), _o("11", "1.60")]),
        _ms(18, [_o("12", "1.95"), _o("13", "1.82")], "total=2.5"),
        _ms(18, [_o("12", "2.60"), _o("13", "1.45")], "total=3", status=2),
        _ms(18, [_o("12", "2.60"), _o("13", "1.45")], "total=2.6"),
        _ms(16, [_o("1714", "2.35"), _o("1715", "1.57")], "hcp=-0.5"),
        _ms(14, [_o("1711", "4.75"), _o("1712", "4.25"), _o("1713", "1.56")], "hcp=0:1"),
        # SportyBet's early payout is something else here.
        _ms(60100, [_o("1", "9.00")]),
        _ms(40, [_o("1716", "0.00"), _o("sr:player:1", "5.00"), _o("sr:player:2", "6.00")], "type=prematch"),
    ],
}
MSPORT: Json = {"bizCode": 10000, "message": "0#0", "innerMsg": "", "data": MSPORT_DATA}


def msport_page(numbers: list[int], cursor: str | None = None) -> Json:
    """Build a page of MSport's list with events of these numbers, by default followed by the last one's cursor."""
    events = [
        {
            "eventId": f"sr:match:{number}",
            "homeTeam": f"Home {number}",
            "awayTeam": f"Away {number}",
            "startTime": 1787304600000,
        }
        for number in numbers
    ]
    tournament = {
        "category": "Nowhere",
        "tournament": "First Division",
        "tournamentId": "sr:tournament:5",
        "events": events,
    }
    if cursor is None:
        cursor = f"sr:match:{numbers[-1]}" if numbers else ""
    return {"bizCode": 10000, "data": {"tournaments": [tournament] if events else [], "lastEventId": cursor}}


def _bk(type_id: int, prices: list[Json], of_market: object = 0, name: str = "A market") -> Json:
    return {
        "OddCollectionID": 9,
        "OddsType": {"OddsTypeID": type_id, "OddsTypeName": name},
        "SpecialBetValue": of_market,
        "MatchOdds": prices,
    }


def _p(type_id: int, odds: float, line: object = None, name: str = "?") -> Json:
    return {
        "MatchOddsID": 1,
        "OddAttribute": {"OddTypeID": type_id, "OddName": name, "SpecialValue": line},
        "Outcome": {"OutcomeID": 2, "OddOutcome": odds},
    }


_ABOUT: Json = {
    "ItemID": 801,
    "ItemName": "Rovers - United - City",
    "ItemDate": "2026-08-21T11:30:00+02:00",
    "TournamentId": 841,
    "TournamentName": "First Division",
    "CategoryId": 9,
    "CategoryName": "Nowhere",
    "ExtProvIDItem": "70000001",
    "SmartBetCode": 1234,
}
BETKING_ITEM: Json = {
    **_ABOUT,
    "OddsCollection": [
        # The draw is 2, and the away side 5.
        _bk(110, [_p(5, 3.4), _p(4, 2.15), _p(2, 3.25)]),
        _bk(146, [_p(9, 1.3), _p(10, 1.31), _p(11, 1.6)]),
        _bk(160, [_p(12, 1.95), _p(13, 1.82)], 2.5),
        _bk(160, [_p(12, 1.01), _p(13, 8.5)], "0.5"),
        _bk(160, [_p(12, 2.6), _p(13, 1.45)], 2.6),
        _bk(302, [_p(74, 1.74), _p(76, 2.0), _p(75, 5.0)]),
    ],
}
_HANDICAPS: Json = {
    **_ABOUT,
    "OddsCollection": [
        _bk(305, [_p(1714, 2.35, -0.5), _p(1715, 1.57, -0.5)]),
        _bk(342, [_p(1714, 4.75, -1), _p(1712, 4.25, "-1"), _p(1715, 1.56, -1)]),
        _bk(344, [_p(1714, 2.1), _p(1715, 1.7, "")], -0.5),
        # Without a line, with one that may be none, and with another one than the market's.
        _bk(305, [_p(1714, 2.0, 0)]),
        _bk(305, [_p(1714, 2.0, 0)], -2.5),
        _bk(305, [_p(1714, 2.0, -1.5)], 1.5),
        # A line where there is none.
        _bk(110, [_p(4, 9.0, 1)]),
    ],
}
_OTHERS: Json = {
    **_ABOUT,
    "OddsCollection": [
        _bk(190, [_p(12, 1.9, 9.5), _p(13, 1.8, 9.5)]),
        _bk(777, [_p(1, 2.0), _p(2, 3.0)], name="Unheard of"),
        _bk(778, [_p(n, 5.0, name=f"Player {'ABCDEFG'[n]}") for n in range(7)], name="Goalscorer"),
    ],
}
BETKING: Json = {
    "AreaMatches": [{"Items": [BETKING_ITEM]}, {"Items": [_HANDICAPS, _OTHERS]}],
    "TotalNoOfItems": 1,
}


def betking_day(items: list[Json], total: object = None) -> Json:
    """Build the list of a day, by default with the number of its items."""
    return {
        "AreaMatches": [{"Items": [item]} for item in items],
        "TotalNoOfItems": len(items) if total is None else total,
    }
