"""Addresses that nothing has, and methods that an address does not take: a page in a browser, a problem otherwise."""

from quart import Quart, Response, has_request_context, request
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.routes.access.problems import log_problem, problem_of
from quart_odds.routes.access.root_path import own_path
from quart_odds.routes.pages.views import trouble

NOTHING_THERE = "There is nothing at this address. Check how it is spelled, or go on from one of the pages."


def init_app(app: Quart) -> None:
    """Show unknown addresses of this app as pages, to whoever accepts HTML. Those of the API stay problems."""

    async def unknown(error: Exception) -> Response | WerkzeugResponse:
        # A WebSocket that asks for an address that nothing has shows no page.
        if has_request_context() and not own_path(request.scope).startswith("/api/"):
            is_plain = isinstance(error, NotFound) and error.description == NotFound.description
            return await trouble(NotFound(NOTHING_THERE) if is_plain else error)
        problem = problem_of(error)
        log_problem(problem, error)
        return problem.response()

    app.register_error_handler(NotFound, unknown)
    app.register_error_handler(MethodNotAllowed, unknown)
