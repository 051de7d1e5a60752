"""A small app with only the live routes, and helpers that read their streams through Quart's test client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import orjson
from quart import Quart
from quart.testing.connections import TestHTTPConnection as HTTPConnection

from quart_odds.access.credentials import Credentials
from quart_odds.access.ties import Ties
from quart_odds.broadcast import BroadcastRegistry, LogBounds
from quart_odds.broadcast import context as broadcast_context
from quart_odds.domain.runs import RunMode, RunRecord, RunStatus
from quart_odds.errors import RunActiveError, RunNotFoundError
from quart_odds.odds.watched import WatchedEvents
from quart_odds.routes.access import gate, problems, same_origin
from quart_odds.routes.access.attempts import Attempts
from quart_odds.routes.access.limits import ConnectionLimits
from quart_odds.routes.access.same_origin import AccessPolicy
from quart_odds.routes.live import sse, ws
from quart_odds.routes.live.receive import BoundedWebsocketConnection
from quart_odds.scraping.broadcaster import BroadcasterRegistry, ProgressBroadcaster
from quart_odds.scraping.schemas import Platform, ScrapePhase, ScrapeProgress
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import load_settings
from quart_odds.websocket import gap_message
from tests.broadcast.listeners import Message, read_blocks
from tests.tokens import LocalClient
from tests.traffic import checked

if TYPE_CHECKING:
    from quart_odds.odds.service import OddsService
    from quart_odds.scraping.runs import RunService
    from quart_odds.storage.store import Store

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
END = ScrapeProgress(phase=ScrapePhase.COMPLETED, current=3, total=3)


def progress(current: int, platform: Platform = Platform.BETPAWA) -> ScrapeProgress:
    """Return a progress of some run."""
    return ScrapeProgress(platform=platform, phase=ScrapePhase.SCRAPING, current=current, total=9, scrape_run_id=1)


def record(run_id: int, status: RunStatus) -> RunRecord:
    """Return the row of a run."""
    ended = None if status is RunStatus.RUNNING else START
    return RunRecord(run_id, status, "api", tuple(Platform), START, ended, events_scraped=3)


class FakeRuns:
    """Runs that start but never scrape."""

    def __init__(self, store: "FakeStore") -> None:
        self.broadcasters = BroadcasterRegistry()
        self.started: list[str] = []
        self._store = store

    async def start(self, trigger: str, *, mode: RunMode = RunMode.FULL) -> SimpleNamespace:
        """Start a run; only one of each mode at a time."""
        for each in self.broadcasters.active():
            if each.mode is mode:
                raise RunActiveError(each.scrape_run_id)
        self.started.append(trigger)
        return SimpleNamespace(broadcaster=self.add(len(self.started), mode))

    async def find(self, run_id: int) -> RunRecord:
        """Return the row of a run."""
        record = await self._store.get_run(run_id)
        if record is None:
            raise RunNotFoundError(run_id)
        return record

    def add(self, run_id: int, mode: RunMode = RunMode.FULL) -> ProgressBroadcaster:
        """Add an active run."""
        broadcaster = ProgressBroadcaster(run_id, mode)
        self.broadcasters.add(broadcaster)
        return broadcaster


class FakeStore:
    """Rows of runs, by id."""

    def __init__(self) -> None:
        self.rows: dict[int, RunRecord] = {}

    async def get_run(self, run_id: int) -> RunRecord | None:
        """Return the row; None if there is none."""
        return self.rows.get(run_id)


class Hub:
    """The app, and its parts."""

    def __init__(self, *, bounds: LogBounds | None = None, **settings: object) -> None:
        given = load_settings({}, **settings)
        self.registry = BroadcastRegistry(
            gap_notice=lambda missed: ("error", orjson.dumps(gap_message(missed))),
            bounds=bounds,
            heartbeat_seconds=given.heartbeat_seconds,
        )
        limits = ConnectionLimits(
            given.max_connections, given.max_connections_per_address, trusted=given.trusted_proxies
        )
        self.services = Services(given, self.registry, limits)
        self.services.access = AccessPolicy.of(given)
        self.services.watched = WatchedEvents()
        self.services.attempts = Attempts()
        self.services.credentials = Credentials(cast("Store", FakeStore()))
        self.services.ties = Ties(self.services.credentials.over)
        self.store = FakeStore()
        self.runs = FakeRuns(self.store)
        self.services.runs = cast("RunService", self.runs)
        self.services.store = cast("Store", self.store)
        self.services.odds_service = cast("OddsService", SimpleNamespace(is_writer=True))
        self.app = Quart("hub")
        self.app.asgi_websocket_class = BoundedWebsocketConnection
        self.app.extensions[EXTENSION] = self.services
        broadcast_context.init_app(self.app, self.registry)
        problems.init_app(self.app)
        same_origin.init_app(self.app)
        gate.init_app(self.app)
        self.app.register_blueprint(ws.blueprint)
        self.app.register_blueprint(sse.blueprint)
        self.client = checked(LocalClient(self.app))

    async def until_listening(self, count: int) -> None:
        """Wait until there are this many listeners."""
        async with asyncio.timeout(30):
            while self.registry.active_count != count:
                await asyncio.sleep(0)


class Stream:
    """An event stream, read through the test client."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self.data = b""
        self.is_ended = False
        self.status = 0
        self.headers: dict[str, str] = {}

    async def until(self, count: int) -> list[Message]:
        """Read until there are this many messages, and return all messages."""
        async with asyncio.timeout(30):
            while len(read_blocks(self.data)) < count:
                assert not self.is_ended, self.data
                await self.read()
        return read_blocks(self.data)

    async def rest(self) -> list[Message]:
        """Read until the stream ends, and return all its messages."""
        async with asyncio.timeout(30):
            while not self.is_ended:
                await self.read()
        return read_blocks(self.data)

    async def read(self) -> None:
        """Read the next data, and with it the head."""
        data = await self._connection.receive()
        self.data += data
        self.is_ended = not data
        self.status = self._connection.status_code or 0
        self.headers = {name.lower(): value for name, value in (self._connection.headers or {}).items()}


@asynccontextmanager
async def stream(hub: Hub, path: str, method: str = "GET", **headers: str) -> AsyncIterator[Stream]:
    """Open an event stream. It is disconnected at the end, as if the client had left."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with hub.client.request(path, method=method, headers=names) as connection:
        await connection.send_complete()
        opened = Stream(connection)
        async with asyncio.timeout(30):
            await opened.read()
        yield opened
        await connection.disconnect()
