"""Response models of the movement of prices, for documentation."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.odds import Promotion, Shape

Percent = Annotated[
    float | None,
    Field(
        description="by how many percent the price is above the one then: the price now, or the one at the kick-off; "
        "null if there is none at one of the two moments"
    ),
]


class Quote(Shape):
    """A price, and since when it was there."""

    odds: float
    at: AwareDatetime


class MovedOutcome(Shape):
    """An outcome with its price, and how it has moved before the kick-off."""

    name: str
    promotion: Promotion
    odds: float
    is_active: bool
    opening: Annotated[Quote | None, Field(description="the first price; null if retention has removed it")]
    closing: Annotated[Quote | None, Field(description="the last price before the kick-off; null until then")]
    change_1h_percent: Percent
    change_24h_percent: Percent
    opening_percent: Annotated[
        float | None,
        Field(description="the same against the opening price; null if there is no opening, or no price to compare"),
    ]


class MovedMarket(Shape):
    """A market and line, or a further entry with promoted prices."""

    market_id: str
    market_name: str
    line: float | None
    outcomes: list[MovedOutcome]


class MovedBookmaker(Shape):
    """The markets of a bookmaker."""

    bookmaker_slug: Platform
    bookmaker_name: str
    markets: list[MovedMarket]


class EventMovement(Shape):
    """How the prices of an event have moved at each bookmaker."""

    event_id: int
    bookmakers: list[MovedBookmaker]
