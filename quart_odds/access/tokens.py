"""Tokens as commands and the start of a server use them: they are made, listed and revoked."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from quart_odds.access.ports import TokenStore
from quart_odds.access.values import AccessToken, digest_of, new_token_text
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.errors import AccessTokenError

MOST_NAME_LENGTH = 100
MOST_TOKENS = 1000
KEPT_DAYS = 90
"""How long a token is listed after its end."""

_LIFETIME = re.compile(r"([0-9]{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOST_LIFETIME = timedelta(days=3650)


class AccessTokens:
    """Makes, lists and revokes tokens."""

    def __init__(self, store: TokenStore, *, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._now = now

    async def create(self, name: str, scope: Scope, *, lifetime: timedelta | None = None) -> tuple[AccessToken, str]:
        """Make a token. Returns it, and its text, which nobody can find out later. Raises AccessTokenError."""
        checked = name.strip()
        if not checked or len(checked) > MOST_NAME_LENGTH or not checked.isprintable():
            raise AccessTokenError(f"a token needs a name of up to {MOST_NAME_LENGTH} printable characters")
        now = self._now()
        if sum(token.end_reason(now) is None for token in await self._store.access_tokens()) >= MOST_TOKENS:
            raise AccessTokenError(f"there are {MOST_TOKENS} tokens already; revoke one first")
        token_id, text = new_token_text()
        expires_at = None if lifetime is None else now + lifetime
        token = AccessToken(token_id, checked, scope, digest_of(text), now, expires_at)
        await self._store.add_access_token(token, forget_before=now - timedelta(days=KEPT_DAYS))
        return token, text

    async def all(self) -> list[AccessToken]:
        """Return all tokens, the oldest first. Those that are over are forgotten after some time."""
        return await self._store.access_tokens()

    async def revoke(self, token_id: str) -> None:
        """Revoke a token. Raises AccessTokenError if there is none with this id, or it is revoked already."""
        if not await self._store.revoke_access_token(token_id, self._now()):
            raise AccessTokenError(f"there is no token {token_id!r} that can be revoked")

    async def has_usable(self) -> bool:
        """Return whether there is a token that is not over."""
        now = self._now()
        return any(token.end_reason(now) is None for token in await self._store.access_tokens())


def lifetime_of(text: str) -> timedelta:
    """Return the time that a text such as `30d`, `12h` or `45m` means. Raises AccessTokenError."""
    found = _LIFETIME.fullmatch(text)
    lifetime = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found is not None else timedelta()
    if not timedelta() < lifetime <= MOST_LIFETIME:
        raise AccessTokenError(f"{text!r} is no time in which a token expires; give one such as 45m, 12h, 30d or 8w")
    return lifetime
