"""The opportunities that are over, collected for the database: the process that writes stores them, in batches.

Nothing waits for that. What cannot be stored is tried again, and lost if this process stops writing before.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from quart_odds.domain.opportunities import Kind
from quart_odds.domain.platforms import Platform
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.opportunities import Track, What

FLUSH_SECONDS = 5.0
"""How often what has ended is stored."""

CLOSE_SECONDS = 1.0
"""How long a stop waits until what has ended is stored."""

MOST_WAITING = 10_000
"""If more are waiting because the database does not answer, the oldest are lost."""

LEAST_STORED_PERCENT = {"arbitrage": 0.0, "middle": 0.0, "value": 1.0}
"""An opportunity is stored if it was worth more than this. Small value comes and goes with every move of a price."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PastOpportunity:
    """An opportunity that is over. `keys` are plain keys of prices, and `platforms` who had them in the end.

    `event_name` and `kickoff` are those of the event at that time: the event itself may be gone by now.
    """

    event_id: int
    event_name: str
    kickoff: datetime
    kind: Kind
    keys: tuple[int, ...]
    platforms: tuple[Platform, ...]
    margin: float
    best_margin: float
    first_seen_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class PastFilter:
    """Which past opportunities to return. None stands for all. `min_margin` is what they were worth at best."""

    kind: Kind | None = None
    event_id: int | None = None
    min_margin: float | None = None
    ended_from: datetime | None = None
    ended_to: datetime | None = None


class PastStore(Protocol):
    """The database, as far as past opportunities are concerned."""

    @property
    def term(self) -> int | None:
        """The term in which this process writes; None while it does not."""
        ...

    async def add_past_opportunities(self, past: Sequence[PastOpportunity], term: int | None) -> None:
        """Store opportunities that are over. Raises NotWriterError outside this process's own term, StorageError."""
        ...


class PastOpportunities:
    """Collects and stores what is over. Call `note` with everything that an OpportunityEngine tells."""

    def __init__(self, store: PastStore, is_writer: Callable[[], bool]) -> None:
        self._store = store
        self._is_writer = is_writer
        self._waiting: list[PastOpportunity] = []
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(self, what: What, track: Track, at: datetime) -> None:
        """Take note of an opportunity that is gone, if this process writes and it was worth storing."""
        found, first_seen_at = track.opportunity, track.first_seen_at
        if what != "gone" or first_seen_at is None or track.best_margin <= LEAST_STORED_PERCENT[found.kind]:
            return
        if not self._is_writer():
            return
        header = track.event.header
        self._waiting.append(
            PastOpportunity(
                event_id=track.event.id,
                event_name=header.name,
                kickoff=header.kickoff,
                kind=found.kind,
                keys=tuple(leg.key for leg in found.legs),
                platforms=tuple(leg.platform for leg in found.legs),
                margin=found.margin,
                best_margin=track.best_margin,
                first_seen_at=first_seen_at,
                ended_at=at,
            )
        )
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[0]

    def open(self) -> None:
        """Start to store every few seconds what has ended."""
        if self._task is None:
            self._closing.clear()
            self._task = asyncio.create_task(self._run(), name="past-opportunities")

    async def close(self) -> None:
        """Stop, and store what is waiting if the database answers soon. A transaction is not interrupted before."""
        task, self._task = self._task, None
        if task is not None:
            self._closing.set()
            await asyncio.wait([task], timeout=CLOSE_SECONDS)
            task.cancel()
            await asyncio.wait([task])

    async def flush(self) -> None:
        """Store what is waiting. What another process's term does not allow is dropped, what fails is kept."""
        past, self._waiting = self._waiting, []
        if not past:
            return
        try:
            await self._store.add_past_opportunities(past, self._store.term)
        except NotWriterError as error:
            log.info("opportunities.past_dropped", count=len(past), reason=str(error))
        except StorageError as error:
            self._waiting = [*past, *self._waiting][-MOST_WAITING:]
            log.debug("opportunities.past_not_stored", count=len(past), reason=error.for_operator)

    async def _run(self) -> None:
        is_last = False
        while not is_last:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._closing.wait()
            is_last = self._closing.is_set()
            try:
                await self.flush()
            except Exception:
                log.exception("opportunities.past_broke")
