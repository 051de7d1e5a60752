"""A stand-in for BetPawa's v4 API: categories, lists by query, and events."""

import re
from collections.abc import Iterable, Mapping

import orjson

from quart_odds.sandbox.sites.answers import Answer, Ask, ListedCompetition, ListedEvent, Shelf, json_answer, not_found
from quart_odds.sandbox.world import stand_ins

MOST_EVENTS = 100
"""The maximum `take` that the site allows."""
DEFAULT_MARKETS = frozenset({"3743", "4693", "3774"})
"""The markets of a list by default."""
_EVENT = re.compile(r"/api/sportsbook/v4/events/(\d+)")
_PROTOBUF = b"\x0a\x04\x08\x01\x10\x02"
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)


class BetpawaSite:
    """BetPawa: requires a brand, sends lists as protobuf unless JSON is requested, and answers v3 with 404."""

    platform = stand_ins.BETPAWA

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def event_of(self, ask: Ask) -> str | None:
        """Return the id at the end of an event's path."""
        match = _EVENT.fullmatch(ask.path)
        return match[1] if match else None

    def page_of(self, ask: Ask) -> int | None:
        """Return the page of a list by `skip` and `take`, also if pages overlap. None for the tree."""
        if not ask.path.endswith("/by-queries"):
            return None
        try:
            return max(_Query(query).number for query in orjson.loads(ask.query.get("q", ""))["queries"])
        except _MALFORMED:
            return None

    def refuse(self, ask: Ask) -> Answer | None:
        """Answer 400 without `x-pawa-brand`, and a list as protobuf unless JSON is explicitly requested."""
        if not ask.headers.get("x-pawa-brand"):
            return _bad("Header x-pawa-brand is missing")
        if ask.method != "GET":
            return json_answer({"serverMessage": "Method not allowed"}, 405)
        if ask.path.endswith("/by-queries") and "application/json" not in ask.headers.get("accept", ""):
            return Answer(lambda: _PROTOBUF, content_type="application/x-protobuf")
        return None

    def answer(self, ask: Ask) -> Answer:
        """Answer one of the three paths, or 404."""
        event_id = self.event_of(ask)
        if event_id is not None:
            return self.shelf.detail(ask, event_id) or not_found()
        match ask.path.removeprefix("/api/sportsbook/v4/"):
            case "categories/list/2":
                return self._categories()
            case "events/lists/by-queries":
                return self._by_queries(ask)
        return not_found()

    def _categories(self) -> Answer:
        competitions: dict[str, tuple[ListedCompetition, int]] = {}
        for event in self.shelf.listed():
            competition, count = competitions.get(event.competition.id, (event.competition, 0))
            competitions[event.competition.id] = competition, count + 1
        regions: dict[str, dict[str, object]] = {}
        of_region: dict[str, list[dict[str, object]]] = {}
        for competition, count in competitions.values():
            region = {"id": competition.country_id, "name": competition.country}
            listed = of_region.setdefault(competition.country_id, [])
            listed.append(
                {
                    "competition": {"id": competition.id, "name": competition.name},
                    "eventCounts": {"upcoming": str(count)},
                }
            )
            regions[competition.country_id] = {"region": region, "competitions": listed}
        category = {"id": "2", "name": "Football"}
        return json_answer({"withRegions": [{"category": category, "regions": list(regions.values())}]})

    def _by_queries(self, ask: Ask) -> Answer:
        try:
            queries = orjson.loads(ask.query.get("q", ""))["queries"]
            wanted = [_Query(query, ask.shift) for query in queries]
        except _MALFORMED:
            return _bad("The query is malformed")
        if any(query.take > MOST_EVENTS for query in wanted):
            return _bad(f"The maximum number of events is {MOST_EVENTS}")
        pages = [(query, query.page(self.shelf.listed())) for query in wanted]

        def write() -> bytes:
            lists = [{"responses": [event.write(query.markets) for event in page]} for query, page in pages]
            return orjson.dumps({"responses": lists})

        versions = tuple(event.version() for _, page in pages for event in page)
        return Answer(write, key=(ask.query["q"], ask.shift), version=versions)


class _Query:
    """One of the queries in `q`. Raises KeyError, TypeError or ValueError if it is malformed."""

    def __init__(self, query: Mapping[str, Mapping[str, object]], shift: int = 0) -> None:
        what = query["query"]
        zones = what.get("zones") or {}
        categories = what.get("categories") or ["2"]
        if not isinstance(zones, dict) or not isinstance(categories, list):
            raise TypeError("zones is not an object, or categories is not a list")
        competitions = zones.get("competitions")
        self.competitions = frozenset(map(str, competitions)) if competitions else None
        self.is_upcoming = what.get("eventType") == "UPCOMING" and "2" in categories
        view = query.get("view") or {}
        types = view.get("marketTypes")
        self.markets = frozenset(map(str, types)) if isinstance(types, list) else DEFAULT_MARKETS
        self.skip = int(str(query.get("skip", 0)))
        self.take = int(str(query.get("take", 20)))
        self._shift = shift if self.skip else 0

    @property
    def number(self) -> int:
        """The number of the page, from 1."""
        return 1 + (-(-self.skip // self.take) if self.take > 0 else 0)

    def page(self, events: Iterable[ListedEvent]) -> list[ListedEvent]:
        """Return the matching events from `skip` on, at most `take`."""
        if not self.is_upcoming:
            return []
        found = [e for e in events if self.competitions is None or e.competition.id in self.competitions]
        start = self.skip + self._shift
        return found[start : start + self.take]


def _bad(message: str) -> Answer:
    return json_answer({"serverMessage": message}, 400)
