"""The gate: every request is let in by what it proves with, or by where it comes from, before its route is called.

Only a request that is plainly from this machine needs no token. Behind a proxy every peer is on this machine, so with
any setting of a proxy nobody is. Host, Origin and headers of proxies are what a client says: they prove nothing, but
can show that a request has come from elsewhere.
"""

import re
from typing import Any, cast
from urllib.parse import quote

from quart import Quart, Request, Response, Websocket, has_request_context, redirect, request, websocket
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.access.credentials import CredentialError
from quart_odds.access.values import TOKEN_PREFIX, Grant
from quart_odds.domain.origins import parse_address, parse_host
from quart_odds.domain.scopes import Scope
from quart_odds.routes.access import sessions
from quart_odds.routes.access.problems import Problem, bad_request
from quart_odds.routes.access.root_path import own_path, public_path
from quart_odds.routes.access.same_origin import (
    FOREIGN_HOST,
    FORWARDED,
    LOOPBACK_NAME,
    client_of,
    peer_of,
    require_same_origin,
)
from quart_odds.routes.access.scopes import LIVE, PAGES, TICKET_PATHS, needed_scope, path_of
from quart_odds.routes.access.sessions import GRANT
from quart_odds.services import Services, services

FORWARDING_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cf-connecting-ip"}
)
"""Headers that proxies add. So are all that begin with `X-Forwarded`."""

LOCAL = Grant(Scope.ADMIN)
"""Of a request that is plainly from this machine, or that another process has let in."""
ANYBODY = Grant(Scope.READ)
"""Of a request without anything, at a server that is open to its network."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})
TICKET = "ticket"
TOKEN_PARAMETERS = ("token", "access_token")
REALM = 'Bearer realm="quart-odds"'
MOST_NEXT_LENGTH = 500
_TICKET = re.compile(rb"(?:(?<=&)|^)(ticket)=[^&]*")


def init_app(app: Quart) -> None:
    """Let every request of this app pass the gate first. Call it after `same_origin.init_app`."""

    @app.before_request
    async def admit_request() -> WerkzeugResponse | None:
        return await _admit(request)

    @app.before_websocket
    async def admit_websocket() -> None:
        await _admit(websocket)

    @app.after_request
    async def keep_private(response: Response) -> Response:
        grant: Grant | None = _scope_of(request).get(GRANT)
        if grant is not None and grant.may_end and not response.cache_control.no_store:
            response.cache_control.private = True
        return response


def grant_of(asked: Request | Websocket) -> Grant:
    """Return what the current request may do, once it has passed the gate."""
    grant: Grant = _scope_of(asked)[GRANT]
    return grant


def is_anybody() -> bool:
    """Return whether the current request has nothing, and may read all the same. Its page offers the login."""
    return has_request_context() and _scope_of(request).get(GRANT) == ANYBODY


def _scope_of(asked: Request | Websocket) -> dict[str, Any]:
    """Return the ASGI scope of a request, in which its grant is kept."""
    scope: Any = asked.scope
    assert scope is not None
    return cast(dict[str, Any], scope)


async def _admit(asked: Request | Websocket) -> WerkzeugResponse | None:
    """Let a request pass, or return where it is led instead. Raises Problem."""
    parts = services()
    scope = _scope_of(asked)
    if FORWARDED in scope:
        scope[GRANT] = LOCAL
        return None
    _mask_ticket(asked)
    _refuse_token_in_query(parts, asked)
    needed = needed_scope(asked)
    if needed is None and path_of(asked) not in ("/login", "/logout"):
        return None
    grant = await _identified(parts, asked)
    if grant is not None:
        scope[GRANT] = grant
    if needed is not None:
        if grant is None:
            parts.attempts.counts["none"] += 1
            if isinstance(asked, Request) and _is_page(asked):
                return redirect(public_path(f"/login?next={_next_of(asked)}"), 303)
            raise unauthorized("A token is needed here: send it as `Authorization: Bearer qo_…`.")
        is_change_by_anybody = grant == ANYBODY and asked.method not in READING
        if is_change_by_anybody or not grant.scope.includes(needed):
            parts.attempts.counts["scope"] += 1
            raise _refusal(grant, needed)
    if grant is not None and grant.session is not None:
        await _check_session_request(parts, asked)
    return None


async def _identified(parts: Services, asked: Request | Websocket) -> Grant | None:
    """Return what a request may do; None if it has nothing that counts. Raises Problem if what it has is not good."""
    bearer = _bearer_of(asked.headers)
    if bearer is not None:
        return await bearer_grant(parts, asked, bearer)
    if path_of(asked) in TICKET_PATHS and (ticket := asked.args.get(TICKET)):
        return await _ticket_grant(parts, asked, ticket)
    if is_plainly_local(asked, parts):
        return LOCAL
    secret = sessions.session_secret(asked)
    if secret is not None:
        try:
            return await parts.credentials.of_session(secret)
        except CredentialError as error:
            # As if there was none: a page then leads to the login.
            parts.attempts.counts[error.reason] += 1
    return ANYBODY if parts.settings.open_to_network else None


async def bearer_grant(parts: Services, asked: Request | Websocket, text: str) -> Grant:
    """Return what a token grants. Raises a 401, or a 429 for an address that has sent too many wrong ones."""
    client = client_of(asked, parts.settings.trusted_proxies)
    is_jwt = parts.issuer is not None and not text.startswith(TOKEN_PREFIX)
    if not is_jwt and not parts.credentials.knows(text):
        # The holder of a token that is good gets in whatever others at the same address have tried.
        parts.attempts.check(client)
    try:
        if is_jwt and parts.issuer is not None:
            return parts.issuer.grant_of(text)
        return await parts.credentials.of_token(text)
    except CredentialError as error:
        if error.reason == "scope":
            parts.attempts.counts["scope"] += 1
            raise _missing_scope(Scope.READ, "none of the scopes of this server") from None
        parts.attempts.check(client)
        parts.attempts.note(client, error.reason)
        raise unauthorized(_words_of(error), is_wrong=True) from None


async def _ticket_grant(parts: Services, asked: Request | Websocket, text: str) -> Grant:
    client = client_of(asked, parts.settings.trusted_proxies)
    parts.attempts.check(client)
    try:
        return await parts.credentials.of_ticket(text)
    except CredentialError as error:
        parts.attempts.note(client, error.reason)
        raise unauthorized(
            "This ticket is not good any more: each is for one connection, which begins within 30 seconds.",
            is_wrong=True,
        ) from None


def is_plainly_local(asked: Request | Websocket, parts: Services) -> bool:
    """Return whether a request has come from this machine, by itself and through nothing else."""
    peer = parse_address(peer_of(asked))
    if peer is None or not peer.is_loopback or parts.settings.may_be_behind_proxy:
        return False
    if FOREIGN_HOST in (asked.scope or {}) or forwarding_header(asked.headers) is not None:
        return False
    host = parse_host(asked.headers.get("Host", ""))
    if host is None:
        return False
    address = parse_address(host.name)
    return host.name == LOOPBACK_NAME if address is None else address.is_loopback


def forwarding_header(headers: Headers) -> str | None:
    """Return the name of a header that proxies add, None if there is none."""
    for name, _ in headers:
        lower = name.lower()
        if lower in FORWARDING_HEADERS or lower.startswith("x-forwarded"):
            return str(name)
    return None


def unauthorized(detail: str, *, is_wrong: bool = False) -> Problem:
    """Return a 401. `is_wrong` says that there were credentials, which are not good."""
    challenge = f'{REALM}, error="invalid_token"' if is_wrong else REALM
    return Problem(401, "Not authorized", detail, headers={"WWW-Authenticate": challenge})


def next_path(text: str | None) -> str:
    """Return the path of ours that a page asks to be led to after the login. Anything else becomes `/`."""
    path = text or ""
    is_ours = path.startswith("/") and not path.startswith("//") and len(path) <= MOST_NEXT_LENGTH
    return path if is_ours and path.isascii() and path.isprintable() and "\\" not in path else "/"


def _bearer_of(headers: Headers) -> str | None:
    """Return the token in the header `Authorization`; None if there is none. Other schemes are a proxy's matter."""
    lines = headers.getlist("Authorization")
    tokens = [line.partition(" ")[2].strip() for line in lines if line.partition(" ")[0].lower() == "bearer"]
    if len(tokens) > 1:
        raise unauthorized("There are several tokens in this request.", is_wrong=True)
    return tokens[0] if tokens else None


def _mask_ticket(asked: Request | Websocket) -> None:
    """Mask a ticket for whoever logs this request. The route has read the query from elsewhere."""
    query = asked.query_string
    if asked.scope is not None and b"ticket" in query:
        asked.scope["query_string"] = _TICKET.sub(rb"\1=***", query)


def _refuse_token_in_query(parts: Services, asked: Request | Websocket) -> None:
    for name in TOKEN_PARAMETERS:
        if name in asked.args:
            parts.attempts.counts["query"] += 1
            raise bad_request(
                "A token does not belong into an address, which ends up in histories and logs. Revoke it if it was a "
                "real one, and send the new one in the header Authorization.",
                (name, "is not taken from the query"),
            )


async def _check_session_request(parts: Services, asked: Request | Websocket) -> None:
    """Raise a 403 unless a request with a session is what a page of ours sends."""
    if path_of(asked) in LIVE:
        require_same_origin(asked)
    if not isinstance(asked, Request) or asked.method in READING or path_of(asked) == "/login":
        return
    if not await sessions.has_csrf_token(asked):
        require_same_origin(asked)
        parts.attempts.counts["csrf"] += 1
        raise Problem(
            403,
            "Not from a page of this session",
            f"A request that changes something needs the token of the page that sends it: the field "
            f"{sessions.CSRF_FIELD!r} of a form, or the header {sessions.CSRF_HEADER}. Reload the page and try again.",
        )


def _refusal(grant: Grant, needed: Scope) -> Problem:
    """Return the refusal of a request that may do less than its route needs."""
    if grant == ANYBODY:
        return unauthorized(f"Everybody may read here. This needs a token with the scope {needed}.")
    return _missing_scope(needed, grant.scope.value)


def _missing_scope(needed: Scope, held: str) -> Problem:
    challenge = f'{REALM}, error="insufficient_scope", scope="{needed}"'
    detail = f"This needs the scope {needed}, and the token has {held}."
    return Problem(403, "Not allowed", detail, extra={"scope": needed.value}, headers={"WWW-Authenticate": challenge})


def _words_of(error: CredentialError) -> str:
    words = {"revoked": "This token is revoked.", "expired": "This token has expired."}
    return words.get(error.reason, "This is no token of this server.")


def _is_page(asked: Request) -> bool:
    is_for_people = "text/html" in asked.headers.get("Accept", "")
    return asked.method in ("GET", "HEAD") and path_of(asked) in PAGES and is_for_people


def _next_of(asked: Request) -> str:
    """Return where a page leads to after the login, ready for a query string."""
    query = asked.query_string.decode("latin-1")
    return quote(next_path(own_path(asked.scope) + (f"?{query}" if query else "")), safe="/")
