"""Follows the runs of a server over its WebSocket. Each reconnection resumes from the last cursor."""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import aiohttp
import orjson
from yarl import URL

from quart_odds.domain.secrets import masked
from quart_odds.errors import QuartOddsError
from quart_odds.scraping.schemas import ScrapeProgress

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
CONNECT_SECONDS = 10.0
PING_SECONDS = 20.0

Sleep = Callable[[float], Awaitable[None]]


class WatchError(QuartOddsError):
    """Raised when there is nothing to watch: the server is missing, is not Quart Odds, or refuses the connection."""


class Watcher:
    """Progress of a server's runs, across lost connections. `on_state` gets the state of the connection as text.

    Nothing is missed as long as the server's log reaches back to the cursor. After that, the newest state follows.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        on_state: Callable[[str], None] = lambda _: None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url = websocket_url(url)
        self._shown = masked(url.rstrip("/"))
        self._on_state = on_state
        self._sleep = sleep
        self._cursor: str | None = None
        self._losses = 0
        self._asked_wait: float | None = None

    async def follow(self) -> AsyncGenerator[ScrapeProgress, None]:
        """Yield every progress, without end. Raises WatchError if the first connection fails or any is refused."""
        async with aiohttp.ClientSession() as session:
            while True:
                self._asked_wait = None
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        websocket = await session.ws_connect(
                            self._url, params=self._query(), headers=self._headers, heartbeat=PING_SECONDS
                        )
                    async with websocket:
                        async for progress in self._read(websocket):
                            yield progress
                except aiohttp.WSServerHandshakeError as error:
                    if error.status < 500:
                        advice = "; give a token with --token or QUART_ODDS_TOKEN" if error.status == 401 else ""
                        raise WatchError(
                            f"{self._shown} refuses the connection: status {error.status}{advice}"
                        ) from error
                    self._give_up_at_first(f"status {error.status}")
                except aiohttp.ClientConnectorError as error:
                    self._give_up_at_first(error.strerror or str(error.os_error))
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    self._give_up_at_first(masked(str(error)) or type(error).__name__)
                await self._rest()

    def _query(self) -> dict[str, str]:
        asked = {"topics": "scrape_progress", "cursor": "1"}
        return asked if self._cursor is None else asked | {"since": self._cursor}

    async def _read(self, websocket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[ScrapeProgress]:
        while True:
            message = await websocket.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                found = re.search(r"retry_ms=([0-9]+)", message.extra or "")
                self._asked_wait = int(found[1]) / 1000 if found else None
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            try:
                said = orjson.loads(message.data)
                self._cursor = said.get("id", self._cursor)
                kind = said["type"]
                progress = ScrapeProgress.model_validate(said["data"]) if kind == "scrape_progress" else None
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise WatchError(f"{self._shown} answers, but not as Quart Odds does") from error
            if progress is not None:
                yield progress
            elif kind == "connection_ack":
                self._losses = 0
                self._on_state(f"watching {self._shown}")

    def _give_up_at_first(self, reason: str) -> None:
        if self._cursor is None:
            raise WatchError(f"there is no Quart Odds server at {self._shown}: {reason}")

    async def _rest(self) -> None:
        """Wait as long as the server asked for. Otherwise back off, with jitter to spread watchers out."""
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**self._losses)
        wait = random.uniform(longest / 2, longest) if self._asked_wait is None else self._asked_wait
        self._losses += 1
        self._on_state(f"lost {self._shown}; retrying in {wait:.1f} s")
        await self._sleep(wait)


def websocket_url(url: str) -> str:
    """Return the URL of a server's WebSocket. Raises WatchError if `url` is not an HTTP address."""
    schemes = {"http": "ws", "https": "wss"}
    try:
        parts = URL(url)
        if parts.scheme not in schemes or not parts.host or parts.explicit_port == 0:
            raise ValueError
    except ValueError:
        raise WatchError(f"{masked(url)!r} is not a server address; give one such as http://127.0.0.1:8000") from None
    return f"{schemes[parts.scheme]}://{parts.raw_authority}{parts.raw_path.rstrip('/')}/api/ws"
