"""Addresses of servers, and what every request to them has in common."""

import re
from collections.abc import Mapping

from yarl import URL

from quart_odds_client.errors import AddressError, TokenError

_USER_INFO = re.compile(r"(?<=://)[^ \t\r\n'\"<>]*@")


class ServerAddress:
    """The address of a server, as people write it: with the path that it is below, if there is one.

    Raises AddressError for a text that is not an HTTP address. `shown` is the address without user and password.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = URL(url.strip())
            if parts.scheme not in ("http", "https") or not parts.host or parts.explicit_port == 0:
                raise ValueError
        except (ValueError, TypeError):
            said = _USER_INFO.sub("***@", url)
            raise AddressError(f"{said!r} is not a server address; give one such as http://127.0.0.1:8000") from None
        self._parts = parts
        self.shown = str(parts.with_user(None).with_query(None).with_fragment(None)).rstrip("/")

    def at(self, path: str, query: Mapping[str, str] | None = None, *, is_websocket: bool = False) -> URL:
        """Return the URL of a path of the server, which begins with a slash."""
        scheme = self._parts.scheme.replace("http", "ws") if is_websocket else self._parts.scheme
        base = self._parts.raw_path.rstrip("/")
        url = URL(f"{scheme}://{self._parts.raw_authority}{base}{path}", encoded=True)
        return url.with_query(query) if query else url


def bearer(token: str | None) -> dict[str, str]:
    """Return the headers that prove who asks. Raises TokenError for one that cannot be sent."""
    if token is None:
        return {}
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenError("a token has only visible ASCII characters")
    return {"Authorization": f"Bearer {token}"}
