"""Refreshes one event: fetches it again from every bookmaker that has it, and records the odds as a scrape does."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, DecoderError, NotFoundError, TooSoonError
from quart_odds.odds.ownership import Recording, recording_for
from quart_odds.scraping.coordinator import ClientFactory
from quart_odds.scraping.pipeline import BodyDecoder, count_refusal
from quart_odds.scraping.sink import OddsSink

REFRESH_SECONDS = 30.0
"""How long a refresh may start requests, which is also how long it waits for its turn at a bookmaker."""

ANSWER_SECONDS = 30.0
"""How long answers may take after that. No request starts in this time, so one that is given up at the end of it does
not make room for another."""

LEAST_WAIT_SECONDS = 1.0
"""When to retry if the event is being fetched already and there is no cooldown."""


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """The result at one bookmaker. `markets` is None if no odds were recorded; `error` then says why."""

    platform: Platform
    duration_ms: int
    markets: int | None = None
    error: str | None = None


class EventRefresher:
    """Fetches single events. Simultaneous requests for an event share one fetch, and a cooldown follows it."""

    def __init__(
        self,
        open_client: ClientFactory,
        decoder: BodyDecoder,
        sink: OddsSink,
        *,
        cooldown_seconds: float,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_client = open_client
        self._decoder = decoder
        self._sink = sink
        self._cooldown_seconds = cooldown_seconds
        self._now = now
        self._clock = clock
        self._under_way: dict[tuple[str, ...], asyncio.Task[list[RefreshResult]]] = {}
        self._fetched_now: set[str] = set()
        """The bookmakers' events being fetched. A run may change during a fetch which of them are the same event."""
        self._done_at: dict[str, float] = {}
        """When each bookmaker's event was last refreshed, the oldest first. Expired cooldowns are removed."""

    async def refresh(self, headers: Sequence[EventHeader]) -> list[RefreshResult]:
        """Fetch these: the same event at several bookmakers. Returns the results once the odds are committed.

        A call for the same event while it is being fetched shares the results. Raises StorageError if the odds could
        not be committed, and TooSoonError while one of these is in its cooldown or is fetched as part of another event.
        """
        key = tuple(f"{header.platform}:{header.external_id}" for header in headers)
        task = self._under_way.get(key)
        if task is None:
            self._refuse_too_soon(key)
            self._fetched_now.update(key)
            task = self._under_way[key] = asyncio.create_task(self._refresh(headers))
            task.add_done_callback(lambda _: self._finish(key))
        return await asyncio.shield(task)

    def _refuse_too_soon(self, key: tuple[str, ...]) -> None:
        if not self._fetched_now.isdisjoint(key):
            left = max(self._cooldown_seconds, LEAST_WAIT_SECONDS)
            raise TooSoonError(f"this event is being fetched; ask again in {math.ceil(left)} s", left)
        now = self._clock()
        while self._done_at and now - next(iter(self._done_at.values())) >= self._cooldown_seconds:
            del self._done_at[next(iter(self._done_at))]
        done_at = max((self._done_at[each] for each in key if each in self._done_at), default=None)
        if done_at is not None:
            left = done_at + self._cooldown_seconds - now
            raise TooSoonError(f"this event was fetched a moment ago; ask again in {math.ceil(left)} s", left)

    def _finish(self, key: tuple[str, ...]) -> None:
        self._under_way.pop(key, None)
        self._fetched_now.difference_update(key)
        for each in key:
            self._done_at.pop(each, None)
            self._done_at[each] = self._clock()

    async def _refresh(self, headers: Sequence[EventHeader]) -> list[RefreshResult]:
        with recording_for(Recording()):
            results = await asyncio.gather(*(self._fetch(header) for header in headers))
            await self._sink.confirm()
        return results

    async def _fetch(self, header: EventHeader) -> RefreshResult:
        began = time.monotonic()
        markets: int | None = None
        error: str | None = None
        async with self._open_client(header.platform) as client:
            client.turn_by = asyncio.get_running_loop().time() + REFRESH_SECONDS
            try:
                async with asyncio.timeout(REFRESH_SECONDS + ANSWER_SECONDS):
                    raw = await client.fetch(header)
                    try:
                        mapped = await self._decoder.decode(raw)
                    finally:
                        client.release(raw)
                client.forget_refusals()
                if mapped.is_in_play:
                    await self._withdraw(header)
                    error = "the match has begun: its prices in play are left out"
                else:
                    await self._sink.record(mapped, mapped.fetched_at or self._now())
                    markets = mapped.mapped_markets
            except NotFoundError:
                await self._withdraw(header)
                error = "the bookmaker does not list it any more"
            except BookmakerError as fault:
                count_refusal(client, fault)
                error = str(fault)
            except DecoderError as fault:
                error = str(fault)
            except TimeoutError:
                what = "good answer" if client.requests else "turn among the requests to this bookmaker"
                error = f"no {what} within {REFRESH_SECONDS:g} s"
        return RefreshResult(header.platform, round((time.monotonic() - began) * 1000), markets, error)

    async def _withdraw(self, header: EventHeader) -> None:
        await self._sink.withdraw(header.platform, header.external_id, self._now())
