"""Query strings of event streams."""

from typing import Annotated

from pydantic import AfterValidator, Field

from quart_odds.domain.runs import RunMode
from quart_odds.odds.watched import read_watched
from quart_odds.routes.api.query import Text
from quart_odds.routes.api.requests import Query

Listed = Annotated[str, Field(json_schema_extra={"maxLength": 8000})]
"""Names or ids, comma-separated: room for more than any parameter may have."""


class CursorQuery(Query):
    """Where a stream starts. The header `Last-Event-ID`, which an EventSource sends, comes first."""

    last_event_id: Annotated[Text | None, Field(description="a cursor: the id of the last message received")] = None
    since: Annotated[Text | None, Field(description="the same as last_event_id")] = None


class StartQuery(CursorQuery):
    """Where a stream starts, and the mode of the run that it starts."""

    mode: Annotated[RunMode, Field(description="sweep: read only the lists and the main markets in them")] = (
        RunMode.FULL
    )


class TopicsQuery(CursorQuery):
    """Where a stream starts, and what it carries."""

    topics: Annotated[
        Listed | None,
        Field(description="comma-separated topics; scrape_progress and odds_updates by default"),
    ] = None
    watch: Annotated[
        Listed,
        Field(description="comma-separated ids of events to fetch more often while this client is connected"),
        AfterValidator(lambda text: (read_watched(text), text)[1]),
    ] = ""
    event_id: Annotated[Listed, Field(description="topic odds: comma-separated ids of events")] = ""
    tournament_id: Annotated[Listed, Field(description="topic odds: comma-separated ids of tournaments")] = ""
    market: Annotated[
        Listed, Field(description="topic odds: main (the default), all (with at most 100 events), or ids of markets")
    ] = ""
    platform: Annotated[Listed, Field(description="topic odds: comma-separated bookmakers; all by default")] = ""
    min_move: Annotated[
        Text, Field(description="topic odds: leave out changes of a price by less than this percentage")
    ] = ""
    image: Annotated[
        Text, Field(description="topic odds: 1 to begin with an image, 0 not to; by default 1 if events are named")
    ] = ""
