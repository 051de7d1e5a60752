"""Requests that only an operator on this machine may send, such as those that say where alerts are sent.

Who may is decided by the connection alone. Host, Origin and headers of proxies are what a client says, so they prove
nothing; but a proxy that adds one of its headers says that the request came from elsewhere.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from quart import Request, request
from werkzeug.datastructures import Headers

from quart_odds.domain.origins import parse_address
from quart_odds.routes.access.problems import Problem

FORWARDING_HEADERS = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cf-connecting-ip"}
)
"""Headers that proxies add. So are all that begin with `X-Forwarded`."""

P = ParamSpec("P")
R = TypeVar("R")


def operator_only(view: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Return the view, guarded by `require_operator`. It comes below `same_origin_only`."""

    @wraps(view)
    async def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        require_operator(request)
        return await view(*args, **kwargs)

    return checked


def require_operator(asked: Request) -> None:
    """Raise a 403 unless the request came over a loopback connection, and through no proxy that says so."""
    address = parse_address(((asked.scope or {}).get("client") or ("",))[0] or "")
    if address is None or not address.is_loopback:
        raise _refused("it came from another machine")
    if (name := forwarding_header(asked.headers)) is not None:
        raise _refused(f"its header {name} says that it came through a proxy")


def forwarding_header(headers: Headers) -> str | None:
    """Return the name of a header that proxies add, None if there is none."""
    for name, _ in headers:
        lower = name.lower()
        if lower in FORWARDING_HEADERS or lower.startswith("x-forwarded"):
            return str(name)
    return None


def _refused(reason: str) -> Problem:
    return Problem(
        403,
        "Only on this machine",
        f"Refused: {reason}. Targets of alerts are changed on the server's own machine, over 127.0.0.1, or with "
        "`quart-odds alerts`.",
    )
