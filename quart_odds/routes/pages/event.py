"""The page of one event, put together of one moment: bookmakers, the past of a market, stakes, and all markets."""

from dataclasses import dataclass
from datetime import timedelta

import orjson

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.clock import utc_now
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FairPrices
from quart_odds.odds.views import url_of
from quart_odds.routes.api.encoded import find_event
from quart_odds.routes.pages.event_query import RANGES, EventPageQuery
from quart_odds.routes.pages.history import history_of
from quart_odds.routes.pages.odds import line_text, market_groups, sources
from quart_odds.routes.pages.query import Columns
from quart_odds.routes.pages.stakes import plan_of
from quart_odds.routes.pages.worth import Place, Worth, worth_of
from quart_odds.services import services


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request for an event shows: the event with the bookmakers of the page alone, and these as columns."""

    event: CachedEvent
    columns: Columns
    query: EventPageQuery


async def shown_event(event_id: int, query: EventPageQuery) -> Shown:
    """Return the event as the query wants it. Raises a 404."""
    found = await find_event(event_id)
    used = {*services().bookmakers(), *found.odds}
    columns = query.arranged(tuple(sorted(used, key=lambda each: each.place)))
    return Shown(query.narrowed(found), columns, query)


async def past_values(shown: Shown) -> dict[str, object]:
    """Return what the template of the past and the stakes needs."""
    event, query, choice = shown.event, shown.query, shown.columns.choice
    history = await history_of(event, query)
    fair = FairPrices(event, utc_now(), _stale_after())
    worth = worth_of(event, fair)
    return {
        "event_id": event.id,
        "kickoff": event.header.kickoff,
        "query": query,
        "choice": choice,
        "ranges": RANGES,
        "history": history,
        "plan": plan_of(event, query, fair),
        "worth": worth,
        "worth_json": _worth_json(worth),
        "line_text": line_text,
    }


async def event_values(shown: Shown) -> dict[str, object]:
    """Return what the template of the whole page needs. All of it but the history is of one moment."""
    past = await past_values(shown)
    event, columns = shown.event, shown.columns
    urls = {platform.value: url_of(event_odds) for platform, event_odds in event.odds.items()}
    return {
        **past,
        "sportradar_id": event.sportradar_id,
        "header": event.header,
        "sources": sources(event, columns.shown),
        "urls": urls,
        "groups": market_groups(event, columns.shown),
        "columns": columns,
    }


def _stale_after() -> timedelta:
    return timedelta(seconds=services().settings.stale_after_seconds)


def _worth_json(worth: dict[Place, list[Worth | None]]) -> str:
    """Return the worth of all markets for the script, which computes values when prices move."""
    named = {
        f"{CATALOGUE.by_number[number].id}|{line_text(line)}|": [
            None if each is None else (each.thousandths, each.win, each.refund) for each in outcomes
        ]
        for (number, line), outcomes in worth.items()
    }
    return orjson.dumps(named).decode()
