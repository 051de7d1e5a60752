"""The session of a browser: its cookie, and the token against cross-site request forgery that its forms carry.

The cookie is `HttpOnly` and `SameSite=Lax`. Over TLS it is `Secure`, and its prefix `__Host-` keeps other hosts of the
domain from setting one of their own.
"""

from hmac import compare_digest
from typing import Any

from quart import Request, Response, Websocket, has_request_context, request
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.access.values import Grant, digest_of
from quart_odds.routes.access.same_origin import is_encrypted
from quart_odds.services import services

COOKIE = "quart_odds_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"
GRANT = "quart_odds.grant"
"""The scope key of what a request may do. No client can set it."""


def session_secret(asked: Request | Websocket) -> str | None:
    """Return the secret in the session cookie of a request; None if there is none.

    Over TLS only the cookie with the prefix counts: another one may be from elsewhere.
    """
    return asked.cookies.get(_name(asked)) or None


def set_session(answer: Response | WerkzeugResponse, asked: Request, secret: str, seconds: int) -> None:
    """Give a browser a session for some seconds."""
    is_secure = _is_secure(asked)
    answer.set_cookie(
        _name(asked),
        secret,
        max_age=seconds,
        path=_path(is_secure=is_secure),
        secure=is_secure,
        httponly=True,
        samesite="Lax",
    )


def drop_session(answer: Response | WerkzeugResponse, asked: Request) -> None:
    """Let a browser forget its session."""
    is_secure = _is_secure(asked)
    answer.delete_cookie(_name(asked), path=_path(is_secure=is_secure), secure=is_secure, httponly=True, samesite="Lax")


def csrf_token() -> str:
    """Return what the forms and scripts of the current page send back; empty if it was requested without a session.

    It is made from the session's secret, which no page of another site knows, and does not tell it.
    """
    if not has_request_context():
        return ""
    found: Any = request.scope or {}
    grant: Grant | None = found.get(GRANT)
    secret = session_secret(request)
    return "" if grant is None or grant.session is None or secret is None else _csrf_of(secret)


async def has_csrf_token(asked: Request) -> bool:
    """Return whether a request has the token of its session, in a header or in a field of its form."""
    secret = session_secret(asked)
    if secret is None:
        return False
    sent = asked.headers.get(CSRF_HEADER)
    if sent is None and asked.mimetype == "application/x-www-form-urlencoded":
        sent = (await asked.form).get(CSRF_FIELD)
    return sent is not None and compare_digest(sent.encode(), _csrf_of(secret).encode())


def _csrf_of(secret: str) -> str:
    return digest_of(f"csrf:{secret}")


def _is_secure(asked: Request | Websocket) -> bool:
    return is_encrypted(asked, services().settings.trusted_proxies)


def _name(asked: Request | Websocket) -> str:
    return SECURE_COOKIE if _is_secure(asked) else COOKIE


def _path(*, is_secure: bool) -> str:
    # The prefix demands the whole host.
    return "/" if is_secure else services().root_path or "/"
