"""The path of every request to a stand-in bookmaker: counting, latency, faults and the answer."""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

from quart import Response

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.faults.corrupt import bomb, corrupt
from quart_odds.sandbox.faults.faults import Fault, FaultBoard, FaultKind, shift_of
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import HTML, JSON, REFUSAL, Answer, Ask, Site
from quart_odds.sandbox.traffic import Traffic

KEPT_BYTES = 500_000_000
"""How many bytes of written bodies are cached. The least recently used are removed first."""
_SMALL = 500
"""Smaller bodies are not worth compressing."""
_DRIP_SECONDS = 0.2


class Kept:
    """A cache of bodies as sent, compressed or not.

    It keeps the newest version of each key, and removes the least recently used ones.
    """

    def __init__(self, limit_bytes: int = KEPT_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._bodies: OrderedDict[Hashable, tuple[Hashable, bytes]] = OrderedDict()

    def body(self, answer: Answer, scope: str, is_gzip: bool) -> tuple[bytes, bool]:
        """Return the body of an answer, cached if possible, and whether it is compressed.

        Keys are unique within `scope`.
        """
        key = (scope, answer.key, is_gzip)
        version, body = self._bodies.get(key, (None, b""))
        if body and version == answer.version:
            self._bodies.move_to_end(key)
            return body, is_gzip
        body = answer.write()
        if is_gzip and len(body) < _SMALL:
            return body, False
        if is_gzip:
            body = gzipped(body)
        if answer.key is not None:
            self._keep(key, answer.version, body)
        return body, is_gzip

    def _keep(self, key: Hashable, version: Hashable, body: bytes) -> None:
        _, previous = self._bodies.pop(key, (None, b""))
        self._bodies[key] = version, body
        self._size += len(body) - len(previous)
        while self._size > self._limit:
            _, (_, dropped) = self._bodies.popitem(last=False)
            self._size -= len(dropped)


def gzipped(body: bytes) -> bytes:
    """Compress a body at the fastest level, because the sandbox shares the machine with its clients."""
    compressor = zlib.compressobj(level=1, wbits=31)
    return compressor.compress(body) + compressor.flush()


@dataclass(slots=True)
class Throttle:
    """Handles the requests to all bookmakers of a sandbox. `cut` cuts the connection of the current request."""

    options: SandboxOptions
    board: FaultBoard
    cut: Callable[[], None]
    traffic: dict[Platform, Traffic] = field(init=False)
    kept: Kept = field(default_factory=Kept)
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.traffic = {platform: Traffic() for platform in self.options.bookmakers}
        self._random = Random(f"gate {self.options.seed}")

    def warm(self, sites: Mapping[Platform, Site]) -> None:
        """Write and compress the bodies of all events, which takes about 3 ms each."""
        for platform, site in sites.items():
            for event in site.shelf.listed():
                answer = site.shelf.untouched_detail(event.external_id)
                if answer is not None:
                    self.kept.body(answer, platform, is_gzip=True)

    async def answer(self, site: Site, ask: Ask) -> Response:
        """Return the answer of the bookmaker, or of its current fault."""
        async with self._counted(site.platform, is_detail=site.event_of(ask) is not None):
            await self._wait()
            fault = self._fault(site, ask)
            if fault is None:
                return self._good(site, ask)
            return await self._struck(site, ask, fault)

    @asynccontextmanager
    async def _counted(self, platform: Platform, *, is_detail: bool) -> AsyncIterator[None]:
        traffic = self.traffic[platform]
        traffic.enter(is_detail=is_detail)
        try:
            yield
        finally:
            traffic.leave()

    async def _wait(self) -> None:
        seconds = (self.options.latency_ms + self.options.jitter_ms * self._random.random()) / 1000
        if seconds:
            await asyncio.sleep(seconds)

    def _fault(self, site: Site, ask: Ask) -> Fault | None:
        if not self.board.faults:
            return None
        event = site.event_of(ask)
        ids = () if event is None else site.shelf.ids_of(event)
        address = f"{ask.path}?{sorted(ask.query.items())}" if event is None else event
        return self.board.strike(
            site.platform,
            address,
            ids,
            is_first_event=event is not None and event == site.shelf.first_event,
            page=site.page_of(ask) if event is None else None,
        )

    def _good(self, site: Site, ask: Ask) -> Response:
        answer = site.refuse(ask) or site.answer(ask)
        is_gzip = "gzip" in ask.headers.get("accept-encoding", "")
        body, is_gzip = self.kept.body(answer, site.platform, is_gzip)
        response = _response(body, answer.status, answer.content_type, is_gzip)
        response.headers.extend(answer.headers)
        return response

    async def _struck(self, site: Site, ask: Ask, fault: Fault) -> Response:
        match fault.kind:
            case FaultKind.TIMEOUT:
                await asyncio.Event().wait()
            case FaultKind.RESET:
                self.cut()
                await asyncio.sleep(0)
            case FaultKind.FORBIDDEN:
                return _response(REFUSAL, 403, HTML)
            case FaultKind.BLANK:
                return _response(b"")
            case FaultKind.CHALLENGE:
                return _response(b"", 202, HTML)
            case FaultKind.BLOCK_PAGE:
                return _response(REFUSAL, 200, HTML)
            case FaultKind.NOT_FOUND:
                return _response(b'{"status":404,"error":"NOT_FOUND"}', 404)
            case FaultKind.BROKEN:
                return _response(b'{"message":"Internal server error"}', 500)
            case FaultKind.TOO_MANY:
                response = _response(b'{"message":"Too many requests"}', 429)
                if fault.retry_after is not None:
                    response.headers["Retry-After"] = f"{fault.retry_after:g}"
                return response
            case FaultKind.REDIRECT:
                hop = int(ask.query.get("hop", 0)) + 1
                response = _response(b"", 302)
                response.headers["Location"] = f"{ask.path}?hop={hop}"
                return response
            case FaultKind.BOMB:
                return _response(await asyncio.to_thread(bomb), is_gzip=True)
        return self._spoiled(site, ask, fault)

    def _spoiled(self, site: Site, ask: Ask, fault: Fault) -> Response:
        shift = shift_of(fault.kind, site.page_of(ask))
        is_stuck = fault.kind is FaultKind.STUCK_CURSOR
        answer = site.refuse(ask) or site.answer(replace(ask, shift=shift, is_stuck=is_stuck))
        if answer.status != 200 or answer.content_type != JSON:
            return _response(answer.write(), answer.status, answer.content_type)
        if fault.kind is FaultKind.DRIP:
            response = Response(_dripping(answer.write()), content_type=answer.content_type)
            response.timeout = None
            return response
        body = corrupt(site.platform, fault, answer.write())
        is_gzip = "gzip" in ask.headers.get("accept-encoding", "")
        return _response(gzipped(body) if is_gzip else body, answer.status, is_gzip=is_gzip)


async def _dripping(body: bytes) -> AsyncIterator[bytes]:
    """Yield the body a few bytes at a time, so that a read timeout never triggers."""
    for start in range(0, len(body), 8):
        yield body[start : start + 8]
        await asyncio.sleep(_DRIP_SECONDS)


def _response(body: bytes, status: int = 200, content_type: str = JSON, is_gzip: bool = False) -> Response:
    headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if is_gzip else {})}
    return Response(body, status, headers, content_type=content_type)
