"""Who sends the current request, in words for records."""

from typing import Any

from quart import request

from quart_odds.access.values import Grant
from quart_odds.routes.access.sessions import GRANT

REQUESTER = "quart_odds.requester"
"""The scope key of who has sent a request that another process forwards. No client can set it."""


def requester() -> str:
    """Return who sends the current request: `this machine`, `a JWT`, or `token` and its id."""
    scope: Any = request.scope or {}
    told: str | None = scope.get(REQUESTER)
    if told is not None:
        return told
    grant: Grant | None = scope.get(GRANT)
    if grant is not None and grant.token_id is not None:
        return f"token {grant.token_id}"
    return "a JWT" if grant is not None and grant.may_end else "this machine"
