"""Models of the query strings of the pages."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from quart_odds.domain.catalogue import CATALOGUE, Market, line_code
from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.query import BookmakersQuery, EventsChoice, PageQuery, Slugs, Sort
from quart_odds.routes.api.schemas.scrape import ModeQuery
from quart_odds.routes.pages.order import FigureSort

MOST_IDS = 100
"""The most rows that a script may request at once."""

_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}\Z")

MarketName = Literal["1x2", "ou", "btts", "dc", "dnb", "ah", "1x2_1h", "1x2_2h", "ou_1h"]

MARKETS: dict[MarketName, Market] = {
    "1x2": CATALOGUE.by_slug["1x2_ft"],
    "ou": CATALOGUE.by_slug["over_under_ft"],
    "btts": CATALOGUE.by_slug["btts_ft"],
    "dc": CATALOGUE.by_slug["double_chance_ft"],
    "dnb": CATALOGUE.by_slug["draw_no_bet_ft"],
    "ah": CATALOGUE.by_slug["asian_handicap_ft"],
    "1x2_1h": CATALOGUE.by_slug["1x2_1h"],
    "1x2_2h": CATALOGUE.by_slug["1x2_2h"],
    "ou_1h": CATALOGUE.by_slug["over_under_1h"],
}
MARKET_WORDS: dict[MarketName, str] = {
    "1x2": "1X2",
    "ou": "Over/Under",
    "btts": "Both score",
    "dc": "Double chance",
    "dnb": "Draw no bet",
    "ah": "Handicap",
    "1x2_1h": "1st half 1X2",
    "1x2_2h": "2nd half 1X2",
    "ou_1h": "1st half goals",
}
"""What the pages call the markets of the grid."""

FIRST_LINES: dict[MarketName, float] = {"ou": 2.5, "ah": -0.5, "ou_1h": 1.5}
"""The line that is shown if none is chosen, of each market that has lines."""


def _quarter(value: object) -> object:
    if value == "":
        return None
    line_code(float(str(value)))
    return value


@dataclass(frozen=True, slots=True)
class Columns:
    """The bookmakers that a page shows, and those that it shows if none are chosen, each in their order."""

    shown: tuple[Platform, ...]
    used: tuple[Platform, ...]

    @property
    def choice(self) -> str:
        """The choice as links have it, empty if there is none."""
        return "" if self.shown == self.used else ",".join(self.shown)

    @property
    def places(self) -> list[tuple[Platform, bool]]:
        """Every bookmaker to choose from and whether it is shown: those that are, and then the others."""
        others = [each for each in self.used if each not in self.shown]
        return [(each, True) for each in self.shown] + [(each, False) for each in others]

    def moved(self, platform: Platform | None, step: int) -> "Columns":
        """Return the same with a bookmaker `step` places later, at most at an end. One that is not shown stays so."""
        if platform not in self.shown:
            return self
        others = [each for each in self.shown if each != platform]
        place = min(max(self.shown.index(platform) + step, 0), len(others))
        return replace(self, shown=(*others[:place], platform, *others[place:]))


class ColumnsQuery(BookmakersQuery):
    """Which bookmakers a page shows, and in which order."""

    def arranged(self, used: tuple[Platform, ...]) -> Columns:
        """Return the columns: of the bookmakers that were chosen, or else of those that are used."""
        return Columns(tuple(self.bookmakers) or used, used)


PageSort = Literal[Sort, FigureSort]
Date = Literal["all", "today", "tomorrow", "weekend"]


def _zone(value: object) -> object:
    name = str(value)
    if not name:
        return None
    try:
        return ZoneInfo(name) if _ZONE.match(name) else ZoneInfo("")
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("give a time zone such as Africa/Lagos") from None


Zone = Annotated[
    ZoneInfo | None,
    PlainValidator(_zone),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 64}, {"type": "null"}]}),
]


class OddsPageQuery(EventsChoice, PageQuery, ColumnsQuery):
    """Which events the odds page shows, in which order, and with which market.

    Unlike in the API, events that no bookmaker lists any more are left out unless `gone` is asked for, and a country
    stands for all its competitions, beside those of `tournament_ids`. `date` counts days in the zone `tz`, in UTC
    without one. `earlier` and `later` are the buttons that move a bookmaker by one place. They are of the form without
    script, so the same address always shows the same.
    """

    gone: bool = False
    date: Date = "all"
    tz: Zone = None
    sort: PageSort = "kickoff"
    market: MarketName = "1x2"
    line: Annotated[float | None, BeforeValidator(_quarter)] = None
    earlier: Platform | None = None
    later: Platform | None = None

    def arranged(self, used: tuple[Platform, ...]) -> Columns:
        """Return the columns, with the bookmaker moved whose button was pressed."""
        return super().arranged(used).moved(self.earlier, -1).moved(self.later, 1)

    @property
    def shown_line(self) -> float | None:
        """The line of the shown market: the chosen one, or else the usual one; None for a market without lines."""
        if not MARKETS[self.market].has_line:
            return None
        return FIRST_LINES[self.market] if self.line is None else self.line


class RunsPageQuery(PageQuery, ModeQuery):
    """Which runs the page of runs shows."""


def _ids(value: object) -> object:
    parts = str(value).split(",")
    if len(parts) > MOST_IDS or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        raise ValueError(f"give up to {MOST_IDS} numbers, comma-separated")
    return [int(part) for part in parts]


class RowsQuery(OddsPageQuery):
    """Which rows of the odds page: those of the comma-separated `ids`, or a page of the query.

    `columns` are those of the page, if no bookmakers are chosen: others may be used by now.
    """

    ids: Annotated[tuple[int, ...] | None, BeforeValidator(_ids)] = None
    columns: Slugs = Field(default=[])

    def arranged(self, used: tuple[Platform, ...]) -> Columns:
        """Return the columns of the page."""
        return super().arranged(tuple(dict.fromkeys(self.columns)) or used)
