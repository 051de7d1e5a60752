"""What the HTTP API returns, typed: docs/api.md of Quart Odds. Further fields are kept in `model_extra`."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, model_validator

from quart_odds_client.frames import (
    HISTORY_ROW,
    HISTORY_TIMES,
    OPPORTUNITY_ROW,
    OPPORTUNITY_TIMES,
    frame_of,
    history_rows,
    opportunity_rows,
)
from quart_odds_client.shapes import BookmakerMarkets, EventFields, ListedBookmaker, MarketEntry, Outcome, Shape

if TYPE_CHECKING:
    import pandas as pd


class InlineMarket(Shape):
    """One of the markets that lists of events show."""

    market_id: str
    market_name: str = ""
    line: float | None = None
    promotion: str | None = None
    outcomes: tuple[Outcome, ...]
    margin: float | None = None
    available: bool = True
    unavailable_since: AwareDatetime | None = None
    last_seen_at: AwareDatetime | None = None
    source_changed_at: AwareDatetime | None = None


class InlineBookmaker(ListedBookmaker):
    """A bookmaker's entry for an event, with the markets that lists show."""

    inline_odds: tuple[InlineMarket, ...] = ()


class ListedEvent(EventFields):
    """A match as lists show it."""

    bookmakers: tuple[InlineBookmaker, ...]


class BestOutcome(Shape):
    """The best price of an outcome, the bookmakers that offer it, and what it is worth; None where that is unknown."""

    name: str
    odds: float
    bookmakers: tuple[str, ...]
    promotion: str | None = None
    fair_odds: float | None = None
    fair_source: str | None = None
    value_percent: float | None = None
    margins: Mapping[str, float] = {}


class BestPrices(Shape):
    """A market with the best price of each outcome, and the margin of these prices together."""

    betpawa_market_id: str
    betpawa_market_name: str = ""
    line: float | None = None
    margin: float
    outcomes: tuple[BestOutcome, ...]


class DetailMarket(MarketEntry):
    """A market and line at one bookmaker. `margin` is None unless it is complete: the API has 0.0 there."""

    margin_complete: bool = True

    @model_validator(mode="before")
    @classmethod
    def _without_placeholder(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("margin_complete") is False:
            return given | {"margin": None}
        return given


class DetailBookmaker(BookmakerMarkets):
    """Every market of an event at one bookmaker."""

    markets: tuple[DetailMarket, ...]


class EventDetail(ListedEvent):
    """A match with all markets side by side."""

    markets_by_bookmaker: tuple[DetailBookmaker, ...]
    best_prices: tuple[BestPrices, ...] = ()


class HistoryPoint(Shape):
    """The state of a market from `captured_at` on. `confirmed`: nothing changed then, and it was seen again.

    `opening`: nothing changed either, because all that came then were first prices.
    """

    captured_at: AwareDatetime
    outcomes: tuple[Outcome, ...]
    margin: float | None = None
    available: bool
    unavailable_at: AwareDatetime | None = None
    confirmed: bool = False
    opening: bool = False


class BookmakerHistory(Shape):
    """The history of a market at one bookmaker."""

    bookmaker_slug: str
    bookmaker_name: str = ""
    history: tuple[HistoryPoint, ...]


class EventHistory(Shape):
    """The history of a market at each bookmaker."""

    event_id: int
    market_id: str
    market_name: str = ""
    line: float | None = None
    promotion: str | None = None
    bookmakers: tuple[BookmakerHistory, ...]

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a row for each change of a price. Raises MissingPandasError."""
        return frame_of(history_rows(self), HISTORY_ROW, HISTORY_TIMES)


class OpportunityOutcome(Shape):
    """The price of one outcome to back."""

    name: str
    line: float | None = None
    odds: float
    promotion: str | None = None
    bookmaker_slug: str
    bookmaker_name: str = ""
    changed_at: AwareDatetime | None = None
    last_seen_at: AwareDatetime | None = None
    age_seconds: float | None = None


class OpportunityStakes(Shape):
    """A bank, shared in the order of the outcomes."""

    rounding: float
    stakes: tuple[float, ...]
    total: float
    worst_profit: float
    best_profit: float
    is_profitable: bool


class Opportunity(EventFields):
    """Prices that are worth more than they cost. `id` is the event's. Margins are in percent of the stake."""

    kind: str
    market_id: str
    market_name: str = ""
    line: float | None = None
    margin: float
    best_case: float | None = None
    reasons: tuple[str, ...] = ()
    fair_odds: float | None = None
    fair_source: str | None = None
    kelly_fraction: float | None = None
    first_seen_at: AwareDatetime | None = None
    lifetime_seconds: float | None = None
    best_margin: float | None = None
    oldest_age_seconds: float | None = None
    outcomes: tuple[OpportunityOutcome, ...]
    stakes: OpportunityStakes | None = None


class Opportunities(list[Opportunity]):
    """Opportunities, those worth most first. `left_out_count` worse ones of the same events are not listed."""

    def __init__(self, found: Iterable[Opportunity] = (), left_out_count: int = 0) -> None:
        super().__init__(found)
        self.left_out_count = left_out_count

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a row for each price to back. Raises MissingPandasError."""
        return frame_of(opportunity_rows(self), OPPORTUNITY_ROW, OPPORTUNITY_TIMES)


class Timing(Shape):
    """How long a run took at one bookmaker, and for how many events."""

    duration_ms: int | None = None
    events_count: int


class Run(Shape):
    """A run. `status` is `running`, `completed`, `partial`, `failed`, `cancelled` or `interrupted`."""

    id: int
    status: str
    started_at: AwareDatetime
    completed_at: AwareDatetime | None = None
    duration_ms: int | None = None
    events_scraped: int
    events_failed: int
    trigger: str
    platform_timings: Mapping[str, Timing] | None = None
    mode: str = "full"


class StartedRun(Shape):
    """A run that has been started. `links` has the paths of what belongs to it."""

    scrape_run_id: int
    status: str
    links: Mapping[str, str] = {}
