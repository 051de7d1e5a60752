"""Query strings of event streams."""

from typing import Annotated

from pydantic import AfterValidator, Field

from quart_odds.domain.runs import RunMode
from quart_odds.odds.watched import read_watched
from quart_odds.routes.api.requests import Query


class CursorQuery(Query):
    """Where a stream starts. The header `Last-Event-ID`, which an EventSource sends, comes first."""

    last_event_id: Annotated[str | None, Field(description="a cursor: the id of the last message received")] = None
    since: Annotated[str | None, Field(description="the same as last_event_id")] = None


class StartQuery(CursorQuery):
    """Where a stream starts, and the mode of the run that it starts."""

    mode: Annotated[RunMode, Field(description="sweep: read only the lists and the main markets in them")] = (
        RunMode.FULL
    )


class TopicsQuery(CursorQuery):
    """Where a stream starts, and what it carries."""

    topics: Annotated[str | None, Field(description="comma-separated topics; all of them by default")] = None
    watch: Annotated[
        str,
        Field(description="comma-separated ids of events to fetch more often while this client is connected"),
        AfterValidator(lambda text: (read_watched(text), text)[1]),
    ] = ""
