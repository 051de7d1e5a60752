"""One bookmaker's pipeline: discover → fetch → map → record, each step at its own pace.

Events pass through a bounded queue to the fetchers, and their bodies through a second one to the tasks that map and
record them. The steps overlap, and only a few bodies are in memory at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import structlog

from quart_odds import tracing
from quart_odds.bookmakers import BookmakerClient, RawBody
from quart_odds.bookmakers.politeness import MOST_REFUSALS_IN_A_ROW
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, MappedEvent
from quart_odds.domain.runs import RunError, ScrapePhase
from quart_odds.errors import BlockedError, BookmakerError, NotFoundError, QuartOddsError
from quart_odds.scraping.deadline import BudgetMeter, BudgetRoom, ending_after, no_budget
from quart_odds.scraping.faults import run_error
from quart_odds.scraping.progress_tracker import PlatformTracker

RECORDERS = 4
"""Bodies of one platform that are decoded or recorded at once: enough to hide the latency of the decoding process."""

MOST_WAITING = 32
"""Fetched bodies of one platform that may wait to be decoded. Fetchers wait once there are more.

At the start of a run lists take most of the time of the decoding process. A bookmaker that gets few requests at once
would have to wait for it with each of them, and the run ends with the slowest one.
"""

LOOKAHEAD = 2000
"""Listed events that may wait for a fetcher: all that a bookmaker has, as a rule.

How long a run takes is known only once its lists are complete, so they are not read at the pace of the fetchers. An
event that waits takes less than 1 KB.
"""

log = structlog.get_logger(__name__)


class BodyDecoder(Protocol):
    """Turns bodies into domain values, outside the event loop."""

    async def decode(self, raw: RawBody) -> MappedEvent:
        """Return the event. Raises BookmakerError for a body that cannot be understood."""


Record = Callable[[MappedEvent], Awaitable[None]]
"""Records one event. Raises BookmakerError, naming the event, if its odds cannot be used."""


class Pipeline:
    """Fetches and records the events of one bookmaker, and counts those that failed.

    `lookahead` is how many events may wait for a fetcher. `on_not_found` is called with each event that the bookmaker
    does not find, and when it said so.

    After `most_refusals` refusals in a row it raises the error of the last one.
    """

    def __init__(
        self,
        client: BookmakerClient,
        tracker: PlatformTracker,
        decoder: BodyDecoder,
        *,
        fetchers: int,
        most_refusals: int = MOST_REFUSALS_IN_A_ROW,
        lookahead: int = LOOKAHEAD,
        now: Callable[[], datetime] = utc_now,
        on_not_found: Callable[[str, datetime], object] = lambda external_id, at: None,
    ) -> None:
        self.not_found: dict[str, datetime] = {}
        """When the bookmaker answered "not found", by the ids of the events."""
        self._client = client
        self._tracker = tracker
        self._decoder = decoder
        self._fetchers = fetchers
        self._most_refusals = most_refusals
        self._now = now
        self._on_not_found = on_not_found
        self._headers: asyncio.Queue[EventHeader | None] = asyncio.Queue(maxsize=lookahead)
        self._bodies: asyncio.Queue[RawBody | None] = asyncio.Queue(maxsize=MOST_WAITING)

    async def run(self, headers: AsyncGenerator[EventHeader, None], record: Record) -> None:
        """Fetch each of these events, decode its body, and pass it to `record`.

        The platform enters the phase SCRAPING with the first recorded odds or once all events are listed, and MAPPING
        once all events are fetched and only bodies are left.
        """
        async with asyncio.TaskGroup() as mapping:
            for _ in range(RECORDERS):
                mapping.create_task(self._map(record))
            async with asyncio.TaskGroup() as fetching:
                for _ in range(self._fetchers):
                    fetching.create_task(self._fetch())
                async with contextlib.aclosing(headers):
                    async for header in headers:
                        await self._headers.put(header)
                self._tracker.is_discovered = True
                self._go_on(ScrapePhase.DISCOVERING, ScrapePhase.SCRAPING)
                for _ in range(self._fetchers):
                    await self._headers.put(None)
            self._go_on(ScrapePhase.SCRAPING, ScrapePhase.MAPPING)
            for _ in range(RECORDERS):
                await self._bodies.put(None)

    async def _fetch(self) -> None:
        while (header := await self._headers.get()) is not None:
            try:
                with tracing.span("fetch", event=header.external_id):
                    raw = carrying_span(await self._client.fetch(header))
            except BookmakerError as error:
                self._count_failed(header, error)
            else:
                await self._bodies.put(raw)
                # Free the body before waiting for the next event.
                del raw

    async def _map(self, record: Record) -> None:
        while (raw := await self._bodies.get()) is not None:
            header, fetched = raw.header, raw.trace
            try:
                with tracing.span("decode", parent=fetched, bytes=len(raw.content)):
                    mapped = await self._decoder.decode(raw)
            except BookmakerError as error:
                self._count_failed(header, error.bare())
                continue
            finally:
                self._client.release(raw)
                # Free the body before waiting for the database.
                del raw
            self._client.forget_refusals()
            try:
                with tracing.span("change", parent=fetched, event=header.external_id):
                    await record(mapped)
            except BookmakerError as error:
                self._count_failed(header, error)
                continue
            self._go_on(ScrapePhase.DISCOVERING, ScrapePhase.SCRAPING)

    def _count_failed(self, header: EventHeader, error: BookmakerError) -> None:
        """Count an event that failed. Raises the given error after too many refusals in a row."""
        self._tracker.count_failed(error)
        if isinstance(error, NotFoundError):
            at = self.not_found[header.external_id] = self._now()
            self._on_not_found(header.external_id, at)
        count_refusal(self._client, error)
        if isinstance(error, BlockedError) and self._client.refusals_in_a_row >= self._most_refusals:
            raise error

    def _go_on(self, after: ScrapePhase, phase: ScrapePhase) -> None:
        if self._tracker.phase is after:
            self._tracker.enter(phase)


def carrying_span(raw: RawBody) -> RawBody:
    """Return a body that carries the span in which it was fetched, if there is one."""
    return replace(raw, trace=tracing.current()) if tracing.is_on() else raw


@contextlib.asynccontextmanager
async def failing_platform(
    tracker: PlatformTracker,
    deadline_seconds: float,
    now: Callable[[], datetime] = utc_now,
    budget: Callable[[], BudgetMeter | None] = no_budget,
) -> AsyncIterator[BudgetRoom]:
    """End the platform's part of a run as failed, with the reason, if the `async with` body fails or takes too long.

    While there is a `budget`, a body that keeps up with it may take longer than the deadline. Yields what has to know
    how many requests it sent.
    """
    platform = tracker.platform
    room = tracker.room = BudgetRoom(budget, deadline_seconds)
    try:
        async with ending_after(deadline_seconds, room.more_seconds):
            yield room
    except TimeoutError:
        reason = f"{platform.display_name} did not finish within {room.seconds:g} s{room.reason}"
        tracker.fail(RunError("deadline", reason, now(), platform, recoverable=True))
    except Exception as error:
        first = _first(error)
        if not isinstance(first, QuartOddsError):
            log.exception("scrape.platform_broke", platform=platform)
        tracker.fail(run_error(first, platform))


def count_refusal(client: BookmakerClient, error: BookmakerError) -> None:
    """Count an error as a refusal if it is one, whether the status code or only the body showed it."""
    if isinstance(error, BlockedError):
        client.count_refusal()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
