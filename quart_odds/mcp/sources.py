"""Where the tools read: the database of this machine, or the API of a running server."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
import orjson
from quart import Quart
from yarl import URL

from quart_odds.cluster.commands import Command, dispatched
from quart_odds.domain.secrets import masked
from quart_odds.errors import QuartOddsError, SettingsError
from quart_odds.mcp.reading import reading_app
from quart_odds.odds.reader import OddsReader
from quart_odds.routes.access.same_origin import FORWARDED
from quart_odds.settings import Settings

ANSWER_SECONDS = 30.0
"""How long a server may take for an answer."""

MAX_ANSWER_BYTES = 16_000_000

Parameters = Mapping[str, str]


class ReadError(QuartOddsError):
    """Raised when there is no answer to a question. The text is for the model that asked."""


class Source(Protocol):
    """What answers the questions of the tools."""

    async def get(self, path: str, parameters: Parameters) -> Any:
        """Return the JSON at a path of the API. Raises QuartOddsError, with words for the model that asked."""
        ...


class DatabaseSource:
    """The database. What was committed when a question is asked is in the answer, or will be a few seconds later."""

    def __init__(self, app: Quart, reader: OddsReader) -> None:
        self._app = app
        self._reader = reader

    async def get(self, path: str, parameters: Parameters) -> Any:
        """Return the JSON at a path."""
        await self._reader.refresh()
        command = Command("GET", path, urlencode(parameters), (("host", "localhost"),), marks={FORWARDED: "yes"})
        try:
            answer = await dispatched(self._app, command)
        except ValueError as error:
            raise ReadError(f"{error}: ask for less") from None
        return _read(answer.status, answer.body)


class ServerSource:
    """The API of a running server."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str, parameters: Parameters) -> Any:
        """Return the JSON at a path below the server's address."""
        address = self._url.with_path(self._url.path.rstrip("/") + path)
        shown = masked(str(self._url))
        try:
            async with self._session.get(address, params=parameters, allow_redirects=False) as response:
                body = await response.content.read(MAX_ANSWER_BYTES)
                if not response.content.at_eof():
                    raise ReadError("the answer is too long: ask for less")
                return _read(response.status, body)
        except TimeoutError:
            raise ReadError(f"{shown} did not answer within {ANSWER_SECONDS:.0f} seconds") from None
        except aiohttp.ClientError as error:
            raise ReadError(f"{shown} cannot be reached: {masked(str(error))}") from None


@asynccontextmanager
async def opened_source(settings: Settings, url: str | None = None, token: str | None = None) -> AsyncIterator[Source]:
    """Open the database of the settings, or connections to the server at `url`, which may ask for a token.

    Raises StorageError for a database that is missing or has to be upgraded, and SettingsError for a wrong address.
    """
    if url is None:
        async with reading_app(settings) as (app, reader):
            yield DatabaseSource(app, reader)
        return
    address = checked_url(url)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield ServerSource(session, address)
    # The transports of aiohttp close in the next turns of the loop.
    await asyncio.sleep(0)


def checked_url(url: str) -> URL:
    """Return the address of a server. Raises SettingsError."""
    try:
        address = URL(url)
        is_address = address.scheme in ("http", "https") and bool(address.host) and not address.query_string
    except ValueError:
        is_address = False
    if not is_address:
        raise SettingsError(f"--url {masked(url)!r}: give the address of a server, such as http://127.0.0.1:8000")
    return address.with_fragment(None)


def _read(status: int, body: bytes) -> Any:
    """Return the JSON of a response. Raises ReadError with the words of a problem."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ReadError(f"the answer, of status {status}, is not JSON: is that address a Quart Odds server?") from None
    if status == 200:
        return found
    if not isinstance(found, dict):
        raise ReadError(f"the answer has status {status}")
    words = [f"{found.get('title', status)}: {found.get('detail', '')}"]
    words += [f"{each.get('field')}: {each.get('message')}" for each in found.get("errors", ())]
    if status == 401:
        words.append("Whoever starts `quart-odds mcp` has to give it a token of the server: QUART_ODDS_TOKEN.")
    raise ReadError("\n".join(words))
