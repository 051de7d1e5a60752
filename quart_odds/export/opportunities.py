"""The kind `opportunities`: what can be gained between bookmakers, one row for each price to back."""

from collections.abc import AsyncGenerator

from quart_odds.domain.clock import utc_now
from quart_odds.domain.opportunities import kelly_fraction
from quart_odds.export.columns import (
    EVENT_COLUMNS,
    PRICE_COLUMNS,
    Column,
    Row,
    Rows,
    Wanted,
    event_values,
    market_values,
    state_values,
)
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.opportunity import Opportunity
from quart_odds.odds.opportunity_search import OpportunitySearch
from quart_odds.odds.ports import StoredHistory

OPPORTUNITY_COLUMNS = (
    *EVENT_COLUMNS,
    *PRICE_COLUMNS,
    Column("kind", "text"),
    Column("opportunity", "int"),
    Column("margin", "float"),
    Column("best_case", "float"),
    Column("fair_odds", "float"),
    Column("fair_source", "text"),
    Column("kelly_fraction", "float"),
    Column("reasons", "text"),
    Column("seen_at", "time"),
)


async def opportunity_rows(event: CachedEvent, wanted: Wanted, _: StoredHistory) -> AsyncGenerator[Rows, None]:
    """Yield the opportunities of an event between the bookmakers and in the markets that are wanted, best first.

    Those that should not be believed are among them, with the reasons.
    """
    search = OpportunitySearch(event.frozen(), utc_now(), wanted.max_age, wanted.platforms)
    found = [each for each in search.whole() if wanted.has_opportunity(each)]
    found.sort(key=lambda each: (bool(each.reasons), -each.margin, each.identity))
    yield [row for number, each in enumerate(found, start=1) for row in _rows(event, number, each)]


def _rows(event: CachedEvent, number: int, found: Opportunity) -> list[Row]:
    fair = found.fair
    worth = (
        found.kind,
        number,
        found.margin,
        found.best_case,
        None if fair is None else round(fair.chance.fair_odds, 3),
        None if fair is None else fair.source,
        None if fair is None else round(kelly_fraction(fair.chance, found.legs[0].odds), 4),
        ",".join(found.reasons) or None,
    )
    return [
        (
            *event_values(event, leg.event_odds),
            *(market_values(leg.key) or ()),
            leg.promotion,
            *state_values(leg.value, is_listed=True),
            *worth,
            leg.seen_at,
        )
        for leg in found.legs
    ]
