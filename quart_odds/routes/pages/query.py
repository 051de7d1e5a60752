"""Models of the query strings of the pages."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainValidator

from quart_odds.domain.catalogue import CATALOGUE, Market, line_code
from quart_odds.routes.api.markets import Line, Promotion, known_market
from quart_odds.routes.api.query import EventsQuery, PageQuery
from quart_odds.routes.api.requests import Query
from quart_odds.routes.api.schemas.scrape import ModeQuery

MOST_IDS = 100
"""The most rows that a script may request at once."""

MarketName = Literal["1x2", "ou", "btts", "dc"]

MARKETS: dict[MarketName, Market] = {
    "1x2": CATALOGUE.by_slug["1x2_ft"],
    "ou": CATALOGUE.by_slug["over_under_ft"],
    "btts": CATALOGUE.by_slug["btts_ft"],
    "dc": CATALOGUE.by_slug["double_chance_ft"],
}
LINES = (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)


def _quarter(value: object) -> object:
    line_code(float(str(value)))
    return value


class OddsPageQuery(EventsQuery):
    """Which events the odds page shows, and with which market."""

    market: MarketName = "1x2"
    line: Annotated[float, BeforeValidator(_quarter)] = 2.5

    @property
    def shown_line(self) -> float | None:
        """The line of the shown market, None for a market without lines."""
        return self.line if MARKETS[self.market].has_line else None


class RunsPageQuery(PageQuery, ModeQuery):
    """Which runs the page of runs shows."""


def _ids(value: object) -> object:
    parts = str(value).split(",")
    if len(parts) > MOST_IDS or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        raise ValueError(f"give up to {MOST_IDS} numbers, comma-separated")
    return [int(part) for part in parts]


class RowsQuery(OddsPageQuery):
    """Which rows of the odds page: those of the comma-separated `ids`, or a page of the query."""

    ids: Annotated[tuple[int, ...] | None, BeforeValidator(_ids)] = None


def _market(value: object) -> Market:
    market = known_market(str(value))
    if market is None:
        raise ValueError(f"there is no such market: {str(value)[:60]!r}")
    return market


class HistoryQuery(Query):
    """Which market's history the page of an event shows. The default is 1X2."""

    market: Annotated[Market, PlainValidator(_market)] = MARKETS["1x2"]
    line: Line = None
    promotion: Promotion = None
