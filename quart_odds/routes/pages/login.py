"""The login of the pages, by token, and the logout."""

from quart import Blueprint, Response, redirect, request
from quart_schema import hide
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.access.credentials import CredentialError
from quart_odds.domain.clock import utc_now
from quart_odds.routes.access.gate import bearer_grant, next_path
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.same_origin import is_encrypted, same_origin_only
from quart_odds.routes.access.sessions import drop_session, session_secret, set_session
from quart_odds.routes.api.requests import Query, form_fields, takes_query
from quart_odds.routes.pages.shell import page
from quart_odds.routes.pages.views import frame, trouble
from quart_odds.services import services

blueprint = Blueprint("login", __name__)
blueprint.register_error_handler(Exception, trouble)


class LoginQuery(Query):
    """The page to lead to after the login."""

    next: str = "/"


@blueprint.get("/login")
@hide
@takes_query(LoginQuery)
async def form(query: LoginQuery) -> Response:
    """Show the form that asks for a token."""
    return await _form(next_path(query.next))


@blueprint.post("/login")
@same_origin_only
@hide
async def log_in() -> Response | WerkzeugResponse:
    """Begin a session with a token, and lead to the page that was asked for."""
    fields = await form_fields()
    wanted = next_path(fields.get("next"))
    text = fields.get("token", "").strip()
    parts = services()
    try:
        await bearer_grant(parts, request, text)
        secret, expires_at = await parts.credentials.log_in(text, session_secret(request))
    except Problem as problem:
        if problem.status not in (401, 429):
            raise
        return await _form(wanted, problem)
    except CredentialError:
        # It is good for requests, as a JWT is, but no session can rest on it.
        return await _form(wanted, Problem(401, "Not authorized", "This is no token of this server."))
    answer = redirect(public_path(wanted), 303)
    set_session(answer, request, secret, int((expires_at - utc_now()).total_seconds()))
    return answer


@blueprint.post("/logout")
@same_origin_only
@hide
async def log_out() -> WerkzeugResponse:
    """End the session."""
    secret = session_secret(request)
    if secret is not None:
        await services().credentials.log_out(secret)
    answer = redirect(public_path("/login"), 303)
    drop_session(answer, request)
    return answer


async def _form(wanted: str, problem: Problem | None = None) -> Response:
    shown = {
        "wanted": wanted,
        "said": None if problem is None else problem.detail,
        "is_encrypted": is_encrypted(request, services().settings.trusted_proxies),
    }
    answer = await page(
        "login.html", {**frame("", "login"), **shown}, status=200 if problem is None else problem.status
    )
    answer.headers["Cache-Control"] = "no-store"
    if problem is not None:
        answer.headers.update(problem.headers)
    return answer
