"""Models of what the hub tells operators about its connections."""

from typing import Annotated

from pydantic import Field

from quart_odds.broadcast.connections import Ending, State
from quart_odds.broadcast.explanation import Result
from quart_odds.routes.api.query import Text
from quart_odds.routes.api.requests import Query, WholeNumber
from quart_odds.routes.api.schemas.live import AppliedFilter
from quart_odds.routes.api.schemas.odds import Shape


class ExplainQuery(Query):
    """A connection, and a message by its cursor or by its number in the log."""

    connection: Annotated[
        Text, Field(description="the connection_id of connection_ack, or of a stream's first comment")
    ]
    cursor: Annotated[Text | None, Field(description="the cursor of a message: its id")] = None
    seq: Annotated[
        Annotated[int, WholeNumber(1, 10**18 - 1)] | None,
        Field(description="the number of a message: the end of its cursor"),
    ] = None


class ProcessName(Shape):
    """A process. `worker` is its number if it is one of several workers."""

    name: str
    worker: int | None


class MessageFate(Shape):
    """What became of a message at a connection. `by` says what filtered it out: topic, event or filter."""

    seq: int
    result: Result
    by: str | None
    reason: Annotated[str, Field(description="the same as a sentence")]


class Explanation(Shape):
    """A connection now, or at its end if it has ended not long ago. `message` is null unless one was named."""

    connection_id: str
    process: ProcessName
    transport: str
    lane: str
    scrape_run_id: Annotated[int | None, Field(description="the run whose own stream this is; null for the hub")]
    topics: list[str]
    filter: AppliedFilter | None
    cursor: Annotated[str, Field(description="where the client may resume")]
    state: State
    ending: Annotated[Ending | None, Field(description="why it ended; null while it is open")]
    age_seconds: float
    ended_seconds_ago: float | None
    lag_entries: int
    lag_seconds: float
    stalled_seconds: float | None
    untaken_bytes: int
    message: MessageFate | None
