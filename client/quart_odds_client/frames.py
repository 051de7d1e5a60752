"""Tables in long form, for pandas: a row for each price. The columns are those of docs/analysis.md where they are the
same.

pandas is imported only when a frame is made.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from quart_odds_client.errors import MissingPandasError

if TYPE_CHECKING:
    import pandas as pd

    from quart_odds_client.odds_copy import Event
    from quart_odds_client.resources import EventHistory, Opportunity

Row = tuple[Any, ...]

EVENT_COLUMNS = ("event_id", "sportradar_id", "home_team", "away_team", "kickoff", "country", "competition")
STATE_COLUMNS = ("market_id", "market", "line", "outcome", "promotion", "odds", "suspended", "available")

PRICE_ROW = (
    *EVENT_COLUMNS,
    "bookmaker",
    "bookmaker_event_id",
    "reversed",
    *STATE_COLUMNS,
    "seen_at",
    "changed_at",
    "source_changed_at",
    "late",
)
"""The columns of a copy: those of the export of current odds, without probabilities, which no live message has."""

COPY_TIMES = ("kickoff", "seen_at", "changed_at", "source_changed_at")

HISTORY_ROW = ("event_id", "bookmaker", *STATE_COLUMNS, "changed_at")
"""The columns of a history: those of the export, without what the API's history does not tell of an event."""

HISTORY_TIMES = ("changed_at",)

OPPORTUNITY_ROW = (
    *EVENT_COLUMNS,
    "bookmaker",
    *STATE_COLUMNS[:6],
    "kind",
    "opportunity",
    "margin",
    "best_case",
    "fair_odds",
    "fair_source",
    "kelly_fraction",
    "reasons",
    "seen_at",
    "changed_at",
)
"""The columns of opportunities: those of the export that the API tells, and since when each price is as it is."""

OPPORTUNITY_TIMES = ("kickoff", "seen_at", "changed_at")


def frame_of(rows: Iterable[Row], columns: Sequence[str], times: Sequence[str]) -> "pd.DataFrame":
    """Return a data frame. Times are in UTC, also in a column without any. Raises MissingPandasError."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingPandasError from error
    frame = pd.DataFrame(list(rows), columns=list(columns))
    for name in times:
        frame[name] = pd.to_datetime(frame[name], utc=True)
    for name in {"line", "odds"} & {*columns}:
        frame[name] = frame[name].astype("float64")
    return frame


def copy_rows(events: Iterable["Event"]) -> Iterator[Row]:
    """Yield the prices of events, those of an event together, by bookmaker."""
    for event in events:
        fields = event.fields
        named = (
            fields.id,
            fields.sportradar_id,
            fields.home_team,
            fields.away_team,
            fields.kickoff,
            fields.tournament_country,
            fields.tournament_name,
        )
        for slug, here in event.bookmakers.items():
            entry = here.entry
            for market in here.markets.values():
                for outcome, price in market.prices.items():
                    yield (
                        *named,
                        slug,
                        entry.external_event_id,
                        entry.reversed,
                        market.id,
                        market.name or None,
                        market.line,
                        outcome,
                        price.promotion,
                        price.odds,
                        price.available and not price.is_active,
                        price.available,
                        price.seen_at,
                        price.changed_at,
                        market.source_changed_at,
                        entry.late,
                    )


def history_rows(history: "EventHistory") -> Iterator[Row]:
    """Yield each change of a price, from the first time that it was seen, by bookmaker and in order of time."""
    for here in history.bookmakers:
        former: dict[str, tuple[Any, ...]] = {}
        for point in here.history:
            for each in point.outcomes:
                state = (each.promotion, each.odds, each.available and not each.is_active, each.available)
                if former.get(each.name) == state:
                    continue
                former[each.name] = state
                yield (
                    history.event_id,
                    here.bookmaker_slug,
                    history.market_id,
                    history.market_name,
                    history.line,
                    each.name,
                    *state,
                    point.captured_at,
                )


def opportunity_rows(opportunities: Iterable["Opportunity"]) -> Iterator[Row]:
    """Yield each price to back. Opportunities are numbered within their event, in the order in which they come."""
    counts: dict[int, int] = {}
    for each in opportunities:
        counts[each.id] = counts.get(each.id, 0) + 1
        for leg in each.outcomes:
            yield (
                each.id,
                each.sportradar_id,
                each.home_team,
                each.away_team,
                each.kickoff,
                each.tournament_country,
                each.tournament_name,
                leg.bookmaker_slug,
                each.market_id,
                each.market_name,
                leg.line,
                leg.name,
                leg.promotion,
                leg.odds,
                each.kind,
                counts[each.id],
                each.margin,
                each.best_case,
                each.fair_odds,
                each.fair_source,
                each.kelly_fraction,
                ",".join(each.reasons) or None,
                leg.last_seen_at,
                leg.changed_at,
            )
