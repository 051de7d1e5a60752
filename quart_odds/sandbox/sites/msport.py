"""A stand-in for MSport's facts-center: a list of all events that is read with a cursor, and single events."""

import re
from collections.abc import Sequence

import orjson

from quart_odds.sandbox.sites.answers import Answer, Ask, ListedEvent, Shelf, json_answer, not_found
from quart_odds.sandbox.world import stand_ins

_PATH = re.compile(r"/api/([a-z]{2})/facts-center/query/frontend/([\w/-]+)")
_LIST = "sports-matches-list"
_EVENT = "match/detail"
OPERATORS = {"ng": "2", "gh": "3", "ke": "1", "ug": "4", "zm": "5"}
"""The header `operid` of each country."""
FIRST_EVENTS = 50
"""How many events come without a cursor, at most."""
MOST_EVENTS = 100
"""The maximum `limit` of a page after a cursor."""


class MsportSite:
    """MSport: an envelope like SportyBet's, with HTTP status 200 for errors, and a list without markets or total."""

    platform = stand_ins.MSPORT

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def event_of(self, ask: Ask) -> str | None:
        """Return the query's eventId."""
        return ask.query.get("eventId") if _name(ask) == _EVENT else None

    def page_of(self, ask: Ask) -> int | None:
        """Return the page of the list: 1 without a cursor, 2 after the first fifty events, and so on."""
        limit, cursor = _limit(ask), ask.query.get("lastEventId")
        if _name(ask) != _LIST or limit is None:
            return None
        if not cursor:
            return 1
        return 2 + max(0, self._after(cursor) - FIRST_EVENTS) // limit

    def refuse(self, ask: Ask) -> Answer | None:
        """Refuse a request whose `operid` is not that of the path's country."""
        match = _PATH.fullmatch(ask.path)
        if match is None or ask.headers.get("operid") == OPERATORS.get(match[1]):
            return None
        return biz_error("invalid operId")

    def answer(self, ask: Ask) -> Answer:
        """Answer one of the two paths, or 404."""
        match ask.method, _name(ask):
            case "GET", name if name == _LIST:
                return self._matches(ask)
            case "GET", name if name == _EVENT:
                return self.shelf.detail(ask, ask.query.get("eventId", "")) or biz_error("match not found")
        return not_found()

    def _matches(self, ask: Ask) -> Answer:
        """Answer the events after the cursor, or the first fifty. The last cursor of the list repeats.

        A stuck cursor repeats although more events follow.
        """
        limit, cursor = _limit(ask), ask.query.get("lastEventId", "")
        if limit is None:
            return biz_error("invalid limit")
        listed = self.shelf.listed() if ask.query.get("sportId") == "sr:sport:1" else ()
        start = self._after(cursor) if cursor else 0
        page = listed[start : start + (limit if cursor else min(limit, FIRST_EVENTS))]
        last = page[-1].external_id if page and not (cursor and ask.is_stuck) else cursor
        return Answer(
            lambda: orjson.dumps(envelope({"tournaments": _by_tournament(page), "lastEventId": last})),
            key=("list", tuple(event.external_id for event in page), last),
            version=tuple(event.version() for event in page),
        )

    def _after(self, cursor: str) -> int:
        """Return the position after the event of a cursor. Nothing follows an unknown one."""
        listed = self.shelf.listed()
        return next((n for n, event in enumerate(listed, 1) if event.external_id == cursor), len(listed))


def envelope(data: object, code: int = 10_000, message: str = "success") -> dict[str, object]:
    """Wrap data in MSport's envelope."""
    return {"bizCode": code, "innerMsg": None, "message": message, "data": data}


def biz_error(message: str) -> Answer:
    """Build an error, which has HTTP status 200."""
    return json_answer(envelope(None, 19_000, message))


def _name(ask: Ask) -> str | None:
    match = _PATH.fullmatch(ask.path)
    return match[2] if match and match[1] in OPERATORS else None


def _limit(ask: Ask) -> int | None:
    """Return how many events a page has at most, or None if the query's limit is not a number above 0."""
    text = ask.query.get("limit", "20")
    return min(int(text), MOST_EVENTS) if text.isdecimal() and int(text) else None


def _by_tournament(events: Sequence[ListedEvent]) -> Sequence[dict[str, object]]:
    tournaments: dict[str, dict[str, object]] = {}
    lists: dict[str, list[object]] = {}
    for event in events:
        competition = event.competition
        lists.setdefault(competition.id, []).append(event.write(None))
        tournaments[competition.id] = {
            "category": competition.country,
            "tournament": competition.name,
            "tournamentId": competition.id,
            "events": lists[competition.id],
        }
    return list(tournaments.values())
