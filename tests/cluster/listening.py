"""Listeners that move from process to process with their cursors, and a reader of the log in Redis itself."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from quart_odds.broadcast.engines import MESSAGE, LogKeys
from quart_odds.broadcast.engines.clients import disconnect
from quart_odds.broadcast.engines.records import read_record
from tests.cluster.several import Listener
from tests.cluster.verdict import Ack, Gap, Heard, KnownEpoch, Told
from tests.server.serving import Json, Server
from tests.websocket.copies import OddsCopy

PLAIN = "topics=scrape_progress,odds_updates,opportunities,alerts"
ODDS = "topics=odds&market=all&event_id=" + ",".join(map(str, range(1, 61)))

STAY_SECONDS = (0.3, 4.0)
RETRY_SECONDS = 0.1
CONNECT_SECONDS = 3.0
READ_SECONDS = 0.05
TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

Log = dict[str, KnownEpoch]


def new_log() -> Log:
    """Return a log of which nothing is known yet."""
    return defaultdict(KnownEpoch)


def digest_of(message: Json) -> int:
    """Return what two messages have in common if they are equal, apart from their cursors."""
    return hash(orjson.dumps({name: value for name, value in message.items() if name != "id"}))


class MovingListener(Listener):
    """Listens at one process after another, each time from its cursor on, and notes everything for the verdict.

    `pick` returns the process to go to. Messages are also noted in `log`, where several listeners meet. `ended` has the
    terminal progress of each run by the places where it was told.
    """

    def __init__(self, name: str, query: str, pick: Callable[[], Server], log: Log, randomness: random.Random) -> None:
        super().__init__()
        self._wanted = query
        self.name = name
        self.heard: list[Heard] = []
        self.copy = OddsCopy()
        self.has_image = "topics=odds" in query
        self.ended: dict[int, dict[tuple[str, int], Json]] = defaultdict(dict)
        self.degraded = 0
        self._pick = pick
        self._log = log
        self._randomness = randomness
        self._process = ""

    async def move(self) -> None:
        """Listen until cancelled."""
        while True:
            server = self._pick()
            self._process = server.url
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._randomness.uniform(*STAY_SECONDS)):
                    await self._listen(server)
            await asyncio.sleep(RETRY_SECONDS)

    def _take(self, message: Json, cursor: str) -> None:
        data = message["data"]
        self.copy.apply(message)
        match message["type"]:
            case "connection_ack":
                seq = int(data["cursor"].rpartition("-")[2])
                missed, is_new = data.get("missed", 0), not self.cursor
                self.heard.append(Ack(self._process, data["epoch"], seq, data["recovered"], missed, is_new))
            case "error":
                assert data["code"] in ("gap", "degraded"), f"{self.name}: {message}"
                self.degraded += data["code"] == "degraded"
                if data["code"] == "gap":
                    self.heard.append(Gap(self._process, data["missed"]))
            case "scrape_progress" | "odds_update" | "odds_change" | "event_change" | "opportunity" | "alert":
                self._note(message, cursor)
        self.cursor = cursor

    def _note(self, message: Json, cursor: str) -> None:
        epoch, _, number = cursor.rpartition("-")
        data = message["data"]
        told = Told(self._process, epoch, int(number), digest_of(message), None)
        if message["type"] == "scrape_progress":
            key = (data["scrape_run_id"], data["platform"] or "")
            told = Told(told.process, epoch, told.seq, told.digest, key)
            if data["platform"] is None and data["phase"] in ("completed", "failed"):
                self.ended[data["scrape_run_id"]][epoch, told.seq] = data
        self.heard.append(told)
        self._log[epoch].digests.setdefault(told.seq, told.digest)


class WebSocketListener(MovingListener):
    """A listener with WebSockets."""

    async def _listen(self, server: Server) -> None:
        with contextlib.suppress(TimeoutError):
            await super()._listen(server)


class SseListener(MovingListener):
    """A listener with server-sent events."""

    async def _listen(self, server: Server) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with (
                aiohttp.ClientSession(headers=dict(server.headers), timeout=TIMEOUTS, read_bufsize=1 << 22) as session,
                session.get(f"{server.url}/api/sse{self._query()}") as stream,
            ):
                cursor = self.cursor
                async for line in stream.content:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "id":
                        cursor = value
                    elif name == "data":
                        self._take(orjson.loads(value), cursor)
                    elif not name and self.cursor:
                        self.cursor = cursor


class LogReader:
    """Reads the messages of the log in Redis, so that what no process tells is known nevertheless."""

    def __init__(self, connect: Callable[[], Redis], log: Log) -> None:
        self._connect = connect
        self._log = log

    async def read(self) -> None:
        """Read until cancelled. Whatever Redis loses before it is read here remains unknown."""
        places: dict[str, bytes] = {}
        while True:
            client = self._connect()
            try:
                with contextlib.suppress(RedisError, OSError):
                    await self._read(client, places)
            finally:
                await disconnect(client)
            await asyncio.sleep(READ_SECONDS)

    async def _read(self, client: Any, places: dict[str, bytes]) -> None:
        while True:
            async for meta in client.scan_iter("quart-odds:{*}:meta"):
                keys = LogKeys(meta.decode().partition("{")[2].partition("}")[0])
                epoch = (await client.hget(meta, "epoch") or b"").decode()
                first = "(" + places[epoch].decode() if epoch in places else "-"
                for place, fields in await client.xrange(keys.stream(epoch), first, "+"):
                    self._take(epoch, place, fields)
                    places[epoch] = place
            await asyncio.sleep(READ_SECONDS)

    def _take(self, epoch: str, place: bytes, fields: dict[bytes, bytes]) -> None:
        record, known = read_record(fields), self._log[epoch]
        seq = int(place.partition(b"-")[0])
        if record.kind == MESSAGE:
            known.digests.setdefault(seq, digest_of(orjson.loads(record.payload)))
        if known.complete_to >= seq - record.count:
            known.complete_to = max(known.complete_to, seq)
