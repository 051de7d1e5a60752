"""Filters of the topic `odds`: which events, markets and bookmakers a listener wants, and how they are written."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from quart_odds.broadcast.content import Content, Subject
from quart_odds.domain.catalogue import CATALOGUE, MAIN_NUMBERS
from quart_odds.domain.platforms import Platform
from quart_odds.websocket.odds_contents import OddsContent
from quart_odds.websocket.odds_marks import mark_concerns
from quart_odds.websocket.odds_view import OddsView

MAIN = "main"
ALL = "all"

MOST_EVENTS = 500
"""Maximum number of events in a filter."""

MOST_EVENTS_WITH_ALL = 100
"""The same with all markets of each, which are about 100 KB an event."""

MOST_TOURNAMENTS = 50
MOST_MARKETS = 20

FILTER_FIELDS = ("event_id", "tournament_id", "market", "platform", "min_move", "image")


class FilterError(ValueError):
    """A filter that is not possible. `field` is the parameter, the message says what is allowed."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OddsFilter:
    """What a listener wants of the topic `odds`. Equal filters share what is written.

    Without any event and tournament it selects all events. `market` is MAIN, ALL or the canonical ids of markets.
    """

    event_ids: frozenset[int]
    tournament_ids: frozenset[int]
    market: str | tuple[str, ...]
    view: OddsView
    has_image: bool
    subjects: frozenset[Subject] | None

    def passes(self, content: Content) -> bool:
        """Return whether a message about one of the subjects is for this listener."""
        assert isinstance(content, OddsContent)
        return content.concerns(self.view)

    def passes_mark(self, mark: int) -> bool | None:
        """Return the same for a message of which only the mark is left; None if that does not tell."""
        return mark_concerns(mark, self.view)

    def selects(self, event_id: int, tournament_ids: Collection[int]) -> bool:
        """Return whether the filter selects an event, which is in these tournaments."""
        return self.subjects is None or event_id in self.event_ids or not self.tournament_ids.isdisjoint(tournament_ids)

    def as_json(self) -> dict[str, Any]:
        """Return the filter as messages show it."""
        return {
            "event_id": sorted(self.event_ids),
            "tournament_id": sorted(self.tournament_ids),
            "market": self.market if isinstance(self.market, str) else list(self.market),
            "platform": [each.value for each in Platform if self.view.platforms is None or each in self.view.platforms],
            "min_move": self.view.min_move,
            "image": self.has_image,
        }


def make_filter(
    event_ids: Collection[int] = (),
    tournament_ids: Collection[int] = (),
    market: str | Collection[str] = MAIN,
    platforms: Collection[Platform] = (),
    min_move: float = 0.0,
    image: bool | None = None,
) -> OddsFilter:
    """Return a filter. Unless `image` says otherwise, listeners to certain events begin with an image.

    Raises FilterError if there are too many events, tournaments or markets, a market is not in the catalogue, or
    `min_move` is not a percentage from 0 to 1000.
    """
    if len(event_ids) > MOST_EVENTS:
        raise FilterError("event_id", f"name at most {MOST_EVENTS} events, not {len(event_ids)}")
    if len(tournament_ids) > MOST_TOURNAMENTS:
        raise FilterError("tournament_id", f"name at most {MOST_TOURNAMENTS} tournaments, not {len(tournament_ids)}")
    if not (math.isfinite(min_move) and 0 <= min_move <= 1000):
        raise FilterError("min_move", "give a percentage from 0 to 1000")
    if market == ALL and (tournament_ids or not 0 < len(event_ids) <= MOST_EVENTS_WITH_ALL):
        raise FilterError("market", f"all needs 1 to {MOST_EVENTS_WITH_ALL} events by event_id, and no tournament_id")
    names = market if isinstance(market, str) else tuple(sorted(set(market)))
    has_subjects = bool(event_ids or tournament_ids)
    has_image = has_subjects if image is None else image
    subjects = frozenset([*(("event", each) for each in event_ids), *(("tournament", each) for each in tournament_ids)])
    view = OddsView(
        markets=_numbers(names),
        platforms=frozenset(platforms) if platforms and len(set(platforms)) < len(Platform) else None,
        min_move=float(min_move),
        has_images=has_image,
    )
    return OddsFilter(
        frozenset(event_ids), frozenset(tournament_ids), names, view, has_image, subjects if has_subjects else None
    )


def filter_of_query(query: Mapping[str, str]) -> OddsFilter:
    """Read a filter from the parameters of a query string. Raises FilterError."""
    return make_filter(
        [_id(text, "event_id") for text in _split(query.get("event_id"))],
        [_id(text, "tournament_id") for text in _split(query.get("tournament_id"))],
        _market(_split(query.get("market"))),
        [_platform(text) for text in _split(query.get("platform"))],
        _number(query.get("min_move") or "0"),
        _switch(query.get("image") or ""),
    )


def filter_of_json(said: object) -> OddsFilter:
    """Read the `filter` of a `subscribe` message. Raises FilterError."""
    if not isinstance(said, dict):
        raise FilterError("filter", 'give an object such as {"event_id": [1, 2]}')
    if unknown := [str(each)[:40] for each in said if each not in FILTER_FIELDS]:
        raise FilterError("filter", f"there is no {unknown[0]!r}; there are {', '.join(FILTER_FIELDS)}")
    market = said.get("market", MAIN)
    min_move = said.get("min_move", 0)
    image = said.get("image")
    if isinstance(min_move, bool) or not isinstance(min_move, int | float):
        raise FilterError("min_move", "give a percentage from 0 to 1000")
    if image is not None and not isinstance(image, bool):
        raise FilterError("image", "give true or false")
    return make_filter(
        [_id(each, "event_id") for each in _list(said, "event_id")],
        [_id(each, "tournament_id") for each in _list(said, "tournament_id")],
        _market([market] if isinstance(market, str) else [_text(each, "market") for each in _list(said, "market")]),
        [_platform(_text(each, "platform")) for each in _list(said, "platform")],
        min_move,
        image,
    )


def _numbers(market: str | Collection[str]) -> frozenset[int] | None:
    if market == ALL:
        return None
    if isinstance(market, str):
        return MAIN_NUMBERS
    if len(market) > MOST_MARKETS:
        raise FilterError("market", f"name at most {MOST_MARKETS} markets, not {len(market)}")
    for each in market:
        if each not in CATALOGUE.by_id:
            raise FilterError(
                "market", f"there is no market {each[:40]!r}; /api/markets lists them, or give main or all"
            )
    return frozenset(CATALOGUE.by_id[each].number for each in market)


def _market(names: list[str]) -> str | list[str]:
    if not names:
        return MAIN
    if MAIN in names or ALL in names:
        if len(names) > 1:
            raise FilterError("market", "give main, all, or ids of markets")
        return names[0]
    return names


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _list(said: Mapping[str, object], field: str) -> list[object]:
    value = said.get(field, [])
    if not isinstance(value, list):
        raise FilterError(field, "give a list")
    return value


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise FilterError(field, "give a list of names")
    return value


def _id(value: object, field: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise FilterError(field, f"give ids such as 12, not {text[:40]!r}")
    return int(text)


def _platform(text: str) -> Platform:
    try:
        return Platform(text)
    except ValueError:
        names = ", ".join(each.value for each in Platform)
        raise FilterError("platform", f"there is no bookmaker {text[:40]!r}; there are {names}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FilterError("min_move", "give a percentage from 0 to 1000") from None


def _switch(text: str) -> bool | None:
    if text not in ("", "0", "1"):
        raise FilterError("image", "give 1 or 0")
    return None if text == "" else text == "1"
