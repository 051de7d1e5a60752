"""Models of access control: tickets."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from quart_odds.routes.api.schemas.odds import Shape


class TicketAnswer(Shape):
    """A ticket for one live connection."""

    ticket: Annotated[str, Field(description="goes into the query of /api/ws, /api/sse or /api/scrape/stream, once")]
    expires_at: Annotated[AwareDatetime, Field(description="until when the connection has to begin")]
