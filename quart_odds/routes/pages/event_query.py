"""The query string of the page of an event: which market's past it shows, and whose prices are backed with what."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, get_args
from urllib.parse import urlencode

from pydantic import Field, PlainValidator

from quart_odds.domain.catalogue import MAX_OUTCOMES, Market
from quart_odds.routes.access.problems import bad_request
from quart_odds.routes.api.markets import Line, Promotion, known_market
from quart_odds.routes.api.opportunities import Money
from quart_odds.routes.api.query import Slugs
from quart_odds.routes.pages.query import MARKETS, ColumnsQuery

Range = Literal["1h", "6h", "24h", "7d", "all"]
RANGES: tuple[Range, ...] = get_args(Range)
SPANS: Mapping[Range, timedelta | None] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "all": None,
}
"""How long before its end the past begins that is shown."""

DEFAULTS = {"show": "odds", "range": "all", "bank": "100", "rounding": "1"}
"""What links leave out."""


def _market(value: object) -> Market:
    market = known_market(str(value))
    if market is None:
        raise ValueError(f"there is no such market: {str(value)[:60]!r}")
    return market


class EventPageQuery(ColumnsQuery):
    """What the page of an event shows: the past of one market, and stakes on its prices. The default is 1X2.

    `outcome` is that of the chart, by default the first one. `at` has a bookmaker for each outcome, in their order: it
    is backed at that one's price, by default at the best.
    """

    market: Annotated[Market, PlainValidator(_market)] = MARKETS["1x2"]
    line: Line = None
    promotion: Promotion = None
    outcome: Annotated[str | None, Field(max_length=100)] = None
    show: Literal["odds", "margin"] = "odds"
    range: Range = "all"
    bank: Money = Decimal(DEFAULTS["bank"])
    rounding: Money = Decimal(DEFAULTS["rounding"])
    at: Slugs = Field(default=[], max_length=MAX_OUTCOMES)

    @property
    def outcome_index(self) -> int:
        """The index of the outcome. Raises a 400 if the market has none of this name."""
        names = [each.name for each in self.market.outcomes]
        if self.outcome is None:
            return 0
        if self.outcome not in names:
            raise bad_request("There is no such outcome.", ("outcome", f"{self.market.name} has {', '.join(names)}"))
        return names.index(self.outcome)

    def fields(self, choice: str) -> dict[str, str]:
        """Return the parameters of this page. `choice` are the bookmakers of its links."""
        return {
            "market": self.market.id,
            "line": "" if self.line is None else f"{self.line:g}",
            "promotion": self.promotion or "",
            "outcome": self.outcome or "",
            "show": self.show,
            "range": self.range,
            "bookmakers": choice,
            "bank": f"{self.bank:f}",
            "rounding": f"{self.rounding:f}",
            "at": ",".join(self.at),
        }

    def address(self, choice: str, **changes: str) -> str:
        """Return the query string of this page with some parameters changed, without those that have their default."""
        given = self.fields(choice) | changes
        return urlencode({name: text for name, text in given.items() if text and text != DEFAULTS.get(name)}, safe=",")
