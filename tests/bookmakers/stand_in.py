"""Transports whose other end is a bookmaker in this process, with answers that a test may change."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from quart_odds.bookmakers.transport import Answer, Grow
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.app import generated_sites
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Ask
from tests.bookmakers.wire import SPORTYBET_DATA, dumps
from tests.sandbox.stand_ins import BETKING, NOW

Change = Callable[[Ask, Any], Any]
"""Gets a request and the JSON of its answer, and returns the JSON to send, or the status of an error instead."""


class StandIn:
    """Answers like the sandbox's bookmaker. `asked` has the requests so far."""

    def __init__(self, platform: Platform, events: int = 60) -> None:
        self.asked: list[Ask] = []
        self.change: Change = lambda ask, body: body
        options = SandboxOptions(events=events, move=0, bookmakers=(platform,))
        # BetKing's client asks for the lists of today and the next days.
        self._site = generated_sites(options, utc_now() if platform is BETKING else NOW)[1][platform]

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
        grow: Grow,
    ) -> Answer:
        """See Transport."""
        ask = Ask(method, urlsplit(url).path, params, {**headers}, body or b"")
        self.asked.append(ask)
        answer = self._site.refuse(ask) or self._site.answer(ask)
        changed = self.change(ask, orjson.loads(answer.write()))
        if isinstance(changed, int):
            return Answer(changed, {}, b"{}")
        return Answer(answer.status, {}, orjson.dumps(changed))

    async def aclose(self) -> None:
        """Do nothing, because there are no connections."""


class Upcoming:
    """Serves SportyBet's list of all events. `pages` are the numbers of the events on each page, `total` what it says.

    `change` may replace the JSON of a page by number, with other JSON or with the status of an error. `asked` has the
    pages that were asked for. An answer waits for `gate`.
    """

    def __init__(self, *pages: Sequence[int]) -> None:
        self.pages = list(pages)
        self.total: object = len({number for page in pages for number in page})
        self.change: Callable[[int, Any], Any] = lambda number, body: body
        self.asked: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
        grow: Grow,
    ) -> Answer:
        """See Transport."""
        assert url.endswith("/pcUpcomingEvents")
        number = int(params["pageNum"])
        self.asked.append(number)
        if number > 1:
            await self.gate.wait()
        events = [
            {**SPORTYBET_DATA, "eventId": f"sr:match:{70_000_000 + each}"}
            for each in (self.pages[number - 1] if number <= len(self.pages) else ())
        ]
        data = {"totalNum": self.total, "tournaments": [{"id": "sr:tournament:5", "events": events}]}
        changed = self.change(number, {"bizCode": 10000, "data": data})
        return Answer(changed, {}, b"{}") if isinstance(changed, int) else Answer(200, {}, dumps(changed))

    async def aclose(self) -> None:
        """Do nothing, because there are no connections."""
