"""A hostile bookmaker: it has BetPawa's addresses, and responses that are made to cost time or memory."""

import asyncio
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

KICKOFF = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)


@dataclass
class EvilBookmaker:
    """Responds as configured. `bodies` by kind of request (root, list, event) replace good responses."""

    events: int = 5
    competitions: int = 1
    is_endless: bool = False
    radar: Callable[[int], str | None] = lambda number: str(71_000_000 + number)
    name: Callable[[int, str], str] = lambda number, side: f"{side} {number}"
    markets: Callable[[int], list[Any]] = lambda _: [known_market()]
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    _kept: dict[int, bytes] = field(default_factory=dict)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Return a compressed response."""
        kind = "root" if "categories" in request.path else "list" if "by-queries" in request.path else "event"
        packed = await asyncio.to_thread(self._packed, kind, request)
        return web.Response(body=packed, headers={"content-encoding": "gzip"}, content_type="application/json")

    def prepare(self) -> None:
        """Make the responses for its events now, so that making them takes no time during a measurement."""
        for number in range(self.events):
            self._kept[number] = gzip.compress(orjson.dumps(self._about(number)), 1)

    def _packed(self, kind: str, request: web.Request) -> bytes:
        if kind == "event" and "event" not in self.bodies and (kept := self._kept.get(_number(request))):
            return kept
        body = self.bodies.get(kind) or orjson.dumps(getattr(self, f"_{kind}")(request))
        return body if body.startswith(b"\x1f\x8b") else gzip.compress(body, 1)

    def _root(self, _: web.Request) -> Any:
        found = [{"competition": {"id": f"c{number}", "name": "League"}} for number in range(self.competitions)]
        return {"withRegions": [{"regions": [{"region": {"name": "Country"}, "competitions": found}]}]}

    def _list(self, request: web.Request) -> Any:
        skip = orjson.loads(request.query["q"])["queries"][0]["skip"]
        places = range(skip, skip + 100 if self.is_endless else min(self.events, skip + 100))
        return {"responses": [{"responses": [self._header(place) for place in places]}]}

    def _event(self, request: web.Request) -> Any:
        return self._about(_number(request))

    def _about(self, number: int) -> Any:
        return {**self._header(number), "markets": self.markets(number)}

    def _header(self, number: int) -> Any:
        radar = self.radar(number)
        return {
            "id": f"e{number}",
            "participants": [
                {"position": place, "name": self.name(number, side)} for place, side in ((1, "Home"), (2, "Away"))
            ],
            "startTime": KICKOFF.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "competition": {"id": "c0", "name": "League"},
            "region": {"name": "Country"},
            "widgets": [{"type": "SPORTRADAR", "id": radar}] if radar else [],
        }


def _number(request: web.Request) -> int:
    """Return the number of the requested event."""
    return int(request.path.rpartition("/e")[2])


def known_market() -> Any:
    """Return 1X2 with its three prices."""
    prices = [{"typeId": each, "odds": 2.5} for each in ("3744", "3745", "3746")]
    return {"marketType": {"id": "3743", "displayName": "1X2"}, "row": [{"handicap": 0, "prices": prices}]}


def wide(members: int = 5_000_000) -> bytes:
    """Return a few KB of gzip: JSON of this many empty lists, which take 64 bytes each."""
    return gzip.compress(b'{"x":[' + b"[]," * members + b"1]}", 1)


def deep(levels: int = 500_000) -> bytes:
    """Return unfinished JSON that is nested this deep."""
    return b'{"a":' * levels
