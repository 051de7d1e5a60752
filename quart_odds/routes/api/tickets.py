"""Tickets: they stand for a token where no header can be sent, as by a browser's WebSocket and EventSource.

Each is good for one connection, which has to begin within seconds. So an address that ends up in a log is worth
nothing. Tickets are rows of the database: any process takes them.
"""

from quart import Blueprint, Response, request
from quart_schema import document_response

from quart_odds.domain.clock import iso_z
from quart_odds.routes.access.gate import grant_of
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.schemas.access import TicketAnswer
from quart_odds.routes.api.scrape import json_response
from quart_odds.services import services

blueprint = Blueprint("tickets", __name__)


@blueprint.post("/api/tickets")
@same_origin_only
@document_response(TicketAnswer, 201)
async def make() -> Response:
    """Make a ticket for one live connection, with which it may do what this request may."""
    text, expires_at = await services().credentials.ticket_for(grant_of(request))
    return json_response({"ticket": text, "expires_at": iso_z(expires_at)}, 201)
