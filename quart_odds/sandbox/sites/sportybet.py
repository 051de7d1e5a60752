"""A stand-in for SportyBet's factsCenter: the tree of tournaments, the events of a tournament, and single events."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import orjson

from quart_odds.sandbox.sites.answers import (
    Answer,
    Ask,
    ListedEvent,
    Markets,
    Shelf,
    json_answer,
    not_found,
    page_of_competition,
    refused,
)
from quart_odds.sandbox.world import stand_ins

_PATH = re.compile(r"/api/[a-z]{2}/factsCenter/(\w+)")
MOST_EVENTS = 100
"""The maximum page size of pcUpcomingEvents."""
MOST_OF_A_TOURNAMENT = 10
"""How many events of a tournament `option=1` of pcUpcomingEvents gives. Its total counts them all."""


class SportybetSite:
    """SportyBet: an envelope with a bizCode around all answers, and HTTP status 200 for most errors."""

    platform = stand_ins.SPORTYBET

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def event_of(self, ask: Ask) -> str | None:
        """Return the query's eventId."""
        return ask.query.get("eventId") if _name(ask) == "event" else None

    def page_of(self, ask: Ask) -> int | None:
        """Return the page of pcUpcomingEvents, and for pcEvents 2 if it has the first event's tournament, else 1."""
        match _name(ask):
            case "pcUpcomingEvents":
                number = ask.query.get("pageNum", "1")
                return int(number) if number.isdecimal() else None
            case "pcEvents":
                try:
                    asked = {tournament for tournament, _ in _asked(ask.body)}
                except _MALFORMED:
                    return None
                return page_of_competition(self.shelf, asked)
        return None

    def refuse(self, ask: Ask) -> Answer | None:
        """Refuse a list's request body that is not a list with 403, and one that is not declared as JSON with 500."""
        if ask.method != "POST":
            return None
        if not ask.headers.get("content-type", "").startswith("application/json"):
            return json_answer({"message": "Unsupported media type"}, 500)
        try:
            return None if isinstance(orjson.loads(ask.body), list) else refused()
        except ValueError:
            return json_answer({"message": "Malformed body"}, 500)

    def answer(self, ask: Ask) -> Answer:
        """Answer one of the four paths, or 404."""
        match ask.method, _name(ask):
            case "GET", "popularAndSportList":
                return self._sports(ask)
            case "POST", "pcEvents":
                return self._events(ask)
            case "GET", "pcUpcomingEvents":
                return self._upcoming(ask)
            case "GET", "event":
                return self.shelf.detail(ask, ask.query.get("eventId", "")) or biz_error("Event not found")
        return not_found()

    def _sports(self, ask: Ask) -> Answer:
        events = self.shelf.listed() if ask.query.get("productId", "3") == "3" else ()
        categories: dict[str, dict[str, object]] = {}
        tournaments: dict[str, dict[str, object]] = {}
        for event in events:
            competition = event.competition
            if competition.id not in tournaments:
                tournaments[competition.id] = {"id": competition.id, "name": competition.name, "eventSize": 0}
                category = categories.setdefault(
                    competition.country_id,
                    {"id": competition.country_id, "name": competition.country, "eventSize": 0, "tournaments": []},
                )
                listed = category["tournaments"]
                assert isinstance(listed, list)
                listed.append(tournaments[competition.id])
            for counted in (tournaments[competition.id], categories[competition.country_id]):
                size = counted["eventSize"]
                assert isinstance(size, int)
                counted["eventSize"] = size + 1
        football = {
            "id": "sr:sport:1",
            "name": "Football",
            "eventSize": len(events),
            "categories": list(categories.values()) if ask.query.get("sportId") == "sr:sport:1" else [],
        }
        return json_answer(envelope({"popularEvents": [], "sportList": [football]}))

    def _events(self, ask: Ask) -> Answer:
        """Answer the requested tournaments with their events and all lines of the requested markets."""
        try:
            tournaments = _asked(ask.body)
        except _MALFORMED:
            return biz_error("Invalid")
        if any("," in tournament for tournament, _ in tournaments):
            return biz_error("Invalid")
        listed = self.shelf.listed()
        found = [
            (event, markets)
            for tournament, markets in tournaments
            for event in listed
            if event.competition.id == tournament
        ]
        return Answer(
            lambda: orjson.dumps(envelope(_by_tournament(found))),
            key=ask.body,
            version=tuple(event.version() for event, _ in found),
        )

    def _upcoming(self, ask: Ask) -> Answer:
        """Answer a page of all events. A tournament can continue on the next page.

        With `option=1` at most ten events of each tournament are on the pages, while the total counts them all.
        """
        try:
            size = min(int(ask.query.get("pageSize", 20)), MOST_EVENTS)
            number = int(ask.query.get("pageNum", 1))
        except ValueError:
            return biz_error("Invalid")
        if size < 1 or number < 1:
            return biz_error("Invalid")
        listed = self.shelf.listed()
        option = ask.query.get("option", "2")
        on_pages = _first_of_each(listed) if option == "1" else listed
        markets = _market_ids(ask.query.get("marketId"))
        start = (number - 1) * size + (ask.shift if number > 1 else 0)
        page = [(event, markets) for event in on_pages[start : start + size]]
        return Answer(
            lambda: orjson.dumps(envelope({"totalNum": len(listed), "tournaments": _by_tournament(page)})),
            key=(size, number, option, markets, ask.shift),
            version=tuple(event.version() for event, _ in page),
        )


def envelope(data: object, code: int = 10_000, message: str = "0#0") -> dict[str, object]:
    """Wrap data in SportyBet's envelope."""
    return {"bizCode": code, "message": message, "data": data}


def biz_error(message: str) -> Answer:
    """Build an error, which has HTTP status 200."""
    return json_answer(envelope(None, 19_000, message))


def _name(ask: Ask) -> str | None:
    match = _PATH.fullmatch(ask.path)
    return match[1] if match else None


_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)


def _asked(body: bytes) -> list[tuple[str, Markets]]:
    """Return the tournaments that a request for pcEvents names, each with its markets."""
    return [
        (str(tournament), _market_ids(item.get("marketId")))
        for item in orjson.loads(body)
        for group in item["tournamentId"]
        for tournament in group
    ]


def _first_of_each(events: Iterable[ListedEvent]) -> list[ListedEvent]:
    found: list[ListedEvent] = []
    counts: Counter[str] = Counter()
    for event in events:
        counts[event.competition.id] += 1
        if counts[event.competition.id] <= MOST_OF_A_TOURNAMENT:
            found.append(event)
    return found


def _market_ids(text: str | None) -> Markets:
    return frozenset(str(text).split(",")) if text else None


def _by_tournament(events: Iterable[tuple[ListedEvent, Markets]]) -> Sequence[dict[str, object]]:
    tournaments: dict[str, dict[str, object]] = {}
    lists: dict[str, list[object]] = {}
    for event, markets in events:
        competition = event.competition
        lists.setdefault(competition.id, []).append(event.write(markets))
        tournaments[competition.id] = {
            "id": competition.id,
            "name": competition.name,
            "events": lists[competition.id],
            "categoryName": competition.country,
            "categoryId": competition.country_id,
        }
    return list(tournaments.values())
