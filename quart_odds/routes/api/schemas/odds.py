"""Response models of the odds API, for documentation. Bodies are built as bytes; tests validate them with these."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from quart_odds.domain.platforms import Platform

Margin = Annotated[float | None, Field(description="percent; null unless every outcome is active")]
Since = Annotated[AwareDatetime | None, Field(description="since when it is unavailable; null while it is available")]
Promotion = Annotated[
    str | None,
    Field(description="one_up, two_up, boosted or the bookmaker's own word; null for a plain price"),
]
OfferPromotion = Annotated[
    str | None,
    Field(
        description="null for the market's own prices; set for a further entry with promoted prices, which follows it"
    ),
]
Asked = Annotated[str | None, Field(description="the promotion in the query; null for the market's own prices")]
Reversed = Annotated[
    bool, Field(description="the bookmaker names home and away the other way round; prices follow its own order")
]
Seen = Annotated[
    AwareDatetime,
    Field(description="when the bookmaker was last asked for this market and line, in a list or for the whole event"),
]
SourceChanged = Annotated[
    AwareDatetime | None,
    Field(description="when the bookmaker changed this market and line, as it says itself; null if it does not"),
]
SnapshotTime = Annotated[
    AwareDatetime,
    Field(
        description="when the event itself was last fetched, with all its markets, or first listed if only lists have "
        "had it; lists may have had some markets since"
    ),
]
EventURL = Annotated[
    str | None,
    Field(description="the event's page at the bookmaker's own site; null where it cannot be known from the id"),
]
Late = Annotated[bool, Field(description="the prices were fetched after the kick-off")]


class Shape(BaseModel):
    """A model that forbids other fields."""

    # Built when first used: most are only documentation, and building them all takes a tenth of the start.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class InlineOutcome(Shape):
    """An outcome as lists show it."""

    name: str
    odds: float
    is_active: bool
    promotion: Promotion


class InlineMarket(Shape):
    """One of the four markets that lists show: 1X2, over/under 2.5, both teams to score, double chance."""

    market_id: str
    market_name: str
    line: float | None
    promotion: OfferPromotion
    outcomes: list[InlineOutcome]
    margin: Margin
    available: bool
    unavailable_since: Since
    last_seen_at: Seen
    source_changed_at: SourceChanged


class ListedBookmaker(Shape):
    """A bookmaker's entry for an event, without prices."""

    bookmaker_slug: Platform
    bookmaker_name: str
    external_event_id: str
    event_url: EventURL
    has_odds: bool
    snapshot_time: SnapshotTime
    available: bool
    unavailable_since: Since
    reversed: Reversed
    late: Late


class EventBookmaker(ListedBookmaker):
    """A bookmaker's entry for an event."""

    inline_odds: list[InlineMarket]


class EventFields(Shape):
    """A match."""

    id: int
    sportradar_id: Annotated[str | None, Field(description="null for an event that is not matched")]
    name: str
    home_team: str
    away_team: str
    kickoff: AwareDatetime
    tournament_id: int
    tournament_name: str
    tournament_country: str
    sport_name: str
    created_at: AwareDatetime
    changed_at: AwareDatetime


class EventItem(EventFields):
    """A match as lists show it, with each bookmaker that lists it."""

    bookmakers: list[EventBookmaker]


class EventsPage(Shape):
    """A page of events. The header Odds-Cursor can be sent as `changed_since` later."""

    events: list[EventItem]
    total: int
    page: int
    page_size: int


class DetailOutcome(InlineOutcome):
    """An outcome with the age of its price."""

    available: bool
    probability: Annotated[float | None, Field(description="that it wins, as the bookmaker says; null if it does not")]
    refund_probability: Annotated[float | None, Field(description="that the stake is refunded, as the feed says")]
    changed_at: AwareDatetime
    last_seen_at: AwareDatetime


class DetailMarket(Shape):
    """A market and line at one bookmaker. Ids and names are BetPawa's if it has the market."""

    betpawa_market_id: str
    betpawa_market_name: str
    line: Annotated[float | None, Field(description="the total, or the handicap of the home side")]
    promotion: OfferPromotion
    outcomes: list[DetailOutcome]
    margin: Annotated[float, Field(description="percent; 0.0, which is no margin, unless `margin_complete`")]
    margin_complete: Annotated[bool, Field(description="whether every outcome is active, so that there is a margin")]
    market_groups: list[str]
    available: bool
    unavailable_since: Since
    last_seen_at: Seen
    source_changed_at: SourceChanged


class BookmakerMarkets(Shape):
    """Every market of an event at one bookmaker."""

    bookmaker_slug: Platform
    bookmaker_name: str
    event_url: EventURL
    snapshot_time: SnapshotTime
    available: bool
    unavailable_since: Since
    reversed: Reversed
    late: Late
    markets: list[DetailMarket]


class BestOutcome(Shape):
    """The best price of an outcome, and the bookmakers that offer it."""

    name: str
    odds: float
    bookmakers: list[Platform]
    promotion: Annotated[str | None, Field(description="the perk on it; null if one of them offers it without")]
    fair_odds: Annotated[float | None, Field(description="what it should be; null if no fresh full set tells")]
    fair_source: Annotated[
        str | None, Field(description="the bookmaker whose feed says so, or no_vig:power:<bookmaker>")
    ]
    value_percent: Annotated[float | None, Field(description="the expected gain at these odds, in percent")]
    margins: Annotated[
        dict[Platform, float],
        Field(description="what each bookmaker keeps of a stake on the outcome, in percent; empty if nothing is known"),
    ]


class BestPrices(Shape):
    """A market with the best price of each outcome across the bookmakers, and the margin of these prices together."""

    betpawa_market_id: str
    betpawa_market_name: str
    line: float | None
    margin: float
    outcomes: list[BestOutcome]


class EventDetail(EventItem):
    """A match with all markets side by side."""

    markets_by_bookmaker: list[BookmakerMarkets]
    best_prices: list[BestPrices]


class HistoryOutcome(InlineOutcome):
    """An outcome at one point of the history."""

    available: bool


class HistoryPoint(Shape):
    """A market's prices from `captured_at` on.

    `confirmed` marks the last point: seen unchanged at that time. `opening` marks first prices, which are no change.
    """

    captured_at: AwareDatetime
    outcomes: list[HistoryOutcome]
    margin: Margin
    available: bool
    unavailable_at: Since
    confirmed: bool
    opening: bool


class MarginPoint(Shape):
    """A market's margin from `captured_at` on."""

    captured_at: AwareDatetime
    margin: Margin
    available: bool
    unavailable_at: Since
    confirmed: bool
    opening: bool


class BookmakerHistory(Shape):
    """A market's history at one bookmaker."""

    bookmaker_slug: Platform
    bookmaker_name: str
    history: list[HistoryPoint]


class EventHistory(Shape):
    """A market's history at each bookmaker."""

    event_id: int
    market_id: str
    market_name: str
    line: float | None
    promotion: Asked
    bookmakers: list[BookmakerHistory]


class MarketHistory(BookmakerHistory):
    """A market's history at one bookmaker, with the market's name."""

    event_id: int
    market_id: str
    market_name: str
    line: float | None
    promotion: Asked


class MarginHistory(Shape):
    """A market's margin over time at one bookmaker."""

    event_id: int
    bookmaker_slug: Platform
    bookmaker_name: str
    market_id: str
    market_name: str
    line: float | None
    promotion: Asked
    history: list[MarginPoint]


class FieldError(Shape):
    """An invalid field, and what is wrong with it."""

    field: str
    message: str


class ProblemBody(Shape):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: Annotated[str, Field(description="the path of the request")]
    errors: list[FieldError] = Field(default=[], description="each bad field, of a request that is not valid")
    scrape_run_id: Annotated[int | None, Field(description="the active run, if that is why")] = None
    scope: Annotated[str | None, Field(description="the scope that is needed, if that is why")] = None
    process: Annotated[dict[str, str | int | None] | None, Field(description="which to ask, if that is why")] = None
