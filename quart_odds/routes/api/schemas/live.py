"""The messages of the topics `odds` and `opportunities`, as /asyncapi.json describes them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from quart_odds.domain.opportunities import Kind
from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.odds import (
    EventFields,
    EventURL,
    InlineOutcome,
    Late,
    ListedBookmaker,
    Margin,
    OfferPromotion,
    Reversed,
    Seen,
    Shape,
    Since,
    SnapshotTime,
    SourceChanged,
)
from quart_odds.routes.api.schemas.opportunities import Opportunity


class ImageOutcome(InlineOutcome):
    """An outcome with the age of its price. It has no probabilities: no `odds_change` would renew them."""

    available: bool
    changed_at: AwareDatetime
    last_seen_at: AwareDatetime


class ImageMarket(Shape):
    """A market and line at one bookmaker. Ids and names are as in the API."""

    betpawa_market_id: str
    betpawa_market_name: str
    line: Annotated[float | None, Field(description="the total, or the handicap of the home side")]
    promotion: OfferPromotion
    outcomes: list[ImageOutcome]
    margin: Margin
    market_groups: list[str]
    available: bool
    unavailable_since: Since
    last_seen_at: Seen
    source_changed_at: SourceChanged


class ImageBookmaker(Shape):
    """The markets of an event at one bookmaker, as far as the filter selects them."""

    bookmaker_slug: Platform
    bookmaker_name: str
    event_url: EventURL
    snapshot_time: SnapshotTime
    available: bool
    unavailable_since: Since
    reversed: Reversed
    late: Late
    markets: list[ImageMarket]


class ImageEvent(EventFields):
    """An event as `/api/events/{id}` returns it, restricted to a filter, and without what repeats prices."""

    bookmakers: list[ListedBookmaker]
    markets_by_bookmaker: list[ImageBookmaker]


class OddsImage(Shape):
    """A page of the state that a filter selects."""

    events: list[ImageEvent]
    final: Annotated[bool, Field(description="true on the last page")]
    scope: Annotated[
        Literal["all", "changed"],
        Field(description="all: everything that the filter selects; changed: what may have changed since"),
    ]
    removed: Annotated[list[int], Field(description="ids of events that are no longer there; on the last page")]


class PriceChange(Shape):
    """A price that moved, appeared or disappeared."""

    market_id: str
    line: float | None
    outcome: str
    odds: float
    previous: Annotated[float | None, Field(description="the odds before; null if the price was not there")]
    is_active: bool
    available: bool
    promotion: Annotated[str | None, Field(description="the promotion of the outcome's price")]
    market_promotion: Annotated[str | None, Field(description="the promotion of the market entry it belongs to")]


class OddsChange(Shape):
    """What one fetch changed in an event at one bookmaker."""

    event_id: int
    sportradar_id: str | None
    source: Platform
    seen_at: AwareDatetime
    source_changed_at: AwareDatetime | None
    changes: Annotated[list[PriceChange], Field(min_length=1)]


class EventChange(Shape):
    """What changed of an event itself."""

    event_id: int
    sportradar_id: str | None
    change: Literal["new", "kickoff", "gone", "back", "changed", "removed"]
    source: Platform | None
    event: Annotated[EventFields | None, Field(description="null if the event was removed")]
    bookmakers: list[ListedBookmaker]


class AlertMessage(BaseModel):
    """An alert that fired. Its other fields depend on the kind: they are those of `data` in `/api/alerts`."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    id: int
    title: str
    text: str
    rule_id: int
    rule: str
    kind: str


class AppliedFilter(Shape):
    """The filter of a connection."""

    event_id: list[int]
    tournament_id: list[int]
    market: Annotated[Literal["main", "all"] | list[str], Field(description="main, all, or ids of markets")]
    platform: list[Platform]
    min_move: Annotated[float, Field(ge=0, le=1000, description="percent")]
    image: bool


class OpportunityPlace(Shape):
    """An outcome that an opportunity backs, and its line."""

    name: str
    line: float | None


class OpportunityChange(Shape):
    """What happened to an opportunity. Event, kind, market and outcomes say which one it is."""

    change: Literal["appeared", "changed", "gone"]
    event_id: int
    sportradar_id: str | None
    kind: Kind
    market_id: str
    outcomes: list[OpportunityPlace]
    margin: float
    best_margin: float
    first_seen_at: AwareDatetime
    lifetime_seconds: float
    opportunity: Annotated[Opportunity | None, Field(description="as in /api/opportunities; null if it is gone")]
