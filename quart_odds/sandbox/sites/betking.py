"""A stand-in for BetKing's pre-match feed: the events of a day, and single events."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta, timezone

import orjson

from quart_odds.sandbox.sites.answers import Answer, Ask, ListedEvent, Shelf, not_found, refused
from quart_odds.sandbox.world import stand_ins

_DAY = re.compile(r"/api/feeds/prematch/GetEvents/en/(\d{4}-\d{2}-\d{2})/0/0/(\d+)")
_EVENT = re.compile(r"/api/feeds/prematch/event/en/1/(\d+)/0")
_FOOTBALL = "1"
ZONE = timezone(timedelta(hours=2))
"""The time zone of BetKing's dates, and of the days of its lists. It is the same throughout the year."""


class BetkingSite:
    """BetKing: lists of a day with their number of events. Its CDN refuses requests without a Referer and an Origin."""

    platform = stand_ins.BETKING

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def event_of(self, ask: Ask) -> str | None:
        """Return the ItemID in an event's path."""
        match = _EVENT.fullmatch(ask.path)
        return match[1] if match else None

    def page_of(self, ask: Ask) -> int | None:
        """Return 2 for the day of the first event, and 1 for other days."""
        day = _day_of(ask)
        if day is None:
            return None
        first = self.shelf.first_event
        return 2 if any(event.external_id == first for event in self._events(day)) else 1

    def refuse(self, ask: Ask) -> Answer | None:
        """Refuse requests without BetKing's Referer or without an Origin with the CDN's page."""
        is_referred = ask.headers.get("referer", "").startswith("https://www.betking.com/")
        return None if is_referred and ask.headers.get("origin") else refused()

    def answer(self, ask: Ask) -> Answer:
        """Answer one of the two paths, or 404."""
        day, event = _day_of(ask), self.event_of(ask)
        if ask.method != "GET" or (day is None and event is None):
            return not_found()
        if event is not None:
            return self.shelf.detail(ask, event) or Answer(lambda: orjson.dumps(feed(())))
        found = self._events(day) if day is not None else []
        return Answer(
            lambda: orjson.dumps(feed(_by_competition(found), len(found))),
            key=("day", str(day)),
            version=tuple(event.version() for event in found),
        )

    def _events(self, day: date) -> list[ListedEvent]:
        return [e for e in self.shelf.listed() if e.kickoff is not None and e.kickoff.astimezone(ZONE).date() == day]


def feed(areas: Sequence[Iterable[object]], total: int = 0) -> dict[str, object]:
    """Build the body of any answer: items in areas, and the number of events in them."""
    return {"AreaMatches": [{"Items": [*items]} for items in areas], "TotalNoOfItems": total}


def _day_of(ask: Ask) -> date | None:
    match = _DAY.fullmatch(ask.path)
    if match is None or match[2] != _FOOTBALL:
        return None
    try:
        return date.fromisoformat(match[1])
    except ValueError:
        return None


def _by_competition(events: Iterable[ListedEvent]) -> list[list[Mapping[str, object] | orjson.Fragment]]:
    areas: dict[str, list[Mapping[str, object] | orjson.Fragment]] = {}
    for event in events:
        areas.setdefault(event.competition.id, []).append(event.write(None))
    return list(areas.values())
