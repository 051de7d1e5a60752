"""A token that tests put into databases, and clients that send it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from quart import Quart
from quart.testing import QuartClient
from quart.testing.connections import TestHTTPConnection, TestWebsocketConnection
from quart.wrappers import Response

from quart_odds.access.values import AccessToken, digest_of, id_of_token
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.storage import Store, open_store

TOKEN = f"qo_{'0' * 12}_{'1' * 64}"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


async def add_token(store: Store, text: str = TOKEN, scope: Scope = Scope.ADMIN, **more: Any) -> AccessToken:
    """Put a token with this text into a database that is open."""
    token_id = id_of_token(text)
    assert token_id is not None
    now = utc_now()
    token = AccessToken(token_id, "of a test", scope, digest_of(text), now, **more)
    await store.add_access_token(token, forget_before=now)
    return token


def put_token(database_url: str) -> dict[str, str]:
    """Put the token into a database, and return the headers of a request with it."""

    async def put() -> None:
        store = await open_store(database_url)
        try:
            if not await store.access_tokens():
                await add_token(store)
        finally:
            await store.aclose()

    # In a thread of its own, because the loop of an asynchronous test is running.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, put()).result()
    return HEADERS


class LocalClient(QuartClient):
    """A client whose requests come from this machine, as those of a browser beside the server do.

    With a `token`, requests that have no header `Authorization` send it.
    """

    def __init__(self, app: Quart, token: str | None = None, **options: Any) -> None:
        super().__init__(app, **options)
        self.token = token

    async def open(self, path: str, **options: Any) -> Response:
        """Return the response to a request."""
        return await super().open(path, **self._completed(options))

    def request(self, path: str, **options: Any) -> TestHTTPConnection:
        """Return a connection for one request."""
        return super().request(path, **self._completed(options))  # type: ignore[return-value]

    def websocket(self, path: str, **options: Any) -> TestWebsocketConnection:
        """Return a WebSocket connection."""
        return super().websocket(path, **self._completed(options))  # type: ignore[return-value]

    def _completed(self, options: dict[str, Any]) -> dict[str, Any]:
        options["scope_base"] = {"client": ("127.0.0.1", 50_000)} | (options.get("scope_base") or {})
        if self.token is not None:
            options["headers"] = {"Authorization": f"Bearer {self.token}"} | dict(options.get("headers") or {})
        return options
